"""The notes beside the fields: where a value is from, what is sent, and what the server says about it."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel.model_list import CAPABILITIES
from ollama_magics.server.models import ModelRegistry
from ollama_magics.server.wire import ModelCard
from ollama_magics.session.session import Session
from ollama_magics.settings import form
from ollama_magics.settings.form import OllamaSettings

_TOKENS = ("context_length", "max_tokens")
_MODELS = ("model", "embedding_model")
_ABILITIES = ("vision", "tools")  # settings, and capabilities of a model
_WITHOUT_HELP = (*_MODELS, *_TOKENS, *_ABILITIES, "model_type", "language")

Note = tuple[str, bool]  # the text, and whether it is a warning


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

    is_suitable = card.can(CAPABILITIES[settings.model_type])
    capabilities = messages.strip_controls(" · ".join(card.capabilities or ()))
    key = "detected_type" if is_suitable else "wrong_type"
    yield "model_type", (messages.phrase(key, language, can=capabilities), not is_suitable)

    detected, is_chosen = "yes" if card.can("thinking") else "no", str(settings.think) not in ("auto", "off")
    key = f"detected_{detected}" if not is_chosen else "yours" if detected == "yes" else "yours_against_no"
    yield "think", (messages.phrase(key, language), is_chosen and detected == "no")

    if card.context_length:
        is_over = settings.context_length > card.context_length and settings.model_type != "embedding"
        key = "over_maximum" if is_over else "context_detected"
        yield "context_length", (messages.phrase(key, language, count=messages.group_digits(card.context_length)), is_over)


def make_note(name: str, session: Session, registry: ModelRegistry | None, model_note: Note | None) -> Note:
    """Return the note beside a field, with what ``model_notes`` has for it."""
    if name == "base_url":
        return _address_note(session)
    if name in _MODELS and registry and (model := str(getattr(session.settings, name))):
        if registry.models and not registry.has(model):
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


def _address_note(session: Session) -> Note:
    language = session.language
    try:
        address, (_, source) = session.address, session.typed_address()
    except OllamaMagicsError as error:  # a bad OLLAMA_HOST
        error.language = language
        return f"{error.what} {error.how_we_know}", True
    if saved := session.resolved.overridden:
        return messages.phrase("note_over", language, url=address.url, saved=saved), False
    if language == "en" or not address.reasons:
        return address.explain() or messages.phrase(f"address_{source}", language, url=address.url), False
    reasons = "；".join(messages.phrase(f"why_{getattr(why, 'name', 'spelling').lower()}", language) for why in address.reasons)
    return messages.phrase("address_changed", language, typed=address.typed, url=address.url, reasons=reasons), False
