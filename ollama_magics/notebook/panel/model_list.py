"""Look up the installed models, offer them in a list, and detect settings from the chosen one."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, RLock
from typing import Any

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel import fields
from ollama_magics.notebook.panel.fields import Fold
from ollama_magics.server.models import ModelRegistry, read_registry, short
from ollama_magics.server.wire import ModelCard, full_name
from ollama_magics.session.session import Session
from ollama_magics.settings import form
from ollama_magics.settings.form import OllamaSettings

CAPABILITIES = {"chat": "completion", "completion": "completion", "embedding": "embedding"}  # of each model type
_MAX_ROWS = 8
_SPACE = "\u2003"


def detected_settings(card: ModelCard, settings: OllamaSettings) -> dict[str, Any]:
    """Return the settings that follow from a model: its type, and a context no longer than it was made for."""
    if card.capabilities is None:
        return {}
    detected: dict[str, Any] = {}
    if not card.can(CAPABILITIES[settings.model_type]):
        model_type = next((name for name, capability in CAPABILITIES.items() if card.can(capability)), "")
        detected |= {"model_type": model_type} if model_type else {}
    if detected.get("model_type", settings.model_type) != "embedding" and card.context_length:
        length = min(form.default("context_length"), card.context_length)
        detected["context_length"] = detected["max_tokens"] = length
    return detected


class ModelList:
    """A folded list of the installed models; ``on_choice`` gets the name of the chosen one."""

    def __init__(self, on_choice: Callable[[str], None]) -> None:
        self._on_choice = on_choice
        self._is_updating = False  # the list is set by the program
        self.choice = widgets.Select(options=[], layout=widgets.Layout(width=f"{fields.FIELD_WIDTH * 2}px"))
        self.choice.observe(self._chosen, names="value")
        self._fold = Fold(self.choice, indent=True)
        self.widget = self._fold.widget

    def show(self, registry: ModelRegistry | None, chosen: str, language: str) -> None:
        """List the models with what is known of each; None: the server has not answered."""
        models = registry.models if registry else ()
        key = "models_unknown" if registry is None else "installed_models" if models else "no_models"
        self._fold.set_text(messages.phrase(key, language, count=len(models)))
        names = [short(model.name) for model in models]
        self._is_updating = True
        try:
            self.choice.options = [
                (f"{messages.strip_controls(name)}{_SPACE}{registry.describe(name, language)}", name)
                for name in names
                if registry
            ]
            self.choice.rows = max(2, min(_MAX_ROWS, len(names)))
            self.choice.value = next((name for name in names if chosen and full_name(name) == full_name(chosen)), None)
        finally:
            self._is_updating = False

    def _chosen(self, change: Any) -> None:
        if not self._is_updating and change["new"]:
            self._on_choice(change["new"])


class ModelLookup:
    """Asks the server in the background for its models; ``on_result`` is called under the lock.

    It gets what is known first of the chosen model and then of all, or None where the server does not answer. A later
    look-up cancels an earlier one.
    """

    def __init__(self, session: Session, lock: RLock, on_result: Callable[[ModelRegistry | None], None]) -> None:
        self._session, self._lock, self._on_result = session, lock, on_result
        self._cancelled = Event()  # of the look-up that runs
        session.own(self.cancel)

    def begin(self) -> None:
        """Start a look-up."""
        with self._lock:
            self.cancel()
            self._cancelled = cancelled = Event()
        fields.start(lambda: self._look_up(cancelled))

    def cancel(self) -> None:
        """Cancel the look-up that runs."""
        self._cancelled.set()

    def _look_up(self, cancelled: Event) -> None:
        try:
            client = self._session.client.sibling(cancelled)
        except OllamaMagicsError:  # the check says why
            self._report(None, cancelled)
            return
        try:
            for registry in read_registry(client, str(self._session.settings.model)):
                self._report(registry, cancelled)
        except OllamaMagicsError:
            self._report(None, cancelled)
        finally:
            client.close()

    def _report(self, registry: ModelRegistry | None, cancelled: Event) -> None:
        with self._lock:
            if not cancelled.is_set():
                self._on_result(registry)
