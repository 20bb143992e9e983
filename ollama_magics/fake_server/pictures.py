"""Decode pictures, and describe them by size and main colours."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter

from ollama_magics.fake_server import responses
from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.responses import ApiError

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
READABLE = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TGA")  # by the runner of 0.24.0, which other formats crash
_SAMPLE = (48, 48)
_SMALLEST_SHARE = 0.1
_MOST_COLOURS = 3

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_GROUP, _MOST_PADDING = 4, 2  # letters
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def decode(text: str) -> bytes:
    """Return the bytes of strict base64, in which only line ends are ignored; ApiError with the position that Go would name."""
    packed = text.replace("\r", "").replace("\n", "")
    if not _BASE64.fullmatch(packed):
        raise ApiError(f"illegal base64 data at input byte {_fault(text)}")
    return base64.b64decode(packed)


def _fault(text: str) -> int:
    """Return where Go's decoder stops: at a letter out of place, or at the start of a group that is not full."""
    letters = [(at, char) for at, char in enumerate(text) if char not in "\r\n"]
    for number, (at, char) in enumerate(letters):
        if char in _ALPHABET:
            continue
        padding = _GROUP - number % _GROUP
        if char != "=" or padding > _MOST_PADDING:
            return at
        rest = letters[number:]
        if len(rest) < padding:
            return len(text)
        return at if any(char != "=" for _, char in rest[:padding]) else rest[padding][0]
    return letters[len(letters) - len(letters) % _GROUP][0]


def describe(pictures: tuple[bytes, ...], release: Release, *, hears: bool = False) -> str:
    """Return one sentence for each picture, or sound where the model ``hears``; ApiError for one that cannot be read."""
    readable = (*READABLE, "WEBP") if release.runs_llama_server else READABLE
    if hears and all(map(_is_sound, pictures)):
        return f"I hear {' and '.join(f'{len(data)} bytes of sound' for data in pictures)}."
    described = [f"a sound of {len(data)} bytes" if hears and _is_sound(data) else _describe(data, readable) for data in pictures]
    if len(described) == 1:
        return f"The picture is {described[0]}."
    return " ".join(f"Picture {number} is {text}." for number, text in enumerate(described, start=1))


def _is_sound(data: bytes) -> bool:
    return (data[:4] == b"RIFF" and data[8:12] == b"WAVE") or data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1] >= 0xE0)


def _describe(data: bytes, readable: tuple[str, ...]) -> str:
    """Return size and main colours of a picture in words."""
    from PIL import Image  # noqa: PLC0415 - only a request with a picture loads Pillow

    if not data:
        older = ApiError("Failed to create new sequence: failed to process inputs: received zero length image", 500)
        raise responses.unreadable_picture(older)
    try:
        picture = Image.open(io.BytesIO(data), formats=readable).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise responses.unreadable_picture(responses.runner_stopped()) from None

    # count the nearest colours of some pixels, seen on a white background
    raw = picture.resize(_SAMPLE, resample=0).tobytes()  # 0: the nearest pixel, so that no colour is mixed
    counts: Counter[str] = Counter()
    for *channels, alpha in zip(raw[0::4], raw[1::4], raw[2::4], raw[3::4], strict=True):
        pixel = [(channel * alpha + 255 * (255 - alpha)) // 255 for channel in channels]
        distances = {name: sum((a - b) ** 2 for a, b in zip(colour, pixel, strict=True)) for name, colour in COLOURS.items()}
        counts[min(distances, key=distances.__getitem__)] += 1
    ranked = [(name, count / counts.total()) for name, count in counts.most_common(_MOST_COLOURS)]
    named = [f"{name} ({share:.0%})" for name, share in ranked if share >= _SMALLEST_SHARE or name == ranked[0][0]]
    colours = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else f"mostly {ranked[0][0]}"
    return f"{picture.width} × {picture.height} pixels, {colours}"
