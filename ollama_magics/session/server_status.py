"""Ask, while a cell waits, what the server is doing with its model."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.server.model_card import full_name
from ollama_magics.server.models import InstalledModels

_STATUS_LIMITS = Timeouts(connect=0.5, metadata=0.5)  # seconds for one request; a server that takes longer is not asked again


class ServerStatus:
    """Asks, while a cell waits, what the server is doing: in another thread, over a connection of its own, until a first failure.

    ``connected`` returns the client and the models of the session.
    """

    def __init__(self, connected: Callable[[], tuple[Client, InstalledModels]]) -> None:
        self._connected = connected
        self._ended = threading.Event()
        self._in_use = threading.Lock()  # held while the connection is used or closed
        self._client: Client | None = None
        self._failed = False

    def ask(self, model: str) -> str:
        """Return ``loading`` or ``queue`` (which is also reading the prompt), or an empty text where that is not known.

        A server lists a model once it is loaded (0.24.0). One that was loaded under another name that shares its
        weights is listed under that name.
        """
        if self._failed or not model or self._ended.is_set():
            return ""
        with self._in_use:
            doing = self._asked(model)
        if self._ended.is_set():
            self._close()
        return doing

    def end(self) -> None:
        """Cancel a request that is under way, and close the connection."""
        self._ended.set()
        self._close()

    def _asked(self, model: str) -> str:
        try:
            client, models = self._connected()
            if models.is_remote(model):
                return ""
            self._client = self._client or client.sibling(self._ended, _STATUS_LIMITS)
            loaded = {full_name(found.name) for found in self._client.loaded()}
        except (OllamaMagicsError, Cancelled):
            self._failed = True
            return ""
        return "queue" if full_name(model) in loaded else "loading"

    def _close(self) -> None:
        if self._client and self._in_use.acquire(blocking=False):  # else who asks closes it
            try:
                self._client.close()
            finally:
                self._in_use.release()
