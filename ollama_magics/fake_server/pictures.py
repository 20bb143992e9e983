"""What a picture shows, as far as its size and its main colours tell."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from typing import TYPE_CHECKING

from ollama_magics.fake_server import responses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (230, 20, 20),
    "orange": (255, 140, 0),
    "yellow": (245, 230, 30),
    "green": (20, 160, 40),
    "cyan": (0, 215, 225),
    "blue": (30, 60, 220),
    "purple": (130, 30, 150),
    "pink": (250, 130, 190),
    "brown": (125, 70, 25),
}
# What the runner of 0.24.0 can read; WEBP and TIFF make it fall over.
READABLE = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TGA")
_SAMPLE = (48, 48)
_SMALLEST_SHARE = 0.1
_MOST_COLOURS = 3

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_GROUP, _MOST_PADDING = 4, 2  # letters
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def decode(text: str) -> bytes:
    """Return the bytes of a picture from strict base64, in which only line ends may be left over.

    Raises RefusalError with the position that Go's decoder would name.
    """
    packed = text.replace("\r", "").replace("\n", "")
    if not _BASE64.fullmatch(packed):
        raise responses.bad_base64(_fault(text))
    return base64.b64decode(packed)


def _fault(text: str) -> int:
    """Return where Go's decoder stops: at a letter out of place, or at the start of a group that is not full."""
    letters = [(at, char) for at, char in enumerate(text) if char not in "\r\n"]
    for number, (at, char) in enumerate(letters):
        if char in _ALPHABET:
            continue
        padding = _GROUP - number % _GROUP
        if char == "=" and padding <= _MOST_PADDING:
            return _padding_fault(letters[number:], padding, len(text))
        return at
    return letters[len(letters) - len(letters) % _GROUP][0]


def _padding_fault(rest: list[tuple[int, str]], padding: int, end: int) -> int:
    if len(rest) < padding:
        return end
    if any(char != "=" for _, char in rest[:padding]):
        return rest[0][0]
    return rest[padding][0]


def describe(pictures: tuple[bytes, ...]) -> str:
    """Return one sentence a picture, numbered if there are several.

    Raises RefusalError for what the runner of 0.24.0 cannot read.
    """
    if len(pictures) == 1:
        return f"The picture is {_look(pictures[0])}."
    return " ".join(f"Picture {number} is {_look(data)}." for number, data in enumerate(pictures, start=1))


def _look(data: bytes) -> str:
    picture = _open(data)
    width, height = picture.size
    return f"{width} × {height} pixels, {_colours(picture)}"


def _open(data: bytes) -> Image:
    from PIL import Image  # noqa: PLC0415 - only who sends a picture waits for Pillow

    if not data:
        raise responses.empty_picture()
    try:
        return Image.open(io.BytesIO(data), formats=READABLE).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise responses.runner_stopped() from None


def _colours(picture: Image) -> str:
    shares = _shares(picture)
    if len(shares) == 1:
        return f"mostly {shares[0][0]}"
    named = [f"{name} ({share:.0%})" for name, share in shares]
    return f"{', '.join(named[:-1])} and {named[-1]}"


def _shares(picture: Image) -> list[tuple[str, float]]:
    seen = Counter(_nearest(pixel) for pixel in _pixels(picture))
    total = seen.total()
    ranked = [(name, times / total) for name, times in seen.most_common(_MOST_COLOURS)]
    return [ranked[0], *((name, share) for name, share in ranked[1:] if share >= _SMALLEST_SHARE)]


def _pixels(picture: Image) -> Iterator[tuple[int, int, int]]:
    """Return a sample of the pixels on a white ground, as red, green and blue."""
    raw = picture.resize(_SAMPLE, resample=0).tobytes()  # 0: the nearest pixel, so that no colour is mixed
    for red, green, blue, alpha in zip(raw[0::4], raw[1::4], raw[2::4], raw[3::4], strict=True):
        yield tuple((part * alpha + 255 * (255 - alpha)) // 255 for part in (red, green, blue))  # type: ignore[misc]


def _nearest(pixel: tuple[int, int, int]) -> str:
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], pixel, strict=True)))
