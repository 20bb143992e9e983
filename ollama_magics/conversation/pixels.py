"""Convert pixels of any depth, colour space and transparency to eight bits of sRGB, strip by strip."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ollama_magics.conversation.notes import Note
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_ROWS = 16  # of the result, that are made at a time; so no second copy of a large image is made
_REACH = 3  # pixels of the result from which the filter takes colours
_BYTE = 255
_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
_LIGHT, _DARK = 200, 55  # levels of grey from which on a pixel is lost on white, or up to which on black
DIMMEST = 16  # below it are masks and maps of classes, which would be black in the scale of bytes
_FEW = 0.05  # share of pixels that may be lost


@dataclass(frozen=True)
class Levels:
    """The numbers that stand for black and white, and what to report about them."""

    black: float
    white: float
    notes: tuple[Note, ...] = ()

    def to_bytes(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return the numbers as levels from 0 to 255; what is no number is black."""
        import numpy as np  # noqa: PLC0415 - only deep pixels and arrays need it

        scaled = (numbers.astype(np.float64) - self.black) * (_BYTE / ((self.white - self.black) or 1))
        levels = np.nan_to_num(scaled, nan=0, posinf=_BYTE, neginf=0).clip(0, _BYTE)
        return np.asarray(np.rint(levels), np.uint8)


def find_levels(blocks: Iterable[NDArray[Any]]) -> Levels | None:
    """Return the levels of an image given in blocks of numbers, or None where it holds no finite number.

    Whole numbers fill the smallest number of bits that holds them: 12-bit data in a 16-bit file is as bright as it was meant.
    Floats from 0 to 1 are what they are everywhere. Whatever has no such scale is stretched from its least to its largest.
    """
    import numpy as np  # noqa: PLC0415 - as above

    low, high, missing, is_whole, kind = math.inf, -math.inf, 0, True, np.dtype(np.uint8)
    for block in blocks:
        finite, kind = block[np.isfinite(block)], block.dtype
        missing += block.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            is_whole = is_whole and bool((finite == np.floor(finite)).all())
    if low > high:
        return None
    notes = (Note(Phrase("pixels_missing", count=missing)),) if missing else ()
    if low >= 0 and high <= 1 and kind.kind == "f":
        return Levels(0, 1, notes)
    if low < 0 or not is_whole or (high > _BYTE and kind.kind == "f"):
        return Levels(low, high, (*notes, Note(Phrase("pixels_stretched", low=f"{low:.4g}", high=f"{high:.4g}"))))
    bits = int(high).bit_length()
    bits = bits if low < high < DIMMEST else max(8, bits)
    is_usual = bits == 8 and kind.itemsize != 2  # numbers of Python and floats hold bytes as well
    if is_usual or bits >= 8 * kind.itemsize - (kind.kind == "i"):
        return Levels(0, 2**bits - 1, notes)
    return Levels(0, 2**bits - 1, (*notes, Note(Phrase("pixels_scaled", high=int(high), bits=bits), loses=False)))


def eight_bits(array: NDArray[Any]) -> tuple[NDArray[Any], tuple[Note, ...]] | None:
    """Return an array of numbers as one of bytes, and what to report; None where it holds no finite number.

    A fourth channel is the opacity, with levels of its own.
    """
    import numpy as np  # noqa: PLC0415 - as above

    found = np.empty(array.shape, np.uint8)
    parts = [(array[..., :3], found[..., :3]), (array[..., 3:], found[..., 3:])] if array.ndim == 3 else [(array, found)]
    notes: tuple[Note, ...] = ()
    for numbers, bytes_ in parts:
        if not numbers.size:
            continue
        levels = find_levels(numbers[row : row + _ROWS] for row in range(0, len(numbers), _ROWS))
        if levels is None:
            return None
        for row in range(0, len(numbers), _ROWS):
            bytes_[row : row + _ROWS] = levels.to_bytes(numbers[row : row + _ROWS])
        notes = notes or levels.notes
    return found, notes


