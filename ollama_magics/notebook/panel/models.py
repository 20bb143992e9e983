"""The installed models to choose from, and what the server says about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

_ABILITIES = {"vision": "vision", "tools": "tools"}  # setting: capability
_TYPES = {"chat": "completion", "completion": "completion", "embedding": "embedding"}

Remark = tuple[str, bool]  # the text, and whether it is a contradiction


def found(card: ModelCard, chosen: OllamaSettings) -> dict[str, Any]:
    """Return the settings that follow from a model: its type, and no more context than it was made for."""
    if card.capabilities is None:
        return {}
    values: dict[str, Any] = {}
    if not card.can(_TYPES[chosen.model_type]):
        kind = next((kind for kind, ability in _TYPES.items() if card.can(ability)), "")
        values |= {"model_type": kind} if kind else {}
    if values.get("model_type", chosen.model_type) != "embedding" and card.context_length:
        most = form.default("context_length")
        values["context_length"] = values["max_tokens"] = min(most, card.context_length)
    return values


def remarks(card: ModelCard | None, chosen: OllamaSettings, language: str) -> dict[str, Remark]:
    """Return for each setting about which something is known what it is, and whether the form says something else."""
    noted = dict(_of_card(card, chosen, language)) if card and card.capabilities is not None else {}
    if chosen.max_tokens > chosen.context_length and chosen.model_type != "embedding":
        context = messages.group_digits(chosen.context_length)
        noted["max_tokens"] = (messages.phrase("over_context", language, context=context), True)
    return noted


def _of_card(card: ModelCard, chosen: OllamaSettings, language: str) -> Iterator[tuple[str, Remark]]:
    for name in _ABILITIES:
        yield name, _ability(card, name, str(getattr(chosen, name)), language)
    yield "model_type", _type(card, str(chosen.model_type), language)
    yield "think", _thinking(card, str(chosen.think), language)
    if card.context_length:
        is_over = chosen.context_length > card.context_length and chosen.model_type != "embedding"
        key = "over_maximum" if is_over else "context_detected"
        yield "context_length", (messages.phrase(key, language, count=messages.group_digits(card.context_length)), is_over)


def _ability(card: ModelCard, name: str, chosen: str, language: str) -> Remark:
    says = "yes" if card.can(_ABILITIES[name]) else "no"
    if chosen == "auto":
        return messages.phrase(f"detected_{says}", language), False
    key = "yours" if chosen == says else f"yours_against_{says}"
    return messages.phrase(key, language), chosen != says


def _thinking(card: ModelCard, chosen: str, language: str) -> Remark:
    says = "yes" if card.can("thinking") else "no"
    if chosen in ("auto", "off"):
        return messages.phrase(f"detected_{says}", language), False
    key = "yours" if says == "yes" else "yours_against_no"
    return messages.phrase(key, language), says == "no"


def _type(card: ModelCard, chosen: str, language: str) -> Remark:
    can = messages.strip_controls(" · ".join(card.capabilities or ()))
    if card.can(_TYPES[chosen]):
        return messages.phrase("detected_type", language, can=can), False
    return messages.phrase("wrong_type", language, can=can), True


_MOST_ROWS = 8
_GAP = "\u2003"


class ModelList:
    """A folded list of what is installed; a choice in it goes to ``take`` as a name."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._ours = False
        self.choice = widgets.Select(options=[], layout=widgets.Layout(width=f"{fields.FIELD_WIDTH * 2}px"))
        self.choice.observe(self._chosen, names="value")
        self._fold = Fold(self.choice, indent=True)
        self.button, self.widget = self._fold.button, self._fold.widget

    def show(self, stock: ModelRegistry | None, chosen: str, language: str) -> None:
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

    def _row(self, stock: ModelRegistry, name: str, language: str) -> str:
        return f"{messages.strip_controls(name)}{_GAP}{stock.describe(name, language)}"

    def _chosen(self, change: Any) -> None:
        if not self._ours and change["new"]:
            self._take(change["new"])


class Asking:
    """Asks the server in the background what there is; ``tell`` gets it under the lock, unless something newer is asked."""

    def __init__(self, session: Session, lock: RLock, tell: Callable[[ModelRegistry | None], None]) -> None:
        self._session, self._lock, self._tell = session, lock, tell
        self._given_up = Event()  # of the question that is under way
        session.own(self._give_up)

    def begin(self) -> None:
        """Ask anew; an earlier question is given up, and what may still come of it is dropped."""
        with self._lock:
            self._give_up()
            self._given_up = mine = Event()
        fields.start(lambda: self._ask(mine))

    def _give_up(self) -> None:
        self._given_up.set()

    def _ask(self, given_up: Event) -> None:
        for stock in self._found(given_up):
            with self._lock:
                if given_up.is_set():
                    return  # it came too late
                self._tell(stock)

    def _found(self, given_up: Event) -> Iterator[ModelRegistry | None]:
        """Yield what is known, first about the model in the form."""
        try:
            client = self._session.client.sibling(given_up)
        except OllamaMagicsError:
            yield None  # the check says why
            return
        try:
            yield from read_registry(client, str(self._session.settings.model))
        except OllamaMagicsError:
            yield None
        finally:
            client.close()
