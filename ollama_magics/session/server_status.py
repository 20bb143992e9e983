"""Ask now and then what a server is doing while a cell waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.server.models import InstalledModels
from ollama_magics.server.wire import full_name

_LIMITS = Timeouts(connect=0.5, metadata=0.5)  # seconds for one request; a server that takes longer is not asked again


class ServerStatus:
    """Asks from one thread, over a connection of its own; the first failure is the last request.

    ``connected`` returns the client and the models of the session.
    """

    def __init__(self, connected: Callable[[], tuple[Client, InstalledModels]]) -> None:
        self._connected = connected
        self._ended = threading.Event()
        self._client: Client | None = None
        self._failed = False

    def look(self, model: str) -> str:
        """Return ``loading`` or ``queue`` (which is also reading the prompt), or an empty text where that is not known.

        A server lists a model once it is loaded (0.24.0). One that was loaded under another name that shares its
        weights is listed under that name.
        """
        if self._failed or not model:
            return ""
        try:
            client, models = self._connected()
            if models.is_remote(model):
                return ""
            self._client = self._client or client.sibling(self._ended, _LIMITS)
            loaded = {full_name(found.name) for found in self._client.loaded()}
        except (OllamaMagicsError, Cancelled):
            self._failed = True
            return ""
        return "queue" if full_name(model) in loaded else "loading"

    def end(self) -> None:
        """Cancel a request that is under way."""
        self._ended.set()

    def close(self) -> None:
        """Close the connection, once no thread uses it."""
        if self._client:
            self._client.close()
