"""What stands beside each field: where its value is from, what goes to the server, and what the server says about it."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel.models import Remark
from ollama_magics.server.models import ModelRegistry
from ollama_magics.session.session import Session
from ollama_magics.settings import form

_TOKENS = ("context_length", "max_tokens")
_MODELS = ("model", "embedding_model")
_ABILITIES = ("vision", "tools")
_BRIEF = (*_MODELS, *_TOKENS, *_ABILITIES, "model_type", "language")  # the rest say their help


def shown(name: str, session: Session) -> str:
    """Return the value of a setting as a field shows it, without what is secret."""
    return form.shown(getattr(session.settings, name))


def place(session: Session) -> str:
    """Return the address in force, or an empty text where it cannot be used."""
    try:
        return session.address.url
    except OllamaMagicsError:
        return ""


def note(name: str, session: Session, stock: ModelRegistry | None, remark: Remark | None) -> Remark:
    """Return what is said beside a field, and whether it is a contradiction."""
    if name == "base_url":
        return _address(session)
    if name in _MODELS and (known := _model(str(getattr(session.settings, name)), session, stock)):
        return known
    parts = [*_own(name, session, has_remark=remark is not None), remark[0] if remark else ""]
    return " · ".join(filter(None, parts)), bool(remark and remark[1])


def _own(name: str, session: Session, *, has_remark: bool) -> Iterator[str]:
    """Yield what is said without the server's word: what the setting is, and whose value this is."""
    source, language = session.resolved.source(name), session.language
    is_chosen = name in _ABILITIES and getattr(session.settings, name) != "auto"
    is_sent = name in _TOKENS and session.settings.model_type != "embedding"  # %embed takes --context
    if name not in _BRIEF:
        yield _help(name, language)
    elif is_sent or not (has_remark or is_chosen):
        yield messages.phrase(f"note_{name}", language, value=getattr(session.settings, name))
    if (source == "notebook" and name in (*_TOKENS, "model_type")) or (is_chosen and not has_remark):
        yield messages.phrase("mark_yours", language)
    elif source == "detected" and name in _TOKENS:
        yield messages.phrase("mark_detected", language)


def _help(name: str, language: str) -> str:
    key = f"help_{name}"
    return messages.phrase(key, language) if messages.has_phrase(key, language) else form.explain(name)


def _model(name: str, session: Session, stock: ModelRegistry | None) -> Remark | None:
    if not name or stock is None:
        return None
    if stock.models and not stock.has(name):
        return messages.phrase("not_installed", session.language), True
    known = stock.described(name, session.language)
    return (known, False) if known else None


def _address(session: Session) -> Remark:
    try:
        address, (_, source) = session.address, session.typed_address()
    except OllamaMagicsError as error:  # a bad OLLAMA_HOST
        error.language = session.language
        return f"{error.what} {error.how_we_know}", True
    if saved := session.resolved.overridden:
        return messages.phrase("note_over", session.language, url=address.url, saved=saved), False
    return _explained(session) or messages.phrase(f"address_{source}", session.language, url=address.url), False


def _explained(session: Session) -> str:
    address, language = session.address, session.language
    if language == "en" or not address.reasons:
        return address.explain()
    reasons = "；".join(messages.phrase(f"why_{getattr(why, 'name', 'spelling').lower()}", language) for why in address.reasons)
    return messages.phrase("address_changed", language, typed=address.typed, url=address.url, reasons=reasons)
