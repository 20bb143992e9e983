"""The button beside a missing model that lets the server download it, and how far that is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.notebook.display.pull import paint_pull, pulled_text
from ollama_magics.notebook.panel import fields
from ollama_magics.notebook.panel.form_widgets import FIELD_WIDTH, FormWidgets, set_shown
from ollama_magics.render.progress import progress_html
from ollama_magics.server.pulling import pull

if TYPE_CHECKING:
    from ollama_magics.session.session import Session


class PullControls:
    """Downloads one model at a time in the background; ``on_pulled`` is called when it is there.

    ``button`` stands beside the field, ``widget`` below it while a download runs, and until another model is named.
    """

    def __init__(self, parts: FormWidgets, session: Session, on_pulled: Callable[[], None]) -> None:
        self._session, self._on_pulled = session, on_pulled
        self._model = ""
        self._ended: Callable[[str], str] | None = None  # how the last download ended, as HTML in a language
        self._cancelled: threading.Event | None = None  # of the download that runs
        self.button = parts.make(widgets.Button, layout={"width": "auto", "flex": "0 0 auto"})
        self._cancel = parts.make(widgets.Button, layout={"width": "auto"})
        self._progress = parts.make(widgets.HTML, layout={"width": f"{FIELD_WIDTH}px"})
        self.widget = parts.indented(self._progress, self._cancel)
        self.button.on_click(lambda _: self._begin())
        self._cancel.on_click(lambda _: self.cancel())
        self._update()

    def offer(self, model: str) -> None:
        """Offer to download a model that is missing; an empty name takes the button away."""
        if model and model != self._model:
            self._ended = None
        self._model = model
        self._update()

    def cancel(self) -> None:
        """Stop the download that runs."""
        if self._cancelled:
            self._cancelled.set()

    def close(self) -> None:
        """Stop the download without calling ``on_pulled``."""
        self._on_pulled = lambda: None
        self.cancel()

    def _update(self) -> None:
        language, is_running = self._session.language, self._cancelled is not None
        self.button.description = messages.phrase("pull", language)
        self.button.tooltip = messages.phrase("pull_tooltip", language, model=messages.strip_controls(self._model))
        self._cancel.description = messages.phrase("cancel", language)
        set_shown(self.button, is_shown=bool(self._model) and not is_running)
        set_shown(self._cancel, is_shown=is_running)
        if not is_running:
            self._progress.value = self._ended(language) if self._ended else ""
        set_shown(self.widget, is_shown=bool(self._progress.value))

    def _begin(self) -> None:
        if self._model and not self._cancelled:
            self._cancelled = cancelled = threading.Event()
            model, self._ended = self._model, None
            self._progress.value = progress_html(0, [model, "…"], (), language=self._session.language)
            self._update()
            fields.start(lambda: self._pull(model, cancelled))

    def _pull(self, model: str, cancelled: threading.Event) -> None:
        session, is_there = self._session, False

        def show(page: str, _: str) -> None:
            self._progress.value = page

        try:
            client = session.client.sibling(cancelled)
            try:
                last = paint_pull(pull(client, model), model, session.language, show)
            finally:
                client.close()
            is_there, self._ended = True, lambda language: fields.note_html(pulled_text(last, model, language))
        except Cancelled:
            self._ended = lambda language: fields.note_html(messages.phrase("pull_cancelled", language))
        except OllamaMagicsError as error:
            self._ended = partial(_error_html, error)
        finally:
            self._cancelled = None
            self._update()
        session.forget_models()
        if is_there:
            self._on_pulled()


def _error_html(error: OllamaMagicsError, language: str) -> str:
    error.language, error.place = language, "notebook config"
    return "".join(fields.note_html(line, is_warning=True) for line in error.lines())
