"""The installed models as a list to choose from, and the thread that asks the server for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event, RLock
from typing import Any

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel import background, looks
from ollama_magics.notebook.panel.fold import Fold
from ollama_magics.server.models import Stock, look_over, short
from ollama_magics.server.wire.answers import full_name
from ollama_magics.session.notebook import Session

_MOST_ROWS = 8
_GAP = "\u2003"


class ModelList:
    """A folded list of what is installed; a choice in it goes to ``take`` as a name."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._ours = False
        self.choice = widgets.Select(options=[], layout=widgets.Layout(width=f"{looks.FIELD_WIDTH * 2}px"))
        self.choice.observe(self._chosen, names="value")
        self._fold = Fold(self.choice, indent=True)
        self.button, self.widget = self._fold.button, self._fold.widget

    def show(self, stock: Stock | None, chosen: str, language: str) -> None:
        """List the models with what is known of each; None: the server has not answered."""
        models = stock.models if stock else ()
        key = "models_unknown" if stock is None else "installed_models" if models else "no_models"
        self._fold.label(messages.phrase(key, language, count=len(models)))
        rows = [(self._row(stock, short(one.name), language), short(one.name)) for one in models] if stock else []
        self._ours = True
        try:
            self.choice.options = rows
            self.choice.rows = max(2, min(_MOST_ROWS, len(rows)))
            mine = next((name for _, name in rows if chosen and full_name(name) == full_name(chosen)), None)
            self.choice.value = mine
        finally:
            self._ours = False

    def _row(self, stock: Stock, name: str, language: str) -> str:
        return f"{messages.harmless(name)}{_GAP}{stock.described(name, language)}"

    def _chosen(self, change: Any) -> None:
        if not self._ours and change["new"]:
            self._take(change["new"])


class Asking:
    """Asks the server in the background what there is; ``tell`` gets it under the lock, unless something newer is asked."""

    def __init__(self, session: Session, lock: RLock, tell: Callable[[Stock | None], None]) -> None:
        self._session, self._lock, self._tell = session, lock, tell
        self._given_up = Event()  # of the question that is under way
        session.own(self._give_up)

    def begin(self) -> None:
        """Ask anew; an earlier question is given up, and what may still come of it is dropped."""
        with self._lock:
            self._give_up()
            self._given_up = mine = Event()
        background.start(lambda: self._ask(mine))

    def _give_up(self) -> None:
        self._given_up.set()

    def _ask(self, given_up: Event) -> None:
        for stock in self._found(given_up):
            with self._lock:
                if given_up.is_set():
                    return  # it came too late
                self._tell(stock)

    def _found(self, given_up: Event) -> Iterator[Stock | None]:
        """Yield what is known, first about the model in the form."""
        try:
            client = self._session.client.sibling(given_up)
        except OllamaMagicsError:
            yield None  # the check says why
            return
        try:
            yield from look_over(client, str(self._session.settings.model))
        except OllamaMagicsError:
            yield None
        finally:
            client.close()
