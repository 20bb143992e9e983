"""Check an image and encode it for a model: upright, without metadata, as PNG or JPEG."""

from __future__ import annotations

import base64
import struct
import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ollama_magics.conversation import pdf_pages, pixels, png_rows
from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.pages import Pages
from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Joined, Phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from PIL.Image import Image

LONGEST_SIDE = 2048  # every vision model shrinks to this or below on its own; a longer side only costs time
MAX_PIXELS = 100_000_000  # a decoded image of that size takes 400 MB
# Raster formats of daily use. EPS, PSD, WMF and the like run other programs or rarely hold what they seem to.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "WEBP", "TIFF", "ICO", "PPM")
_JPEG = frozenset({"JPEG", "MPO"})
_JPEG_OPTIONS = {"quality": 92, "subsampling": 0}
_PHOTOGRAPH_COLOURS = 4096  # with more, it is a photograph rather than a plot, so that JPEG may be smaller
_LARGE = 16_000_000  # pixels, from which on a PNG is reduced as it is decoded
_MOST_FRAMES = 1000  # that are looked at for pages
_SUBFILE_TAG, _NO_PAGE = 0x00FE, 0b101  # of a TIFF: a smaller copy of another page, or a mask
_DARK_UPPER_BYTE = 127  # of 16-bit colours: with less, they have fewer bits than 16
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}  # of two bytes: big, little, native
_ORIENTATION_TAG = 0x0112
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # how a camera was held, and Pillow's Transpose that turns it upright
_SIDEWAYS = {2, 4, 5, 6}  # of these
_THUMBNAIL_SIZE = (64, 64)  # pixels; smaller images stay as they are
_THUMBNAIL_COLOURS = 128  # enough for so few pixels, at a third of the bytes
_MAX_ERROR_TEXT = 200  # characters of another library's error
_FIRST_PAGES = Pages()
_SIGNATURES = (
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


def from_bytes(data: bytes, source: str, pages: Pages = _FIRST_PAGES) -> list[Picture]:
    """Return the pictures that the bytes hold, which errors call ``source``: of a PDF or TIFF the chosen pages.

    Of an animation there is one, of its first frame. What does not go out is in the notes of the first picture. Raises
    PictureProblem.
    """
    if not data:
        raise PictureProblem("picture-unreadable", source=source, reason=Phrase("is_empty_file"))
    if pdf_pages.is_pdf(data):
        (first, *others), notes = pdf_pages.draw(data, source, pages, LONGEST_SIDE, from_image)
        return [replace(first, notes=(*_named(source, notes), *first.notes)), *others]
    with _pillow_errors(source, data):
        image = _open(data)
        require_size(*image.size, source)
        factor = max(image.size) // LONGEST_SIDE
        is_large = image.format == "PNG" and factor > 1 and image.width * image.height > _LARGE
        if is_large and (small := png_rows.reduced(data, factor)):
            small.info = image.info
            return [_encode((small, ()), small, source, _pages(image, source, pages)[1], image.size)]
        image.load()
        if image.format == "PNG":
            png_rows.require_all_rows(data)
        numbers, note = _pages(image, source, pages)
        found = []
        for page in numbers:
            image.seek(page)
            require_size(*image.size, source)
            name = source if len(numbers) == 1 else f"{source}[{page}]"
            found.append(_encode(_sixteen_bit_colours(data, page) or (image, ()), image, name, note))
            note = None
        return found


def require_sendable(data: bytes, source: str) -> None:
    """Raise PictureProblem unless the bytes are a whole PNG or JPEG, as pictures are sent; they end some servers otherwise."""
    with _pillow_errors(source, data):
        image = _open(data)
        require_size(*image.size, source)
        if image.format not in ("PNG", "JPEG"):
            raise PictureProblem("picture-unreadable", source=source, reason=Phrase("opened_as", format=image.format))
        image.load()
        if image.format == "PNG":
            png_rows.require_all_rows(data)


def from_image(image: Image, source: str, notes: tuple[Note, ...] = ()) -> Picture:
    """Return the picture that a Pillow image shows, without changing the image; raises PictureProblem.

    ``notes`` say what was converted before.
    """
    if image.format not in (None, *FORMATS):
        raise PictureProblem("picture-unreadable", source=source, reason=Phrase("opened_as", format=image.format))
    require_size(*image.size, source)
    note = Note(Phrase("current_frame")) if getattr(image, "is_animated", False) and image.format != "MPO" else None
    with _pillow_errors(source, b""):
        return _encode((image, notes), image, source, note)


def _open(data: bytes) -> Image:
    from PIL import Image, features  # noqa: PLC0415 - only a prompt with an image pays for Pillow

    Image.preinit()
    for name in ("IcoImagePlugin", "TiffImagePlugin", *(["WebPImagePlugin"] if features.check("webp") else [])):
        __import__(f"PIL.{name}")
    return Image.open(BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])


