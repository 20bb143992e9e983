"""What a server is doing while a cell waits, asked now and then and never in the way of the answer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.server.client import Timeouts
from ollama_magics.server.wire import full_name

if TYPE_CHECKING:
    from ollama_magics.server.client import Client
    from ollama_magics.session.session import Session

_LIMITS = Timeouts(connect=0.5, metadata=0.5)  # seconds for one look; a server that takes longer is not asked again


class ServerStatus:
    """Looks from one thread, over a connection of its own; a look that fails is the last."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ended = threading.Event()
        self._client: Client | None = None
        self._over = False

    def look(self, model: str) -> str:
        """Return ``loading`` or ``queue`` (which is also reading the prompt), or an empty text where that is not known.

        A server lists a model once it is loaded (0.24.0, seen). One that was loaded under another name that shares its
        weights is listed under that name.
        """
        if self._over or not model:
            return ""
        try:
            return self._look(model)
        except (OllamaMagicsError, Cancelled):
            self._over = True
            return ""

    def end(self) -> None:
        """Give up a look that is under way."""
        self._ended.set()

    def close(self) -> None:
        """Close the connection, when nobody looks any more."""
        if self._client:
            self._client.close()

    def _look(self, model: str) -> str:
        if self._session.installed.is_remote(model):
            return ""
        self._client = self._client or self._session.client.sibling(self._ended, _LIMITS)
        loaded = {full_name(found.name) for found in self._client.loaded()}
        return "queue" if full_name(model) in loaded else "loading"