def plain(image: Image) -> tuple[Callable[[Image], Image], tuple[Note, ...]] | None:
    """Return a function that converts a strip of the image to L, RGB or RGBA (CMYK and LAB stay), and what to report.

    None where the image holds no finite number.
    """
    from PIL import Image as Pillow  # noqa: PLC0415 - only a prompt with an image pays for Pillow

    if not (image.mode in ("I", "F") or image.mode.startswith("I;")):
        return _plain_mode, ()
    import numpy as np  # noqa: PLC0415 - as above

    # Pillow scales what a PPM file says is white to 65535
    levels = Levels(0, 65535) if image.format == "PPM" else find_levels(map(np.asarray, _strips(image)))
    if levels is None:
        return None
    return lambda strip: Pillow.fromarray(levels.to_bytes(np.asarray(strip))), levels.notes


def _strips(image: Image) -> Iterator[Image]:
    for top in range(0, image.height, _ROWS):
        yield image.crop((0, top, image.width, min(top + _ROWS, image.height)))


def _plain_mode(image: Image) -> Image:
    if image.mode in _ALPHA or "transparency" in image.info:
        return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    if image.mode in ("CMYK", "LAB"):
        return image
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def shrink(image: Image, size: tuple[int, int], convert: Callable[[Image], Image]) -> Image:
    """Return the converted image in a smaller size (width, height), without a converted copy of the whole."""
    from PIL import Image as Pillow  # noqa: PLC0415 - as above

    scale = image.height / size[1]
    margin = math.ceil(_REACH * max(scale, 1)) + 1
    found: Image | None = None
    for top in range(0, size[1], _ROWS):
        bottom = min(top + _ROWS, size[1])
        first, last = max(0, math.floor(top * scale) - margin), min(image.height, math.ceil(bottom * scale) + margin)
        strip = convert(image.crop((0, first, image.width, last)))
        box = (0, top * scale - first, image.width, min(bottom * scale - first, strip.height))
        part = strip.resize((size[0], bottom - top), Pillow.Resampling.LANCZOS, box=box)
        found = found or Pillow.new(part.mode, size)
        found.paste(part, (0, top))
    assert found is not None  # noqa: S101 - a size has no side of 0
    found.info = dict(image.info)
    return found


def to_srgb(image: Image) -> Image:
    """Return the image in the colours that a screen shows, by its ICC profile if it has a usable one."""
    from PIL import ImageCms  # noqa: PLC0415 - as above

    profile = image.info.get("icc_profile")
    has_alpha = image.mode == "RGBA"
    with suppress(ImageCms.PyCMSError, OSError, TypeError, ValueError):  # of a profile that is broken or of another mode
        source = ImageCms.createProfile("LAB") if image.mode == "LAB" else ImageCms.ImageCmsProfile(BytesIO(profile or b""))
        found = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGBA" if has_alpha else "RGB"
        )
        return found or image
    return image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")


def on_ground(image: Image) -> tuple[Image, tuple[Note, ...]]:
    """Return a transparent image (RGBA) on white, or on black or grey if more of it can be seen there, and what to report."""
    from PIL import Image as Pillow  # noqa: PLC0415 - as above

    alpha = image.getchannel("A")
    if alpha.getextrema() == (_BYTE, _BYTE):
        return image.convert("RGB"), ()
    grey = image.convert("RGB").convert("L")
    counts = grey.histogram(alpha.point(lambda level: _BYTE if level > _DARK else 0))
    visible = sum(counts) or 1
    on_white, on_black = sum(counts[_LIGHT:]) / visible, sum(counts[:_DARK]) / visible
    ground = "white" if on_white <= _FEW else "black" if on_black <= _FEW else "grey"
    opaque = Pillow.new("RGB", image.size, ground)
    opaque.paste(image, mask=alpha)
    return opaque, () if ground == "white" else (Note(Phrase("on_ground", ground=Phrase(f"ground_{ground}")), loses=False),)
