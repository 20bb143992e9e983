"""Start and stop the stand-in server."""

from __future__ import annotations

import threading
from typing import Any, Self

from ollama_magics.fake_server.connection import Exchange, Listener, State

LOOPBACK = "127.0.0.1"
_LOOK_FOR_END = 0.05  # seconds between two looks of the accepting thread at whether it shall end


class FakeServer:
    """A server that speaks like Ollama and answers by rule, on 127.0.0.1 only.

    ``port`` 0 takes a free one. ``delay`` is the number of seconds before each token (and each batch of
    embeddings) and may be changed at any time. ``requests`` holds (method, path, JSON object or None) of every
    request in order of arrival.
    """

    def __init__(self, port: int = 0, *, delay: float = 0.02) -> None:
        self.port = port
        self._state = State(delay)
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address, without a slash at the end; it stays the same when the server is stopped."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def delay(self) -> float:
        """Seconds before each token."""
        return self._state.delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._state.delay = seconds

    @property
    def requests(self) -> list[tuple[str, str, dict[str, Any] | None]]:
        """The requests so far."""
        return self._state.requests

    @property
    def open_streams(self) -> int:
        """The number of answers that are being made right now."""
        return self._state.endpoints.open_streams

    def start(self) -> Self:
        """Listen, and return itself; OSError if the port is taken."""
        if self._listener is None:
            self._listener = Listener(LOOPBACK, self.port, self._state, Exchange)
            self.port = self._listener.server_address[1]
            self._thread = threading.Thread(target=self._listener.serve_forever, args=(_LOOK_FOR_END,), daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection; all threads have ended when this returns."""
        listener, self._listener = self._listener, None
        if listener is None or self._thread is None:
            return
        listener.shutdown()
        self._thread.join()
        listener.server_close()
        listener.close_connections()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
