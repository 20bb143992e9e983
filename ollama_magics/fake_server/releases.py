"""Which release of Ollama the stand-in server behaves as."""

from __future__ import annotations

from enum import Enum


class Release(Enum):
    """A release whose answers are known: the last one before llama-server, and the newest."""

    OLDER = "0.24.0"
    NEWEST = "0.34.4"

    @property
    def runs_llama_server(self) -> bool:
        """Whether models run in llama-server, which refuses more, in other words, and pads the context."""
        return self is Release.NEWEST
