"""Check an image and encode it for a model: upright, without metadata, as PNG or JPEG."""

from __future__ import annotations

import base64
import struct
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from ollama_magics.conversation.notes import Note
from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

LONGEST_SIDE = 2048  # every vision model shrinks to this or below on its own; a longer side only costs time
MAX_PIXELS = 100_000_000  # a decoded image of that size takes 400 MB
# Raster formats of daily use. EPS, PSD, WMF and the like run other programs or rarely hold what they seem to.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "WEBP", "TIFF", "ICO", "PPM")
_JPEG = frozenset({"JPEG", "MPO"})
_JPEG_OPTIONS = {"quality": 92, "subsampling": 0}
_PHOTOGRAPH_COLOURS = 4096  # with more, it is a photograph rather than a plot, so that JPEG may be smaller
_SIXTEEN_TO_EIGHT = 257  # from full scale of 16-bit greys to full scale of 8-bit ones
_THUMBNAIL_SIZE = (64, 64)  # pixels; smaller images stay as they are
_THUMBNAIL_COLOURS = 128  # enough for so few pixels, at a third of the bytes
_MAX_ERROR_TEXT = 200  # characters of another library's error
_SIGNATURES = (
    ((b"%pdf",), Phrase("is_pdf")),
    ((b"<svg", b"<?xml"), Phrase("is_svg")),
    ((b"<!doctype html", b"<html"), Phrase("is_page")),
    ((b"%!ps",), Phrase("is_postscript")),
    ((b"\x89png", b"\xff\xd8\xff", b"gif8", b"riff", b"ii*\0", b"mm\0*"), Phrase("is_damaged")),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """PNG or JPEG bytes as they are sent, and where they are from.

    ``width`` and ``height`` are those of the sent image, in pixels. ``source`` names a file or a variable. ``shrunk_from`` is
    the (width, height) of the original where that was larger. ``notes`` say what was lost or converted.
    """

    data: bytes = field(repr=False)
    width: int
    height: int
    source: str
    shrunk_from: tuple[int, int] | None = None
    notes: tuple[Note, ...] = ()

    @property
    def base64(self) -> str:
        """The bytes as Ollama takes them: Base64 text, no data URL."""
        return base64.b64encode(self.data).decode("ascii")

    def thumbnail(self) -> bytes:
        """Return a PNG of at most 64 × 64 pixels."""
        from PIL import Image  # noqa: PLC0415 - only a prompt with an image pays for Pillow

        with Image.open(BytesIO(self.data), formats=["PNG", "JPEG"]) as image:
            image.draft("RGB", _THUMBNAIL_SIZE)
            image.thumbnail(_THUMBNAIL_SIZE)
            return _file(image.convert("RGB").quantize(_THUMBNAIL_COLOURS), "PNG", optimize=True)


def from_bytes(data: bytes, source: str) -> Picture:
    """Return the picture that the bytes hold, which errors call ``source``; raises PictureProblem."""
    from PIL import Image, features  # noqa: PLC0415 - only a prompt with an image pays for Pillow

    if not data:
        raise PictureProblem("picture-unreadable", source=source, reason=Phrase("is_empty_file"))
    with _pillow_errors(source, data):
        Image.preinit()
        for name in ("IcoImagePlugin", "TiffImagePlugin", *(["WebPImagePlugin"] if features.check("webp") else [])):
            __import__(f"PIL.{name}")
        image = Image.open(BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])
        require_size(*image.size, source)
        image.load()
        return _encode(image, source)


def from_image(image: Image, source: str) -> Picture:
    """Return the picture that a Pillow image shows, without changing the image; raises PictureProblem."""
    if image.format not in (None, *FORMATS):
        raise PictureProblem("picture-unreadable", source=source, reason=Phrase("opened_as", format=image.format))
    require_size(*image.size, source)
    with _pillow_errors(source, b""):
        return _encode(image, source)


def require_size(width: int, height: int, source: str) -> None:
    """Raise PictureProblem for an image that would fill the memory, and for one without pixels."""
    if width * height > MAX_PIXELS:
        reason = Phrase("many_pixels", width=width, height=height, most=MAX_PIXELS // 1_000_000)
        raise PictureProblem("picture-too-large", source=source, reason=reason)
    if not width * height:
        raise PictureProblem("picture-unreadable", source=source, reason=Phrase("no_pixels", width=width, height=height))


def last_line(error: Exception) -> str:
    """Return the last line of an error's text, or its type where it has none."""
    lines = str(error).strip().splitlines()
    return (lines[-1] if lines else type(error).__name__)[:_MAX_ERROR_TEXT]


@contextmanager
def _pillow_errors(source: str, data: bytes) -> Iterator[None]:
    """Raise PictureProblem for whatever Pillow raises, without its warnings and without its tolerance for cut files."""
    from PIL import Image, ImageFile, UnidentifiedImageError  # noqa: PLC0415 - as above

    tolerates_cuts, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, which are checked here
            yield
    except PictureProblem:
        raise
    except Image.DecompressionBombError as error:
        raise PictureProblem("picture-too-large", source=source, reason=Phrase("bomb"), debug=str(error)) from None
    except UnidentifiedImageError as error:
        start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        kinds = (phrase for signatures, phrase in _SIGNATURES if start.startswith(signatures))
        reason = Phrase("is_film") if data[4:8] == b"ftyp" else next(kinds, Phrase("no_picture"))
        raise PictureProblem("picture-unreadable", source=source, reason=reason, debug=str(error)) from None
    # Damaged bytes make decoders raise anything: OSError, ValueError, KeyError and so on.
    except Exception as error:  # noqa: BLE001
        reason = Phrase("decoding_stopped", said=last_line(error))
        raise PictureProblem("picture-unreadable", source=source, reason=reason, debug=repr(error)) from None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerates_cuts


def _encode(image: Image, source: str) -> Picture:
    from PIL import Image as Pillow  # noqa: PLC0415 - as above
    from PIL import ImageOps  # noqa: PLC0415 - as above

    is_photograph = image.format in _JPEG
    # Pillow's own conversion to 8 bits would clip everything above 255 to white.
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / _SIXTEEN_TO_EIGHT).convert("L")
    elif image.mode == "I" and image.format in ("PNG", "PPM"):
        image = image.point(lambda value: value / _SIXTEEN_TO_EIGHT).convert("L")
    elif image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no fixed scale; scale them to 0 to 255 and convert to 8 bits")
    with suppress(OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):  # of an orientation that is broken
        image = ImageOps.exif_transpose(image)

    # on white where the image is transparent
    original = image.size
    is_transparent = image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info
    if is_transparent:
        layer = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", layer.size, "white"), layer).convert("RGB")
    else:
        image = image.convert("L" if image.mode in ("1", "L") else "RGB")

    if max(original) > LONGEST_SIDE:
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Pillow.Resampling.LANCZOS)
    image.info = {}  # metadata, which would be written again
    data = _file(image, "JPEG", **_JPEG_OPTIONS) if is_photograph else _file(image, "PNG")
    has_many_colours = not is_photograph and not is_transparent and image.getcolors(_PHOTOGRAPH_COLOURS) is None
    if has_many_colours and 2 * len(jpeg := _file(image, "JPEG", **_JPEG_OPTIONS)) < len(data):
        data = jpeg
    if image.size == original:
        return Picture(data, *image.size, source)
    old, new = ("{} × {}".format(*size) for size in (original, image.size))
    shrunk = Note(Phrase("shrunk", old=old, new=new), loses=False)
    return Picture(data, *image.size, source, shrunk_from=original, notes=(shrunk,))


def _file(image: Image, kind: str, **options: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
