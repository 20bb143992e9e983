"""Pixels of more than eight bits, and other colour spaces: each is as bright as it was meant, and what was scaled is reported."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from ollama_magics.conversation import image_sources
from ollama_magics.conversation.images import Picture

RAMP = np.linspace(0, 1, 64).reshape(8, 8)  # from black to white
GREY = np.rint(RAMP * 255).astype(int)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the image as a file of the kind."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(array: np.ndarray[Any, Any], colour_type: int) -> bytes:
    """Return a PNG of 16 bits, which Pillow writes for grey only."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width = array.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(array: np.ndarray[Any, Any], order: str) -> bytes:
    """Return a TIFF of 16 bits in a byte order; Pillow writes no such colours."""
    height, width, channels = array.shape
    data = array.astype(f"{order}u2").tobytes()
    start, bits = 8 + 2 + 12 * 9 + 4 + 2 * channels, 8 + 2 + 12 * 9 + 4
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, bits), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, start)]
    tags += [(277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(data))]
    found = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    for tag, kind, count, value in tags:
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        found += struct.pack(f"{order}HHI", tag, kind, count) + packed
    return found + struct.pack(f"{order}I{channels}H", 0, *[16] * channels) + data


def coloured(levels: np.ndarray[Any, Any], channels: int = 3) -> np.ndarray[Any, Any]:
    """Return the levels as colours; a fourth channel is opaque in 16 bits."""
    return np.stack([levels] * 3 + [np.full_like(levels, 65535)] * (channels - 3), axis=-1)


def levels(bits: int) -> np.ndarray[Any, Any]:
    """Return the ramp in whole numbers of so many bits."""
    return np.asarray(np.rint(RAMP * (2**bits - 1)), np.int64)


def seen(value: object) -> tuple[np.ndarray[Any, Any], list[str], bool]:
    """Return the levels of red that the one picture has, its notes, and whether one of them is a loss."""
    [picture] = image_sources.collect(value, name="x")
    image = Image.open(BytesIO(base64.b64decode(picture.base64))).convert("RGB")
    return np.asarray(image)[:, :, 0].astype(int), words(picture), any(note.loses for note in picture.notes)


def words(picture: Picture) -> list[str]:
    """Return what is reported of a picture."""
    return [note.phrase.text("en") for note in picture.notes]


