"""What goes with every request besides its body: the key, name and password, headers of the person's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import httpx

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase
from ollama_magics.secret import BULLETS, revealed
from ollama_magics.server.address import Address
from ollama_magics.server.transport import ConnectionOptions

_SHORTEST = 4  # characters of what is taken out of a server's words; less would spoil them and hide nothing


def headers(key: str, others: Mapping[str, str]) -> httpx.Headers:
    """Return the headers of a client; raises SettingError for a key that HTTP does not allow."""
    if not (key.isascii() and key.isprintable()):
        raise SettingError(
            "setting-invalid",
            value=Phrase("the_key"),
            setting="OLLAMA_API_KEY",
            reason=Phrase("broken_key"),
            example=Phrase("set_again"),
        )
    found = httpx.Headers({"User-Agent": "ollama-magics", **others})
    found.update({"Accept-Encoding": "identity", "Content-Type": "application/json"})
    found.update({"Authorization": f"Bearer {key}"} if key else {})
    return found


def basic(address: Address) -> tuple[str, str] | None:
    """Return the name and password that stand in an address, or None."""
    if not (address.username or address.password):
        return None
    return address.username or "", address.password.reveal() if address.password else ""


def secrets(address: Address, key: str, way: ConnectionOptions) -> Iterator[str]:
    """Yield what of it may be written nowhere, whoever repeats it."""
    yield key
    yield from (basic(address) or ())[1:]
    yield from way.headers.values()
    yield revealed(way.proxy).rpartition("@")[0].rpartition(":")[2]


def without(said: bytes, hidden: Iterable[str]) -> bytes:
    """Return what a server said without the secrets that it repeats, as some do that refuse a key."""
    for secret in hidden:
        if len(secret) >= _SHORTEST:
            said = said.replace(secret.encode(), BULLETS.encode())
    return said
