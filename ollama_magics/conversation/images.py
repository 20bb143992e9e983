"""A picture as it is sent to a model: checked, upright, without metadata, as PNG or JPEG."""

from __future__ import annotations

import base64
import struct
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, NoReturn

from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

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


# What every vision model shrinks to or below on its own; a longer side only costs time.
LONGEST_SIDE = 2048
# 100 megapixels: a decoded picture of that size takes 400 MB.
MOST_PIXELS = 100_000_000
# Raster formats of daily use. EPS, PSD, WMF and the like run foreign programs or rarely hold what they seem to.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "WEBP", "TIFF", "ICO", "PPM")
_JPEG = frozenset({"JPEG", "MPO"})
_JPEG_QUALITY = 92
# More colours than this: a photograph rather than a plot, worth trying as JPEG.
_PHOTOGRAPH = 4096
# Of an error that is not ours: as much as fits in a line or two.
_MOST_WORDS = 200
_BOX = (LONGEST_SIDE, LONGEST_SIDE)
# 16-bit greys: ITU full scale to full scale.
_SIXTEEN_TO_EIGHT = 257
_BEGINNINGS = (
    ((b"%pdf",), Phrase("is_pdf")),
    ((b"<svg", b"<?xml"), Phrase("is_svg")),
    ((b"<!doctype html", b"<html"), Phrase("is_page")),
    ((b"%!ps",), Phrase("is_postscript")),
    ((b"\x89png", b"\xff\xd8\xff", b"gif8", b"riff", b"ii*\0", b"mm\0*"), Phrase("is_damaged")),
)


def from_bytes(data: bytes, source: str) -> Picture:
    """Return the picture that the bytes hold, whatever their name says; ``source`` is what errors call it."""
    from PIL import Image  # noqa: PLC0415 - only a prompt with a picture pays for Pillow

    if not data:
        refuse("picture-unreadable", source, Phrase("is_empty_file"))
    with _decoding(source, data), _quiet():
        image = Image.open(BytesIO(data), formats=_formats())
        _check_size(image.size, source)
        image.load()
        return _picture(image, source, photograph=image.format in _JPEG)


def from_image(image: Image, source: str) -> Picture:
    """Return the picture that a PIL image shows now; the image itself is left as it is."""
    if image.format not in (None, *FORMATS):
        refuse("picture-unreadable", source, Phrase("opened_as", format=image.format))
    _check_size(image.size, source)
    with _decoding(source, b""), _quiet():
        return _picture(image, source, photograph=image.format in _JPEG)


def refuse(code: str, source: str, reason: Phrase, *, debug: str = "") -> NoReturn:
    """Raise the error of the code about the source."""
    raise PictureProblem(code, source=source, reason=reason, debug=debug) from None


def last_words(error: Exception) -> str:
    """Return the last line of an error's text, or its kind where it has none."""
    lines = str(error).strip().splitlines()
    return (lines[-1] if lines else type(error).__name__)[:_MOST_WORDS]


def too_many_pixels(width: int, height: int, source: str) -> NoReturn:
    """Raise the error of a picture that would fill the memory."""
    refuse("picture-too-large", source, Phrase("many_pixels", width=width, height=height, most=MOST_PIXELS // 1_000_000))


def _formats() -> list[str]:
    from PIL import Image, features  # noqa: PLC0415 - as above

    Image.preinit()
    for name in ("IcoImagePlugin", "TiffImagePlugin", *(["WebPImagePlugin"] if features.check("webp") else [])):
        __import__(f"PIL.{name}")
    return [name for name in FORMATS if name in Image.OPEN]


@contextmanager
def _quiet() -> Iterator[None]:
    # Pillow warns of sizes that we judge ourselves, and a notebook may have told it to accept cut pictures.
    from PIL import ImageFile  # noqa: PLC0415 - as above

    tolerant, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerant


@contextmanager
def _decoding(source: str, data: bytes) -> Iterator[None]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - as above

    try:
        yield
    except PictureProblem:
        raise
    except Image.DecompressionBombError as error:
        refuse("picture-too-large", source, Phrase("bomb"), debug=str(error))
    except UnidentifiedImageError as error:
        refuse("picture-unreadable", source, _guess(data), debug=str(error))
    # Decoders meet hostile bytes with whatever they stumble over (OSError, ValueError, KeyError and so on).
    except Exception as error:  # noqa: BLE001
        refuse("picture-unreadable", source, Phrase("decoding_stopped", said=last_words(error)), debug=repr(error))


def _guess(data: bytes) -> Phrase:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if data[4:8] == b"ftyp":
        return Phrase("is_film")
    named = (said for beginnings, said in _BEGINNINGS if start.startswith(beginnings))
    return next(named, Phrase("no_picture"))


def _check_size(size: tuple[int, int], source: str) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        too_many_pixels(width, height, source)
    if not width * height:
        refuse("picture-unreadable", source, Phrase("no_pixels", width=width, height=height))


def _picture(image: Image, source: str, *, photograph: bool) -> Picture:
    image = _upright(_eight_bits(image))
    original = image.size
    image, transparent = _opaque(image)
    if max(original) > LONGEST_SIDE:
        from PIL import Image as Pillow  # noqa: PLC0415 - as above

        image.thumbnail(_BOX, Pillow.Resampling.LANCZOS)
    data = _encoded(image, photograph=photograph, transparent=transparent)
    return Picture(data, *image.size, source, shrunk_from=original if image.size != original else None)


def _upright(image: Image) -> Image:
    from PIL import ImageOps  # noqa: PLC0415 - as above

    try:
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        # Orientation that cannot be read is no orientation, for every viewer.
        return image


def _eight_bits(image: Image) -> Image:
    # Pillow's own conversion would clip everything above 255 to white.
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value / _SIXTEEN_TO_EIGHT).convert("L")
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return image.point(lambda value: value / _SIXTEEN_TO_EIGHT).convert("L")
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no fixed scale; scale them to 0 to 255 and convert to 8 bits")
    return image


def _opaque(image: Image) -> tuple[Image, bool]:
    # A copy as L or RGB, on white where the image is transparent, and whether it was.
    from PIL import Image as Pillow  # noqa: PLC0415 - as above

    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Pillow.new("RGBA", layer.size, "white")
        return Pillow.alpha_composite(white, layer).convert("RGB"), True
    return image.convert("L" if image.mode in ("1", "L") else "RGB"), False


def _encoded(image: Image, *, photograph: bool, transparent: bool) -> bytes:
    # Metadata stands in `info` and would be written again.
    image.info = {}
    if photograph:
        return _saved(image, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    png = _saved(image, "PNG")
    if transparent or image.getcolors(_PHOTOGRAPH) is not None:
        return png
    jpeg = _saved(image, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return jpeg if 2 * len(jpeg) < len(png) else png


def _saved(image: Image, kind: str, **options: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