READ_AS = "x: values up to {} were read as {} bits"
WHOLE: dict[str, tuple[object, int | None]] = {
    # value, and the number of bits that is reported
    **{f"PNG of {bits} bits": (Image.fromarray(levels(bits).astype(np.uint16)), bits) for bits in (9, 10, 12, 14)},
    "PNG of 16 bits": (encoded(Image.fromarray(levels(16).astype(np.uint16)), "PNG"), None),
    "PNG file of 12 bits": (encoded(Image.fromarray(levels(12).astype(np.uint16)), "PNG"), 12),
    "PNG file of 8 bits in 16": (encoded(Image.fromarray(levels(8).astype(np.uint16)), "PNG"), 8),
    "TIFF file of 12 bits": (encoded(Image.fromarray(levels(12).astype(np.uint16)), "TIFF"), 12),
    "TIFF file of 16 bits": (encoded(Image.fromarray(levels(16).astype(np.uint16)), "TIFF"), None),
    "TIFF file of 32 bits": (encoded(Image.fromarray(levels(20).astype(np.int32)), "TIFF"), 20),
    "coloured PNG of 12 bits": (png(coloured(levels(12)), 2), 12),
    "coloured PNG of 16 bits": (png(coloured(levels(16)), 2), None),
    "coloured PNG of 10 bits with opacity": (png(coloured(levels(10), 4), 6), 10),
    "coloured PNG of 8 bits in 16": (png(coloured(levels(8)), 2), 8),
    "coloured TIFF of 12 bits": (tiff(coloured(levels(12)), "<"), 12),
    "coloured TIFF of 12 bits, other order": (tiff(coloured(levels(12)), ">"), 12),
    "coloured TIFF of 16 bits": (tiff(coloured(levels(16)), ">"), None),
    "uint16 of 12 bits": (levels(12).astype(np.uint16), 12),
    "uint16 of 16 bits": (levels(16).astype(np.uint16), None),
    "big-endian uint16": (levels(12).astype(">u2"), 12),
    "int16 of 12 bits": (levels(12).astype(np.int16), 12),
    "int16 of 15 bits": (levels(15).astype(np.int16), None),
    "int32": (levels(14).astype(np.int32), 14),
    "int64 of bytes": (levels(8), None),
    "uint64": (levels(40).astype(np.uint64), 40),
    "coloured uint16": (coloured(levels(12)).astype(np.uint16), 12),
    "coloured uint16 with opacity": (coloured(levels(12), 4).astype(np.uint16), 12),
    "one channel": (levels(12).astype(np.uint16)[..., None], 12),
    "floats from 0 to 1": (RAMP, None),
    "float16": (RAMP.astype(np.float16), None),
    "floats of bytes": (levels(8).astype(np.float32), None),
    "PGM of 12 bits": (b"P5 8 8 4095\n" + levels(12).astype(">u2").tobytes(), None),
    "PGM of 6 bits": (b"P5 8 8 63\n" + levels(6).astype(np.uint8).tobytes(), None),
    "PPM of 12 bits": (b"P6 8 8 4095\n" + coloured(levels(12)).astype(">u2").tobytes(), None),
    "float TIFF from 0 to 1": (encoded(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), None),
    "image of floats": (Image.fromarray(RAMP.astype(np.float32)), None),
}


@pytest.mark.finding("A7")
@pytest.mark.parametrize("name", WHOLE)
def test_numbers_of_any_size_fill_the_range_from_black_to_white(name: str) -> None:
    """And how they were read is a note, no loss, unless they fill what they are stored in."""
    value, bits = WHOLE[name]
    found, notes, loses = seen(value)
    assert abs(found - GREY).max() <= 3
    assert (notes, loses) == ([READ_AS.format(2**bits - 1, bits)] if bits else [], False)


STRETCHED: dict[str, tuple[object, str]] = {
    "temperatures": (RAMP * 40 - 10, "values from -10 to 30"),
    "negative int16": (np.rint(RAMP * 2000 - 1000).astype(np.int16), "values from -1000 to 1000"),
    "float TIFF": (encoded(Image.fromarray((RAMP * 3.7).astype(np.float32)), "TIFF"), "values from 0 to 3.7"),
    "large floats": (RAMP * 1e30, "values from 0 to 1e+30"),
    "small floats below 0": (RAMP * 2 - 1, "values from -1 to 1"),
    "int32 TIFF below 0": (
        encoded(Image.fromarray(np.rint(RAMP * 200 - 100).astype(np.int32)), "TIFF"),
        "values from -100 to 100",
    ),
}


@pytest.mark.finding("A7")
@pytest.mark.parametrize("name", STRETCHED)
def test_numbers_without_a_scale_are_stretched_which_is_a_loss(name: str) -> None:
    """The model sees the pattern, and not how much it is."""
    value, said = STRETCHED[name]
    found, notes, loses = seen(value)
    assert abs(found - GREY).max() <= 3
    assert (notes, loses) == ([f"x: {said} were stretched from black to white"], True)


@pytest.mark.finding("A7")
def test_dark_grey_with_opacity_is_read_by_its_upper_bytes() -> None:
    """Of a PNG of this kind there is no more; an opaque one stands on no ground."""
    found, notes, _ = seen(png(np.stack([levels(12), np.full((8, 8), 65535)], axis=-1), 4))
    assert (abs(found - GREY).max() <= 17, notes) == (True, ["x: values up to 3855 were read as 12 bits"])


