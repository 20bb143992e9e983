"""A sent image is complete, upright, of a limited size and without metadata; any other is refused before it is sent."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from ollama_magics.conversation import image_sources, images
from ollama_magics.errors import PictureProblem

NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8))
KINDS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "ICO", "PPM"]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the image as a file of the kind."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sent(data: object) -> Image.Image:
    """Return what a server would see of the one picture."""
    [picture] = image_sources.collect(data)
    return Image.open(BytesIO(picture.data))


def sent_if_accepted(data: bytes) -> Image.Image | None:
    """Return what a server would see, or None where the picture is refused."""
    try:
        return sent(data)
    except PictureProblem:
        return None


def code(data: object) -> str:
    """Return the code of the error."""
    with pytest.raises(PictureProblem) as caught:
        image_sources.collect(data, name="x")
    assert caught.value.how_we_know
    return caught.value.code


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_is_cut_is_refused_or_whole(kind: str) -> None:
    """Wherever it is cut: nothing is shown that was not in the file."""
    data = encoded(NOISE, kind)
    whole = np.asarray(sent(data).convert("RGB"))
    refusals = 0
    for part in range(1, 20):
        found = sent_if_accepted(data[: len(data) * part // 20])
        refusals += found is None
        assert found is None or np.array_equal(np.asarray(found.convert("RGB")), whole)
    assert refusals >= 18


def test_a_cut_picture_is_refused_where_the_notebook_tolerates_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting of Pillow does not change what is sent, and is left as the user set it."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(NOISE, "JPEG")
    assert code(data[: len(data) // 2]) == "picture-unreadable"
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png_header_of(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + _chunk(b"IEND", b"")


# the pass of Adam7 in which a pixel of each square of 8 × 8 comes (PNG specification, section 8.2)
ADAM7 = ("16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777")


def _rows(width: int, height: int, bits: int, *, interlaced: bool) -> int:
    """Return the bytes of an image's rows, each with the byte of its filter, counted pixel by pixel."""
    pixels: dict[tuple[str, int], int] = {}
    for y, x in np.ndindex(height, width):
        row = (ADAM7[y % 8][x % 8] if interlaced else "", y)
        pixels[row] = pixels.get(row, 0) + bits
    return sum(1 + (count + 7) // 8 for count in pixels.values())


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize(
    ("depth", "colours", "bits"), [(1, 0, 1), (4, 0, 4), (16, 0, 16), (8, 2, 24), (2, 3, 2), (8, 4, 16), (8, 6, 32)]
)
def test_a_png_whose_data_end_well_but_early_is_refused(depth: int, colours: int, bits: int, interlaced: int) -> None:
    """Decoders leave the rows that are missing black."""
    for width, height in ((9, 13), (2, 3), (33, 8)):
        header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlaced)
        start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + (_chunk(b"PLTE", bytes(12)) if colours == 3 else b"")
        size = _rows(width, height, bits, interlaced=bool(interlaced))
        files = [start + _chunk(b"IDAT", zlib.compress(bytes(count))) + _chunk(b"IEND", b"") for count in (size, size - 1)]
        assert sent(files[0]).size == (width, height)
        assert code(files[1]) == "picture-unreadable"


@pytest.mark.parametrize(("width", "height"), [(10_001, 10_000), (60_000, 60_000), (2_000_000_000, 1), (1, 200_000_000)])
def test_a_bomb_is_refused_from_its_header(width: int, height: int) -> None:
    """Nothing is unpacked, and Pillow's own warning does not reach the cell (a warning fails this test)."""
    assert code(_png_header_of(width, height)) == "picture-too-large"


def test_the_largest_allowed_picture_is_decoded() -> None:
    """Exactly 100 megapixels pass the header; this one then lacks its pixels."""
    assert code(_png_header_of(10_000, 10_000)) == "picture-unreadable"


def test_an_array_or_image_of_too_many_pixels_is_refused() -> None:
    """Before it is copied: these take one byte of memory."""
    assert code(np.broadcast_to(np.uint8(0), (20_000, 20_000))) == "picture-too-large"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty"),
        (b"root:x:0:0:root:/root:/bin/bash\n", "is not PNG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"\xef\xbb\xbf <svg/>", "SVG"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"8BPS\0\1" + b"\0" * 40, "is not PNG"),
        (b"\x89PNG\r\n\x1a\n", "damaged or incomplete"),
    ],
)
def test_bytes_that_are_no_picture_are_named_by_their_kind(data: bytes, text: str) -> None:
    """So that the user knows what to export."""
    with pytest.raises(PictureProblem, match=r"(picture|pdf)-unreadable") as caught:
        image_sources.collect(data, name="x")
    assert text in caught.value.how_we_know