def _pages(image: Any, source: str, pages: Pages) -> tuple[list[int], Note | None]:
    """Return the numbers of the frames that go out, and what to report about the others."""
    if image.format == "TIFF":
        numbers = []
        for page in range(min(image.n_frames, _MOST_FRAMES)):
            image.seek(page)
            if not image.tag_v2.get(_SUBFILE_TAG, 0) & _NO_PAGE:
                numbers.append(page)
        chosen, cut = pages.of(len(numbers), source)
        if cut and image.n_frames > _MOST_FRAMES:
            cut = Note(Phrase("first_pages", most=len(chosen), count=image.n_frames))
        return [numbers[position] for position in chosen] or [0], cut
    with suppress(Exception):  # of a frame behind the first one that is damaged
        if image.format != "MPO" and (count := getattr(image, "n_frames", 1)) > 1:
            image.seek(0)
            return [0], Note(Phrase("first_frame", count=count))
    return [0], None


def _sixteen_bit_colours(data: bytes, page: int) -> tuple[Image, tuple[Note, ...]] | None:
    """Return an image with dark colours of 16 bits in 8, and what to report; Pillow alone keeps their upper bytes."""
    upper: Any = _open(data)
    upper.seek(page)
    if upper.mode not in ("RGB", "RGBA") or not upper.tile or not all(";16" in _raw_mode(tile) for tile in upper.tile):
        return None
    upper.load()
    if max(high for _, high in upper.getextrema()[:3]) > _DARK_UPPER_BYTE:
        return None

    import numpy as np  # noqa: PLC0415 - as above
    from PIL import Image as Pillow  # noqa: PLC0415 - as above

    high = np.asarray(upper).astype(np.uint16)
    low = high
    with suppress(ValueError):  # the lower bytes are the upper ones of the other byte order; of grey with opacity there is none
        lower: Any = _open(data)
        lower.seek(page)
        lower.tile = [tile._replace(args=_other_order(tile[3])) for tile in lower.tile]
        low = np.asarray(lower)
    numbers = high << 8 | low
    scaled = pixels.eight_bits(numbers)
    return scaled and (Pillow.fromarray(scaled[0]), scaled[1])


def _raw_mode(tile: Any) -> str:
    return str(tile[3] if isinstance(tile[3], str) else tile[3][0])


def _other_order(arguments: Any) -> Any:
    mode = _raw_mode((None, None, None, arguments))
    other = mode[:-1] + _OTHER_ORDER[mode[-1]]
    return other if isinstance(arguments, str) else (other, *arguments[1:])


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


def _encode(
    decoded: tuple[Image, tuple[Note, ...]],
    original: Image,
    source: str,
    note: Note | None,
    size: tuple[int, int] | None = None,
) -> Picture:
    """Return the picture of a decoded image and what to report of it.

    ``original`` is the image as it was opened, ``size`` its (width, height) where it was reduced as it was decoded.
    """
    from PIL import Image as Pillow  # noqa: PLC0415 - as above

    image, notes = decoded
    converter = pixels.plain(image)
    if converter is None:
        raise PictureProblem("picture-unreadable", source=source, reason=Phrase("no_finite"))
    convert, converted = converter
    width, height = size or image.size
    if max(image.size) > LONGEST_SIDE:
        scale = LONGEST_SIDE / max(width, height)
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = pixels.shrink(image, small, convert)
    else:
        image = convert(image)
    image = pixels.to_srgb(image)

    turn = None
    with suppress(OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):  # of an orientation that is broken
        turn = _TURNS.get(original.getexif().get(_ORIENTATION_TAG, 1))
    if turn is not None:
        image = image.transpose(Pillow.Transpose(turn))
        width, height = (height, width) if turn in _SIDEWAYS else (width, height)
    is_transparent = image.mode == "RGBA"
    image, grounded = pixels.on_ground(image) if is_transparent else (image, ())

    data = _compressed(image, is_photograph=original.format in _JPEG, is_transparent=is_transparent)
    named = _named(source, (*notes, *converted, *grounded, *([note] if note else [])))
    if image.size == (width, height):
        return Picture(data, *image.size, source, notes=named)
    shrunk = Note(Phrase("shrunk", old=f"{width} × {height}", new=f"{image.width} × {image.height}"), loses=False)
    return Picture(data, *image.size, source, shrunk_from=(width, height), notes=(*named, shrunk))


def _named(source: str, notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return the notes with the name of the picture before each."""
    return tuple(Note(Joined((source, one.phrase), ": "), one.loses) for one in notes)


def _compressed(image: Image, *, is_photograph: bool, is_transparent: bool) -> bytes:
    image.info = {}  # metadata, which would be written again
    if is_photograph:
        return _file(image, "JPEG", **_JPEG_OPTIONS)
    data = _file(image, "PNG")
    if not is_transparent and image.getcolors(_PHOTOGRAPH_COLOURS) is None:  # many colours
        jpeg = _file(image, "JPEG", **_JPEG_OPTIONS)
        return jpeg if 2 * len(jpeg) < len(data) else data
    return data


def _file(image: Image, kind: str, **options: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
