"""Let a server download a model, measure how far it is over all layers, and classify why it failed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec

from ollama_magics import messages
from ollama_magics.errors import AnswerCut, ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.server.client import Client
from ollama_magics.server.failures import quote
from ollama_magics.server.identity import of_old_server
from ollama_magics.server.model_names import is_name, read_name

# What the server says of a pull that failed; the first whose words are found counts. The texts are those of the versions 0.12 to
# 0.34, of Go's network library, and of the registries.
_CAUSES = {
    "pull-cancelled": r"context canceled|cancell?ed",
    "model-needs-newer-server": r"\b412\b|newer version of Ollama",
    "pull-disk-full": r"no space left|not enough (?:disk )?space|insufficient (?:disk )?space|quota exceeded|disk full",
    "pull-not-writable": r"permission denied|read-only file system|access is denied",
    "pull-digest": r"digest mismatch|must be downloaded again",
    "pull-proxy": r"proxyconnect|proxy authentication|\b407\b|socks connect",
    "pull-tls": r"x509|certificate|\btls: |HTTP response to HTTPS client",
    "pull-format": r"not GGUF|not compatible with llama|not a valid quantization|sharded GGUF|unsupported format",
    "pull-limited": r"\b429\b|too many requests|rate limit",
    "pull-no-network": r"no such host|server misbehaving|unreachable|no route to host|name resolution|dial tcp",
    "pull-interrupted": r"timeout|deadline exceeded|max retries exceeded|connection reset|unexpected EOF|\bEOF$|stalled",
    "pull-denied": r"(?:^|: )40[13]\b|unauthori[sz]ed|forbidden|access denied|gated|invalid username or password",
    "pull-unknown": r"file does not exist|(?:^|: )404\b|not found|manifest unknown",
    "pull-registry-failed": r"(?:^|: )5\d\d\b|internal server error|bad gateway|service unavailable",
}
_SHORTEST = 0.5  # seconds after which a speed is reported

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Step(msgspec.Struct, frozen=True):
    """One line of the answer to a pull."""

    status: str = ""
    digest: str = ""
    total: _Count = 0
    completed: _Count = 0
    error: str = ""


@dataclass(frozen=True)
class PullProgress:
    """One step of a download.

    Attributes
    ----------
    status : str
        What the server does, such as *pulling manifest*; the last is *success*.
    total, completed : int
        Bytes of the layer that ``status`` names; 0 where it has none.
    size, downloaded : int
        Bytes of all layers that were named so far.
    reused : int
        Of these, bytes that were on the server before.
    speed : float or None
        Bytes a second since the first layer began; None where it is not known yet.

    """

    status: str = ""
    total: int = 0
    completed: int = 0
    size: int = 0
    downloaded: int = 0
    reused: int = 0
    speed: float | None = None

    @property
    def share(self) -> float:
        """How much of all layers is there, from 0 to 1."""
        return min(1.0, self.downloaded / self.size) if self.size else 0.0

    @property
    def seconds_left(self) -> float | None:
        """The seconds that the rest takes at this speed, if it is known."""
        return max(0, self.size - self.downloaded) / self.speed if self.speed else None

    def figures(self) -> list[Phrase | str]:
        """Return status, bytes, speed and time left, as far as they are known."""
        found: list[Phrase | str] = [messages.strip_controls(self.status)]
        if self.size:
            done, size = messages.bytes_text(self.downloaded), messages.bytes_text(self.size)
            found.append(Phrase("pull_bytes", done=done, size=size))
        if self.speed and self.downloaded < self.size:
            found.append(Phrase("pull_speed", speed=messages.bytes_text(round(self.speed))))
            found.append(Phrase("rows_time_left", time=messages.duration(round(self.seconds_left or 0))))
        return found


class _Layers:
    """The layers of one download, added up."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}  # completed and total bytes by digest
        self._downloaded, self._size, self._reused, self._began = 0, 0, 0, 0.0

    def add(self, step: _Step) -> PullProgress:
        """Return the progress after a step; what is there when a layer is first named was downloaded before."""
        if step.total:
            layer = step.digest or step.status
            if layer not in self._layers:
                self._reused += step.completed
                self._began = self._began or time.monotonic()
            completed, total = self._layers.get(layer, (0, 0))
            self._downloaded, self._size = self._downloaded + step.completed - completed, self._size + step.total - total
            self._layers[layer] = (step.completed, step.total)
        seconds, new = time.monotonic() - self._began, self._downloaded - self._reused
        speed = new / seconds if self._layers and new > 0 and seconds > _SHORTEST else None
        return PullProgress(step.status, step.total, step.completed, self._size, self._downloaded, self._reused, speed)


def pull(client: Client, typed: str) -> Iterator[PullProgress]:
    """Yield the progress of a download; leaving the iteration stops it, and the next pull goes on there.

    ``typed`` may also be a command or a link. Raises ModelProblem (``model-name-invalid``), and RequestRefused with a code for
    each cause where it fails or ends early.
    """
    model, layers = require_name(typed), _Layers()
    try:
        for line in _lines(client, model):
            try:
                step = msgspec.json.decode(line, type=_Step)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                step = _Step(error=line[:80].decode("utf-8", "replace"))
            if step.error:
                raise _failure(model, client.address.host, client.cleaned(step.error))
            yield layers.add(msgspec.structs.replace(step, status=client.cleaned(step.status)))
            if step.status == "success":
                return
    except AnswerCut as cut:
        raise _ended_early(model, cut.facts["most"] if cut.code == "answer-endless" else None) from None
    raise _ended_early(model)


def _lines(client: Client, model: str) -> Iterator[bytes]:
    with of_old_server(client):
        yield from client.lines("/api/pull", {"model": model})


def require_name(typed: str) -> str:
    """Return the name that was typed, perhaps as a command or a link; raises ModelProblem where no model can have it."""
    name = read_name(typed) if isinstance(typed, str) else ""  # from Python it may be anything
    if not is_name(name):
        raise ModelProblem("model-name-invalid", nearest="", model=quote(str(typed)) or '""')
    return name


def _failure(model: str, host: str, said: str) -> OllamaMagicsError:
    code = next((code for code, words in _CAUSES.items() if re.search(words, said, re.IGNORECASE)), "pull-failed")
    known = Phrase("server_said", said=said)
    return RequestRefused(code, status=200, model=model, host=host, said=said, reason=known)


def _ended_early(model: str, reason: Phrase | None = None) -> RequestRefused:
    return RequestRefused("pull-failed", status=200, model=model, reason=reason or Phrase("pull_ended"))
