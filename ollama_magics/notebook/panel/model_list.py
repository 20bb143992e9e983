"""Look up the installed models, offer them in a list, and note beside each field what is known about its value."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from threading import Event, RLock, Thread, get_ident
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel import fields
from ollama_magics.notebook.panel.fields import Fold
from ollama_magics.notebook.panel.form_widgets import FIELD_WIDTH, FormWidgets
from ollama_magics.server.model_card import ModelCard, full_name
from ollama_magics.server.models import ModelRegistry, read_registry, short
from ollama_magics.settings import form
from ollama_magics.settings.form import OllamaSettings

if TYPE_CHECKING:
    from ollama_magics.session.session import Session

_CAPABILITIES = {"chat": "completion", "completion": "completion", "embedding": "embedding"}  # of each model type
_MAX_ROWS = 8
_LISTS = 4  # of which one is shown
_SPACE = "\u2003"
_TOKENS = ("context_length", "max_tokens")
MODELS = ("model", "embedding_model")
_ABILITIES = ("vision", "tools")  # settings, and capabilities of a model
_WITHOUT_HELP = (*MODELS, *_TOKENS, *_ABILITIES, "model_type", "language")

Note = tuple[str, bool]  # the text, and whether it is a warning


def detected_settings(card: ModelCard, settings: OllamaSettings) -> dict[str, Any]:
    """Return the settings that follow from a model: its type, and a context no longer than it was made for."""
    if card.capabilities is None:
        return {}
    detected: dict[str, Any] = {}
    if not card.can(_CAPABILITIES[settings.model_type]):
        model_type = next((name for name, capability in _CAPABILITIES.items() if card.can(capability)), "")
        detected |= {"model_type": model_type} if model_type else {}
    if detected.get("model_type", settings.model_type) != "embedding" and card.context_length:
        length = min(form.default("context_length"), card.context_length)
        detected["context_length"] = detected["max_tokens"] = length
    return detected


class ModelList:
    """A folded list of the installed models; ``on_choice`` gets the name of the chosen one.

    A front end sends the place of what was clicked, not its name. A list that has changed is therefore another widget, one of a
    few in turn: a click on a former one, which may be under way, means what the user saw there.
    """

    def __init__(self, parts: FormWidgets, on_choice: Callable[[str], None]) -> None:
        self._on_choice = on_choice
        self._updating: int | None = None  # the thread in which the program sets the list
        layout = {"width": f"{FIELD_WIDTH * 2}px"}
        self._choices = deque(parts.make(widgets.Select, options=[], layout=layout) for _ in range(_LISTS))
        for choice in self._choices:
            choice.observe(self._chosen, names="value")
        self._fold = Fold(parts, self.choice, indent=True)
        self.widget = self._fold.widget

    def show(self, registry: ModelRegistry | None, chosen: str, language: str, *, is_asked: bool) -> None:
        """List the models with what is known of each; None: the server has not answered, and ``is_asked`` or gave an error."""
        models = registry.models if registry else ()
        none = "models_asked" if is_asked else "models_unknown"
        key = none if registry is None else "installed_models" if models else "no_models"
        self._fold.set_text(messages.phrase(key, language, count=len(models)))
        names = [short(model.name) for model in models]
        options = [
            (f"{messages.strip_controls(name)}{_SPACE}{registry.describe(name, language)}", name) for name in names if registry
        ]
        value = next((name for name in names if chosen and full_name(name) == full_name(chosen)), None)
        self._updating = get_ident()
        try:
            if has_changed := options != list(self.choice.options):
                self._choices.rotate()
                self.choice.options, self.choice.rows = options, max(2, min(_MAX_ROWS, len(names)))
            self.choice.value = value
        finally:
            self._updating = None
        if has_changed:
            self._fold.set_content(self.choice)

    @property
    def choice(self) -> Any:
        """The list that is shown."""
        return self._choices[0]

    def _chosen(self, change: Any) -> None:
        if self._updating != get_ident() and change["new"]:
            self._on_choice(change["new"])


class ModelLookup:
    """Asks the server in the background for its models; a later look-up cancels an earlier one.

    ``on_result`` is called under the lock, first with the chosen model and then with all, or with the error.
    """

    def __init__(self, session: Session, lock: RLock, on_result: Callable[[ModelRegistry | OllamaMagicsError], None]) -> None:
        self._session, self._lock, self._on_result = session, lock, on_result
        self._cancelled = Event()  # of the look-up that runs
        self._thread: Thread | None = None

    def begin(self) -> None:
        """Start a look-up."""
        with self._lock:
            self.cancel()
            self._cancelled = cancelled = Event()
        self._thread = fields.start(lambda: self._look_up(cancelled))

    def wait(self, seconds: float) -> None:
        """Wait for the end of the look-up that runs, so long at most."""
        if self._thread:
            self._thread.join(seconds)

    def cancel(self) -> None:
        """Cancel the look-up that runs."""
        self._cancelled.set()

    def _look_up(self, cancelled: Event) -> None:
        try:
            client = self._session.client.sibling(cancelled)
        except OllamaMagicsError as error:
            self._report(error, cancelled)
            return
        try:
            for registry in read_registry(client, str(self._session.settings.model)):
                self._report(registry, cancelled)
        except OllamaMagicsError as error:
            self._report(error, cancelled)
        finally:
            client.close()

    def _report(self, found: ModelRegistry | OllamaMagicsError, cancelled: Event) -> None:
        with self._lock:
            if not cancelled.is_set():
                self._on_result(found)


def missing_model(name: str, settings: OllamaSettings, registry: ModelRegistry | None) -> str:
    """Return the model that a setting names if the server does not have it, else an empty text."""
    model = str(getattr(settings, name))
    return model if registry and model and not registry.has(model) else ""


def model_notes(card: ModelCard | None, settings: OllamaSettings, language: str) -> dict[str, Note]:
    """Return what the server says about the model, by setting; a contradiction to the setting is a warning."""
    notes = dict(_card_notes(card, settings, language)) if card and card.capabilities is not None else {}
    if settings.max_tokens > settings.context_length and settings.model_type != "embedding":
        context = messages.group_digits(settings.context_length)
        notes["max_tokens"] = (messages.phrase("over_context", language, context=context), True)
    return notes


def _card_notes(card: ModelCard, settings: OllamaSettings, language: str) -> Iterator[tuple[str, Note]]:
    for name in _ABILITIES:
        detected, chosen = "yes" if card.can(name) else "no", str(getattr(settings, name))
        key = f"detected_{detected}" if chosen == "auto" else "yours" if chosen == detected else f"yours_against_{detected}"
        yield name, (messages.phrase(key, language), chosen not in ("auto", detected))

    is_suitable = card.can(_CAPABILITIES[settings.model_type])
    capabilities = messages.strip_controls(" · ".join(messages.capability(one, language) for one in card.capabilities or ()))
    key = "detected_type" if is_suitable else "wrong_type"
    yield "model_type", (messages.phrase(key, language, can=capabilities), not is_suitable)

    detected, is_chosen = "yes" if card.can("thinking") else "no", str(settings.think) not in ("auto", "off")
    key = f"detected_{detected}" if not is_chosen else "yours" if detected == "yes" else "yours_against_no"
    yield "think", (messages.phrase(key, language), is_chosen and detected == "no")

    if card.context_length:
        is_over = settings.context_length > card.context_length and settings.model_type != "embedding"
        key = "context_over" if is_over else "context_detected"
        yield "context_length", (messages.phrase(key, language, count=messages.group_digits(card.context_length)), is_over)


def make_note(name: str, session: Session, registry: ModelRegistry | OllamaMagicsError | None, model_note: Note | None) -> Note:
    """Return the note beside a field, with what ``model_notes`` has for it; beside the address the error of the look-up."""
    if name == "base_url":
        return _address_note(session, registry if isinstance(registry, OllamaMagicsError) else None)
    if name in MODELS and isinstance(registry, OllamaMagicsError):
        return messages.phrase("models_not_listed", session.language), False
    registry = registry if isinstance(registry, ModelRegistry) else None
    if name in MODELS and registry and (model := str(getattr(session.settings, name))):
        if missing_model(name, session.settings, registry):
            return messages.phrase("not_installed", session.language), True
        if known := registry.describe(model, session.language):
            return known, False
    text, is_warning = model_note or ("", False)
    return " · ".join(filter(None, [*_setting_notes(name, session, has_model_note=bool(model_note)), text])), is_warning


def _setting_notes(name: str, session: Session, *, has_model_note: bool) -> Iterator[str]:
    """Yield what is known without the server: what the setting is, and where its value is from."""
    source, language = session.resolved.source(name), session.language
    is_chosen = name in _ABILITIES and getattr(session.settings, name) != "auto"
    is_sent = name in _TOKENS and session.settings.model_type != "embedding"  # %embed takes --context
    if name not in _WITHOUT_HELP:
        key = f"help_{name}"
        yield messages.phrase(key, language) if messages.has_phrase(key, language) else form.explain(name)
    elif is_sent or not (has_model_note or is_chosen):
        yield messages.phrase(f"note_{name}", language, value=getattr(session.settings, name))
    if (source == "notebook" and name in (*_TOKENS, "model_type")) or (is_chosen and not has_model_note):
        yield messages.phrase("mark_yours", language)
    elif source == "detected" and name in _TOKENS:
        yield messages.phrase("mark_detected", language)


def _address_note(session: Session, error: OllamaMagicsError | None) -> Note:
    language = session.language
    try:
        known = session.address_told()
    except OllamaMagicsError as bad:  # such as a bad OLLAMA_HOST
        bad.language = language
        return f"{bad.what} {bad.how_we_know}", True
    if error is None or error.code.startswith("profile-"):  # which stands beside the profile
        return known, False
    error.language = language
    return f"{known} · {error.what}", True