def test_an_image_opened_from_a_format_that_runs_programs_is_refused() -> None:
    """Loading an EPS starts Ghostscript."""
    with pytest.raises(PictureProblem, match="format EPS"):
        image_sources.collect(Image.open(BytesIO(encoded(NOISE, "EPS"))))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_upright(orientation: int) -> None:
    """The left half is red once it is turned as its EXIF says, and the EXIF is gone."""
    upright = Image.new("RGB", (80, 40), "blue")
    upright.paste("red", (0, 0, 40, 40))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(back[orientation])) if orientation in back else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = sent(encoded(stored, "JPEG", exif=exif, quality=95))
    assert (seen.size, dict(seen.getexif())) == ((80, 40), {})
    red, blue = seen.getpixel((10, 20)), seen.getpixel((70, 20))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert (red[0] > 240, red[2] < 15, blue[0] < 15, blue[2] > 240) == (True,) * 4


def test_metadata_is_not_sent() -> None:
    """Neither the place where a photograph was taken, nor comments, nor colour profiles."""
    exif = Image.Exif()
    exif[0x010E] = "SECRET"
    for data in (
        encoded(NOISE, "JPEG", exif=exif, comment=b"SECRET", icc_profile=b"SECRET" * 30),
        encoded(NOISE, "PNG", exif=exif, icc_profile=b"SECRET" * 30),
    ):
        [picture] = image_sources.collect(data)
        assert b"SECRET" in data or b"iCCP" in data
        assert b"SECRET" not in picture.data
        assert not {b"iCCP", b"eXIf", b"tEXt"} & {picture.data[place : place + 4] for place in range(len(picture.data))}


def test_an_unreadable_orientation_is_ignored() -> None:
    """A picture with broken EXIF is shown as every viewer shows it."""
    data = encoded(NOISE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert sent(data).size == NOISE.size


@pytest.mark.parametrize(
    ("size", "smaller"),
    [((4096, 1024), (2048, 512)), ((1000, 5000), (410, 2048)), ((20_000, 1), (2048, 1)), ((2049, 2049), (2048, 2048))],
)
def test_a_large_picture_is_shrunk_and_says_so(size: tuple[int, int], smaller: tuple[int, int]) -> None:
    """The longest side is 2048 pixels; no side becomes 0."""
    [picture] = image_sources.collect(Image.new("RGB", size, "red"))
    assert (picture.shrunk_from, (picture.width, picture.height)) == (size, smaller)


def test_a_picture_of_the_largest_size_is_left_alone() -> None:
    """2048 pixels are not shrunk."""
    assert image_sources.collect(Image.new("L", (2048, 2048)))[0].shrunk_from is None


def test_a_photograph_of_a_turned_camera_reports_the_size_after_turning() -> None:
    """Width and height are exchanged."""
    exif = Image.Exif()
    exif[0x0112] = 6
    [picture] = image_sources.collect(encoded(Image.new("RGB", (4096, 1024)), "JPEG", exif=exif))
    assert (picture.shrunk_from, (picture.width, picture.height)) == ((1024, 4096), (512, 2048))


@pytest.fixture
def smooth() -> Image.Image:
    """Return a kind of photograph: soft transitions with a little noise."""
    down, across = np.mgrid[0:256, 0:256]
    noise = np.random.default_rng(1).integers(0, 8, (256, 256))
    return Image.fromarray(np.stack([down, across, 248 - down // 2 + noise], -1).clip(0, 255).astype(np.uint8))


def test_photographs_go_as_jpeg_and_drawings_as_png(smooth: Image.Image) -> None:
    """JPEG where the original was one or where it is less than half as large; lines and text stay sharp."""
    assert sent(encoded(smooth, "JPEG")).format == "JPEG"
    assert sent(smooth).format == "JPEG"
    assert sent(encoded(smooth, "WEBP", lossless=True)).format == "JPEG"
    assert sent(Image.new("RGB", (300, 300), "red")).format == "PNG"
    assert sent(NOISE).format == "PNG"
    smooth.putalpha(200)
    assert sent(smooth).format == "PNG"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_damaged_bytes_are_a_picture_or_a_picture_problem(kind: str, data: st.DataObject) -> None:
    """Decoders raise many types of errors; the user sees one."""
    damaged = bytearray(encoded(NOISE.resize((20, 15)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    seen = sent_if_accepted(bytes(damaged))
    assert seen is None or max(seen.size) <= images.LONGEST_SIDE
