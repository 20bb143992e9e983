"""What a session records to, or replays from: one file, shared by all of its clients and their threads."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from ollama_magics.errors import RecordingProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.recording.exchange import Exchange
from ollama_magics.server.recording.nearest import nearest
from ollama_magics.server.recording.transports import Recorded, Replayed
from ollama_magics.server.recording.written import Written, read

Sleep = Callable[[float], None]
# What is asked as often as it happens to be needed: of these the last answer holds from then on.
_LASTING = {"/api/ps", "/api/show", "/api/tags", "/api/version"}


class Tape(ABC):
    """A file of exchanges; ``replays`` says whether it answers instead of the server."""

    replays = False

    @abstractmethod
    def over(self, beneath: httpx.BaseTransport, sleep: Sleep, hidden: Sequence[str], place: str) -> httpx.BaseTransport:
        """Return the transport for a client; ``sleep`` waits as long as its session is open, ``hidden`` is never written.

        ``place`` is the host and port of its server.
        """

    @abstractmethod
    def close(self) -> None:
        """End it."""


def tape(path: str) -> Tape:
    """Return a recording to the file, which is begun anew; with OLLAMA_MAGICS_REPLAY=1 its replay. Raises RecordingProblem."""
    file = Path(path).expanduser()
    if os.environ.get("OLLAMA_MAGICS_REPLAY", "") in ("", "0"):
        return _Recording(Written(file))
    return _Replay(file, read(file), hurried=os.environ.get("OLLAMA_MAGICS_STREAM") == "off")


class _Recording(Tape):
    def __init__(self, file: Written) -> None:
        self._file, self._lock = file, threading.Lock()
        self._problem = ""

    def over(self, beneath: httpx.BaseTransport, sleep: Sleep, hidden: Sequence[str], place: str) -> httpx.BaseTransport:  # noqa: ARG002
        return Recorded(beneath, self.keep, self.require_whole, hidden, place)

    def require_whole(self) -> None:
        """Raise RecordingProblem where an exchange could not be written: what is asked now would be of no use."""
        if self._problem:
            raise RecordingProblem("OM-Y03", path=self._file.path, reason=Phrase("said", said=self._problem))

    def keep(self, exchange: Exchange) -> None:
        """Write an exchange; a file that cannot be written must not cost the answer, so that the next request tells it."""
        with self._lock:
            try:
                self._file.add(exchange)
            except OSError as error:
                self._problem = error.strerror or str(error)

    def close(self) -> None:
        """Write what is not written yet; the session ends, and nobody is left to be told of a failure."""
        with self._lock, suppress(OSError):
            self._file.close()


class _Replay(Tape):
    replays = True

    def __init__(self, path: Path, exchanges: Sequence[Exchange], *, hurried: bool) -> None:
        self._path, self._exchanges, self._hurried = path, exchanges, hurried
        self._lock = threading.Lock()
        self._left: dict[str, list[Exchange]] = {}
        for exchange in reversed(exchanges):
            self._left.setdefault(exchange.key, []).append(exchange)

    def over(self, beneath: httpx.BaseTransport, sleep: Sleep, hidden: Sequence[str], place: str) -> httpx.BaseTransport:  # noqa: ARG002
        return Replayed(beneath, self.answer, None if self._hurried else sleep, hidden)

    def close(self) -> None:
        """Nothing is open."""

    def answer(self, wanted: Exchange) -> Exchange:
        """Return the next recorded exchange of an equal request; raises RecordingProblem where there is none left."""
        with self._lock:
            left = self._left.get(wanted.key)
            if not left and wanted.path == "/api/ps":  # asked when a wait is long, which may be now and not then
                return Exchange(wanted.method, wanted.path, status=200, type="application/json", answer=[(0, {"models": []})])
            if not left:
                why = nearest(wanted, self._exchanges)
                raise RecordingProblem("OM-Y01", method=wanted.method, route=wanted.path, path=self._path, reason=why)
            return left[0] if len(left) == 1 and wanted.path in _LASTING else left.pop()
