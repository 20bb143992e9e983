"""A picture as it is sent to a model: checked, upright, without metadata."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Picture:
    """PNG or JPEG bytes and what a person should know of them.

    ``width`` and ``height`` are those of what is sent, in pixels; ``source`` names a file or a variable; ``shrunk_from`` is
    the (width, height) of the original where it was larger than what is sent.
    """

    data: bytes = field(repr=False)
    width: int
    height: int
    source: str
    shrunk_from: tuple[int, int] | None = None

    @property
    def base64(self) -> str:
        """The bytes as Ollama wants them: base64 letters, no data URL."""
        return base64.b64encode(self.data).decode("ascii")
