"""A picture as it is sent to a model, checked, upright and without metadata, with a small one to show."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from io import BytesIO

_THUMBNAIL = (64, 64)  # pixels; smaller pictures stay as they are
_COLOURS = 128  # enough for so few pixels, at a third of the bytes


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

    def thumbnail(self) -> bytes:
        """Return a PNG of at most 64 × 64 pixels, to show what was sent."""
        from PIL import Image  # noqa: PLC0415 - only a prompt with a picture pays for Pillow

        with Image.open(BytesIO(self.data), formats=["PNG", "JPEG"]) as image:
            image.draft("RGB", _THUMBNAIL)
            image.thumbnail(_THUMBNAIL)
            small, buffer = image.convert("RGB").quantize(_COLOURS), BytesIO()
        small.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()
