"""The pages of a PDF as pictures, and what cannot be drawn."""

from __future__ import annotations

import io
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import ollama_magics as om
from ollama_magics.conversation import image_sources
from ollama_magics.conversation.pages import Pages, read_pages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.fake_server.server import FakeServer
from tests.conversation.images.pdf_file import ENCRYPTED, coloured, pdf

RED, GREEN, BLUE = coloured(1, 0, 0), coloured(0, 1, 0), coloured(0, 0, 1)
THREE = pdf(RED, GREEN, BLUE)


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


def colours(pictures: list[Any]) -> list[str]:
    """Return the colour in the middle of each picture, as the first letter of its name."""
    names = {(255, 0, 0): "r", (0, 255, 0): "g", (0, 0, 255): "b", (255, 255, 255): "w"}
    opened = [Image.open(io.BytesIO(picture.data)).convert("RGB") for picture in pictures]
    return [names[image.getpixel((image.width // 2, image.height // 2))] for image in opened]  # type: ignore[index]


def test_each_page_is_a_picture(tmp_path: Path) -> None:
    """By its bytes, whatever its name; with a name that says which page it is, and a size that keeps its proportions."""
    path = tmp_path / "report.dat"
    path.write_bytes(b"\n\n" + THREE)
    for pictures in (image_sources.from_path(str(path)), image_sources.collect(path), image_sources.collect(THREE, name="x")):
        assert colours(pictures) == ["r", "g", "b"]
    pictures = image_sources.from_path(str(path))
    assert [picture.source for picture in pictures] == [f"report.dat#page={number}" for number in (1, 2, 3)]
    assert {(picture.width, picture.height) for picture in pictures} == {(834, 417)}  # 300 pixels for each inch
    assert pictures[0].thumbnail().startswith(b"\x89PNG")
    assert not any(picture.notes for picture in pictures)
    assert colours(image_sources.collect(pdf(""))) == ["w"]


CHOSEN = [
    ("2", "g"),
    ("1-2", "rg"),
    (" 3 , 1 ", "br"),
    ("2-", "gb"),
    ("1-3,2", "rgb"),
    (2, "g"),
    ([3, 1], "br"),
    (range(1, 3), "rg"),
]


@pytest.mark.parametrize(("typed", "shown"), CHOSEN)
def test_pages_are_chosen(typed: Any, shown: str) -> None:
    """By numbers from 1, in the order in which they are typed, each once."""
    assert "".join(colours(image_sources.collect(THREE, pages=read_pages(typed)))) == shown


@pytest.mark.parametrize(
    "typed", ["", "0", "0-2", "3-1", "-3", "a", "1;2", "1-2-3", "1" * 12, 0, -1, True, 1.5, [], ["1"], {1: 2}, "१"]
)
def test_pages_that_are_none_are_refused(typed: Any) -> None:
    """With an example."""
    error = failure(lambda: read_pages(typed))
    assert (error.code, "pages" in error.remedy) == ("setting-invalid", True)


def test_a_page_that_is_not_there_is_an_error() -> None:
    """With the number that there are; and so are more pages than one prompt can take."""
    for typed, page in (("4", "4"), ("1-9", "9"), ("5-", "5")):
        error = failure(lambda typed=typed: image_sources.collect(THREE, name="x", pages=read_pages(typed)))  # type: ignore[misc]
        assert (error.code, f"no page {page}" in error.what, "pages: 3" in error.how_we_know) == ("page-missing", True, True)
    assert failure(lambda: Pages(((1, None),)).of(10_000, "x")).code == "pages-too-many"


def test_of_a_long_document_the_first_pages_go_out(tmp_path: Path) -> None:
    """Of 10 000 pages 20, which is reported; the last one can be had as well."""
    data = pdf(*[RED] * 9_999, BLUE, size="0 0 20 10")
    pictures = image_sources.collect(data, name="long.pdf")
    assert (len(pictures), str(pictures[0].notes[0].phrase)) == (20, "long.pdf: pages 1 to 20 of 10000")
    assert not any(picture.notes for picture in pictures[1:])
    assert colours(image_sources.collect(data, pages=read_pages("10000"))) == ["b"]
    stack = [Image.new("L", (4, 4), shade) for shade in range(25)]
    stack[0].save(tmp_path / "a.tiff", save_all=True, append_images=stack[1:])
    assert len(image_sources.from_path(str(tmp_path / "a.tiff"))) == 20
    assert len(image_sources.from_path(str(tmp_path / "a.tiff"), read_pages("22-"))) == 4


def test_the_memory_for_a_page_is_bounded() -> None:
    """Whatever its size on paper; a page without one is refused."""
    tracemalloc.start()
    for size in ("0 0 14400 14400", "0 0 100000 2", "0 0 3 3"):
        [picture] = image_sources.collect(pdf(RED, size=size))
        assert max(picture.width, picture.height) <= 2048
        assert min(picture.width, picture.height) >= 1
        assert colours([picture]) == ["r"]
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Return files that are no usable PDF, each with the code of its error."""
    return {
        "begins like one": (b"%PDF-1.7\nhello", "pdf-unreadable"),
        "half": (THREE[: len(THREE) // 3], "pdf-unreadable"),
        "no pages": (pdf(), "pdf-unreadable"),
        "encrypted": (pdf(RED, trailer=ENCRYPTED), "pdf-encrypted"),
        "none": (b"hello", "picture-unreadable"),
    }


def test_what_is_no_usable_pdf_is_refused() -> None:
    """Before anything is sent, and without a traceback of PDFium."""
    shown = {}
    for name, (data, code) in bad_files().items():
        try:
            image_sources.collect(data)
            shown[name] = ("drawn", code)
        except OllamaMagicsError as error:
            shown[name] = (error.code, code)
    assert not {name: codes for name, codes in shown.items() if codes[0] != codes[1]}


def test_without_the_package_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an optional one."""
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    error = failure(lambda: image_sources.collect(THREE, name="report.pdf"))
    assert (error.code, error.remedy) == ("pdf-needs-package", "%pip install pypdfium2")


def test_pages_go_to_a_model_that_sees(stand_in: FakeServer, tmp_path: Path) -> None:
    """From Python, with what was left out; and for each row, where a page that is missing is the error of its row."""
    (tmp_path / "a.pdf").write_bytes(THREE)
    (tmp_path / "b.pdf").write_bytes(pdf(RED))
    (tmp_path / "long.pdf").write_bytes(pdf(*[GREEN] * 21, size="0 0 20 10"))
    om.configure(base_url=stand_in.url, model="sandbox-vision")
    reply = om.chat("What?", images=[tmp_path / "a.pdf"], pages="2-")
    assert "Picture 1 is 834 × 417 pixels, mostly green. Picture 2 is" in reply.text
    error = failure(lambda: om.chat("What?", images=[tmp_path / "a.pdf"], pages=[7]))
    assert error.remedy == 'pages="1-3"'
    long = om.chat("What?", images=[tmp_path / "long.pdf"])
    assert (len(long.images), long.notes) == (20, ["long.pdf: pages 1 to 20 of 21"])
    assert failure(lambda: om.chat("What?", images=[tmp_path / "long.pdf"], strict=True)).code == "left-out"
    paths = [str(tmp_path / name) for name in ("a.pdf", "b.pdf")]
    rows = om.map({"path": paths}, "What is it?", images="path", pages=2, store=False)
    assert "mostly green" in rows["reply"][0]
    assert rows["error"][1].startswith("page-missing")
