"""What is said of the address that is used: where it comes from, and why it differs from what was typed."""

from __future__ import annotations

from ollama_magics import messages
from ollama_magics.server.address.reading import Address


def address_told(address: Address, source: str, saved: str, language: str) -> str:
    """Return one line about an address; ``saved`` is the one of a profile that the environment has taken the place of."""
    source = "over" if saved else source
    if not address.reasons:
        return messages.phrase(f"address_{source}", language, url=address.url, saved=saved)
    changed = _changed(address, language)
    if source in ("default", "notebook"):
        return changed
    return f"{changed} · {messages.phrase(f'from_{source}', language, saved=saved)}"


def _changed(address: Address, language: str) -> str:
    if language == "en":
        return address.explain()
    names = (f"why_{getattr(why, 'name', 'spelling').lower()}" for why in address.reasons)
    reasons = "；".join(messages.phrase(name, language) for name in names)
    return messages.phrase("address_changed", language, typed=address.typed, url=address.url, reasons=reasons)
