"""Files of several pictures: the pages of a document all go out, of an animation the first frame, which is reported."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ollama_magics.conversation import image_sources
from ollama_magics.conversation.images import Picture

GREYS = [Image.new("RGB", (40, 24), (level, level, level)) for level in (40, 120, 200)]


def several(kind: str, frames: list[Image.Image] = GREYS, **options: Any) -> bytes:
    """Return a file with all frames."""
    buffer = BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()


def level(picture: Picture) -> int:
    """Return how bright a picture is."""
    return int(np.asarray(Image.open(BytesIO(picture.data)).convert("L"))[3, 3])


def words(pictures: list[Picture]) -> list[str]:
    """Return all that is reported, each as a loss."""
    assert all(note.loses for picture in pictures for note in picture.notes)
    return [note.phrase.text("en") for picture in pictures for note in picture.notes]


@pytest.mark.finding("A6")
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_all_pages_of_a_document_go_out(compression: str, tmp_path: Path) -> None:
    """In order, each with its number, from bytes and from a file."""
    data = several("TIFF", compression=compression)
    (tmp_path / "scan.tif").write_bytes(data)
    found = image_sources.from_path(str(tmp_path / "scan.tif"))
    assert [level(picture) for picture in found] == [40, 120, 200]
    assert [picture.source for picture in found] == ["scan.tif[0]", "scan.tif[1]", "scan.tif[2]"]
    assert [level(picture) for picture in image_sources.collect({"a": data}, name="x")] == [40, 120, 200]
    assert words(found) == []


@pytest.mark.finding("A6")
def test_pages_of_other_sizes_and_depths_are_pages_too() -> None:
    """A fax beside a photograph."""
    pages = [Image.new("1", (30, 20), 1), Image.new("RGB", (60, 10), "red"), Image.new("I;16", (5, 7), 4095)]
    found = image_sources.collect(several("TIFF", pages), name="x")
    assert [(picture.width, picture.height) for picture in found] == [(30, 20), (60, 10), (5, 7)]
    assert [level(picture) for picture in found] == [255, 76, 255]


@pytest.mark.finding("A6")
def test_of_many_pages_the_first_go_out_and_the_rest_is_reported() -> None:
    """Twenty of them."""
    found = image_sources.collect(several("TIFF", [GREYS[0]] * 25), name="x")
    assert (len(found), words(found)) == (20, ["x[0]: pages 1 to 20 of 25"])


@pytest.mark.finding("A6")
def test_smaller_copies_and_masks_are_no_pages() -> None:
    """Scanners and microscopes store them beside the page."""
    buffer = BytesIO()
    GREYS[0].save(buffer, "TIFF", save_all=True, append_images=[_marked(GREYS[1], 1), _marked(GREYS[2], 4)])
    found = image_sources.collect(buffer.getvalue(), name="x")
    assert ([level(picture) for picture in found], [picture.source for picture in found]) == ([40], ["x"])


def _marked(image: Image.Image, subfile: int) -> Image.Image:
    marked = image.copy()
    marked.encoderinfo = {"tiffinfo": {254: subfile}}
    return marked


@pytest.mark.finding("A6")
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_goes_out_which_is_reported(kind: str) -> None:
    """A model gets no films."""
    found = image_sources.collect(several(kind, lossless=True), name="x")
    assert ([level(picture) for picture in found], words(found)) == ([40], ["x: frame 1 of 3 of an animation"])


@pytest.mark.finding("A6")
def test_an_image_object_gives_its_current_frame_and_is_not_moved() -> None:
    """With the other frames reported; what was drawn on it stays."""
    image = Image.open(BytesIO(several("TIFF")))
    image.seek(1)
    image.putpixel((0, 0), (1, 2, 3))
    found = image_sources.collect(image, name="x")
    assert ([level(picture) for picture in found], image.tell(), image.getpixel((0, 0))) == ([120], 1, (1, 2, 3))
    assert words(found) == ["x: only the current frame; give the path for all pages of a document"]


@pytest.mark.finding("A6")
def test_the_second_view_of_a_photograph_is_no_page() -> None:
    """Telephones store previews and depths so; the largest size of an icon is the icon."""
    found = image_sources.collect(several("MPO"), name="x")
    assert ([level(picture) for picture in found], words(found)) == ([40], [])
    buffer = BytesIO()
    GREYS[0].resize((64, 64)).save(buffer, "ICO", sizes=[(16, 16), (64, 64), (32, 32)])
    [icon] = image_sources.collect(buffer.getvalue(), name="x")
    assert (icon.width, words([icon])) == (64, [])