@pytest.mark.finding("A7")
def test_values_that_are_no_numbers_are_counted() -> None:
    """They do not change how bright the others are."""
    array = RAMP.copy()
    array[0, :3] = np.nan, np.inf, -np.inf
    found, notes, loses = seen(array)
    assert (abs(found - GREY)[1:].max(), list(found[0, :3])) == (0, [0, 255, 0])
    assert (notes, loses) == (["x: 3 values that are no finite numbers are black or white"], True)


def test_a_flat_picture_is_no_error() -> None:
    """There is nothing to stretch."""
    assert set(seen(np.full((4, 4), 300.5))[0].flat) == {0}
    assert set(seen(np.zeros((4, 4), np.uint16))[0].flat) == {0}


@pytest.mark.finding("A7")
def test_a_large_deep_picture_is_shrunk_without_losing_its_range() -> None:
    """The range is that of the whole."""
    wide = np.repeat(np.linspace(0, 4095, 4000)[None, :], 3000, axis=0).astype(np.uint16)
    [picture] = image_sources.collect(wide, name="x")
    row = np.asarray(Image.open(BytesIO(picture.data)).convert("L"))[100].astype(int)
    assert (picture.width, picture.height, row[0], row[-1]) == (2048, 1536, 0, 255)
    assert np.abs(np.diff(row)).max() <= 1


def lab() -> bytes:
    """Return a red picture in CIE Lab, as a TIFF."""
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    found = ImageCms.applyTransform(Image.new("RGB", (8, 8), (200, 30, 40)), to_lab)
    assert found is not None
    return encoded(found, "TIFF")


def wide_gamut(image: Image.Image) -> bytes:
    """Return a PNG whose profile exchanges red and green: a colour space that nobody can mistake for sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    exchanged = bytearray(profile)
    exchanged[red + 4 : red + 8], exchanged[green + 4 : green + 8] = profile[green + 4 : green + 8], profile[red + 4 : red + 8]
    return encoded(image, "PNG", icc_profile=bytes(exchanged))


RED, GREEN = Image.new("RGB", (8, 8), (200, 30, 40)), Image.new("RGB", (8, 8), (30, 200, 40))
SPACES: dict[str, tuple[object, tuple[int, int, int]]] = {
    "Lab": (lab(), (200, 30, 40)),
    "another profile": (wide_gamut(GREEN), (200, 30, 40)),
    "another profile, transparent": (wide_gamut(GREEN.convert("RGBA")), (200, 30, 40)),
    "a profile of sRGB": (
        encoded(RED, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        (200, 30, 40),
    ),
    "a broken profile": (encoded(RED, "PNG", icc_profile=b"no profile"), (200, 30, 40)),
    "a profile of another mode": (
        encoded(RED.convert("L"), "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        (82, 82, 82),
    ),
    "CMYK": (encoded(Image.new("CMYK", (8, 8), (0, 200, 200, 0)), "TIFF"), (255, 55, 55)),
    "YCbCr TIFF": (encoded(RED.convert("YCbCr"), "TIFF"), (200, 30, 40)),
    "palette": (encoded(RED.quantize(2), "PNG"), (200, 30, 40)),
    "one bit": (encoded(Image.new("1", (8, 8), 1), "PNG"), (255, 255, 255)),
    "HSV": (RED.convert("HSV"), (200, 30, 40)),
    "RGBX": (RED.convert("RGBX"), (200, 30, 40)),
}


@pytest.mark.finding("A7")
@pytest.mark.parametrize("name", SPACES)
def test_colours_are_those_that_a_screen_shows(name: str) -> None:
    """By the profile in the file, where it has a usable one; there is nothing to report."""
    value, colour = SPACES[name]
    [picture] = image_sources.collect(value, name="x")
    image = np.asarray(Image.open(BytesIO(picture.data)).convert("RGB")).astype(int)
    assert (abs(image - np.array(colour)).max() <= 6, words(picture)) == (True, []), image[0, 0]
