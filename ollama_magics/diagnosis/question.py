"""What a check has to find out, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ollama_magics.server.transport.sending import SYSTEM_WAY, Tape, Way


@dataclass(frozen=True)
class Question:
    """The typed address and its source, the model and what it must be able to do, and how far the check goes.

    The first of ``abilities`` is what the model is for; further ones are claims of the form, and ``denied`` are those to which
    it says no. ``options`` and ``keep_alive`` are those of real use, so that a load is not wasted. ``deep`` asks the model
    itself; ``probes`` allows the look at other addresses after a failure. ``overridden`` is a saved address that the
    environment has taken the place of.
    """

    typed: str
    source: str = "default"
    model: str = ""
    abilities: tuple[str, ...] = ("completion",)
    timeout: float = 5
    language: str = "en"
    context_length: int = 4096
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive: Any = None
    key: str = field(default="", repr=False)
    way: Way = field(default=SYSTEM_WAY, repr=False)
    deep: bool = False
    probes: bool = True
    denied: tuple[str, ...] = ()
    overridden: str = ""
    tape: Tape | None = field(default=None, repr=False)

    @property
    def replays(self) -> bool:
        """Whether a recording answers, so that nothing may be connected."""
        return bool(self.tape and self.tape.replays)
