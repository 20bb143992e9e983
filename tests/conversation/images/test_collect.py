"""Every kind of picture in a notebook keeps its colours, and anything else is refused with advice."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from IPython.display import Image as IPythonImage
from matplotlib.figure import Figure
from PIL import Image

from ollama_magics.conversation import image_sources
from ollama_magics.conversation.images import Picture
from ollama_magics.errors import PictureProblem

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "black": (0, 0, 0)}
SIZE = (40, 24)


def ipython_image(**options: Any) -> object:
    """Return the picture object of IPython."""
    return IPythonImage(**options)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the image as a file of the kind."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(picture: Picture) -> Image.Image:
    """Return what a server would see, after checking that it is PNG or JPEG and of the size it claims."""
    image = Image.open(BytesIO(base64.b64decode(picture.base64)))
    assert image.format in {"PNG", "JPEG"}
    assert image.size == (picture.width, picture.height)
    return image.convert("RGB")


def assert_shows(picture: Picture, colour: tuple[int, ...], tolerance: int = 2) -> None:
    """Check every pixel."""
    pixels = np.asarray(opened(picture)).astype(int)
    assert abs(pixels - np.array(colour[:3])).max() <= tolerance, (pixels[0, 0], colour)


def figure(colour: tuple[int, ...]) -> Figure:
    """Return a figure that is nothing but its colour."""
    return Figure(figsize=(1, 1), facecolor="#{:02x}{:02x}{:02x}".format(*colour))


def solid(colour: tuple[int, ...], dtype: str = "uint8") -> np.ndarray[Any, Any]:
    """Return an array of the colour, scaled for its type."""
    array = np.full((SIZE[1], SIZE[0], len(colour)), colour)
    return (array / 255).astype(dtype) if dtype.startswith("f") else array.astype(dtype)


KINDS: dict[str, Callable[[tuple[int, ...]], Any]] = {
    "uint8": solid,
    "float32": lambda colour: solid(colour, "float32"),
    "float64": lambda colour: solid(colour, "float64"),
    "with alpha": lambda colour: solid((*colour, 255)),
    "turned array": lambda colour: solid(colour)[::-1, ::-1],
    "fortran array": lambda colour: np.asfortranarray(solid(colour)),
    "PIL": lambda colour: Image.new("RGB", SIZE, colour),
    "PIL palette": lambda colour: Image.new("RGB", SIZE, colour).quantize(4),
    "PIL alpha": lambda colour: Image.new("RGBA", SIZE, (*colour, 255)),
    "PIL YCbCr": lambda colour: Image.new("RGB", SIZE, colour).convert("YCbCr"),
    "PIL HSV": lambda colour: Image.new("RGB", SIZE, colour).convert("HSV"),
    "figure": figure,
    "axes": lambda colour: figure(colour).add_axes((0, 0, 1, 1), frame_on=False, xticks=[], yticks=[]),
    "IPython": lambda colour: ipython_image(data=encoded(Image.new("RGB", SIZE, colour), "PNG")),
    "bytearray": lambda colour: bytearray(encoded(Image.new("RGB", SIZE, colour), "PNG")),
    "memoryview": lambda colour: memoryview(encoded(Image.new("RGB", SIZE, colour), "PNG")),
}
FORMATS: dict[str, Callable[[Image.Image], bytes]] = {
    "PNG": lambda image: encoded(image, "PNG"),
    "PNG palette": lambda image: encoded(image.quantize(4), "PNG"),
    "PNG alpha": lambda image: encoded(image.convert("RGBA"), "PNG"),
    "JPEG": lambda image: encoded(image, "JPEG", quality=95),
    "JPEG CMYK": lambda image: encoded(image.convert("CMYK"), "JPEG", quality=95),
    "JPEG progressive": lambda image: encoded(image, "JPEG", quality=95, progressive=True),
    "MPO": lambda image: encoded(image, "MPO", save_all=True, append_images=[Image.new("RGB", SIZE, "grey")]),
    "GIF": lambda image: encoded(image, "GIF"),
    "GIF moving": lambda image: encoded(image, "GIF", save_all=True, append_images=[Image.new("RGB", SIZE, "grey")]),
    "BMP": lambda image: encoded(image, "BMP"),
    "WEBP": lambda image: encoded(image, "WEBP", lossless=True),
    "WEBP moving": lambda image: encoded(
        image, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", SIZE, "grey")]
    ),
    "TIFF": lambda image: encoded(image, "TIFF"),
    "TIFF CMYK": lambda image: encoded(image.convert("CMYK"), "TIFF"),
    "TIFF packed": lambda image: encoded(image, "TIFF", compression="tiff_lzw"),
    "ICO": lambda image: encoded(image.resize((32, 32)), "ICO", sizes=[(32, 32)]),
    "PPM": lambda image: encoded(image, "PPM"),
}


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_object_keeps_its_colour(kind: str, name: str) -> None:
    """Red, green and blue are never exchanged, and white is not black."""
    [picture] = image_sources.collect(KINDS[kind](COLOURS[name]), name="x")
    assert picture.source == "x"
    assert_shows(picture, COLOURS[name])


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_keeps_its_colour(kind: str, name: str, tmp_path: Path) -> None:
    """As bytes, and as a file with a misleading name; the first frame of a moving picture."""
    data = FORMATS[kind](Image.new("RGB", SIZE, COLOURS[name]))
    path = tmp_path / "picture.txt"
    path.write_bytes(data)
    for picture in (*image_sources.collect(data, name="x"), *image_sources.collect(path), *image_sources.from_path(str(path))):
        assert_shows(picture, COLOURS[name], tolerance=4)


@pytest.mark.parametrize(
    ("array", "colour"),
    [
        (np.full((3, 5), 200, np.uint8), (200,) * 3),
        (np.full((3, 5, 1), 200, np.uint8), (200,) * 3),
        (np.ones((3, 5), bool), (255,) * 3),
        (np.zeros((3, 5), bool), (0,) * 3),
        (np.full((3, 5), 0.5, np.float16), (128,) * 3),
        (np.zeros((3, 5, 4), np.uint8), (255,) * 3),
        (np.full((1, 1, 3), 7, np.uint8), (7,) * 3),
        (np.full((3, 4, 3), 9, np.uint8), (9,) * 3),
    ],
)
def test_greys_masks_and_transparent_arrays(array: np.ndarray[Any, Any], colour: tuple[int, ...]) -> None:
    """Grey with and without a last axis; what is transparent stands on white."""
    [picture] = image_sources.collect(array)
    assert (picture.height, picture.width) == array.shape[:2]
    assert_shows(picture, colour)


def _sixteen(value: int) -> Image.Image:
    return Image.fromarray(np.full((4, 4), value, np.uint16))


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("1", SIZE, 1), (255,) * 3),
        (Image.new("1", SIZE, 0), (0,) * 3),
        (Image.new("LA", SIZE, (0, 0)), (255,) * 3),
        (Image.new("LA", SIZE, (50, 255)), (50,) * 3),
        (Image.new("RGBA", SIZE, (255, 0, 0, 0)), (255,) * 3),
        (Image.new("RGBA", SIZE, (255, 0, 0, 128)), (255, 127, 127)),
        (Image.new("CMYK", SIZE, (0, 255, 255, 0)), (255, 0, 0)),
        (_sixteen(65535), (255,) * 3),
        (_sixteen(32896), (128,) * 3),
        (_sixteen(255), (255,) * 3),
        (_sixteen(1), (1,) * 3),
    ],
)
def test_unusual_pixels_become_ordinary_ones(image: Image.Image, colour: tuple[int, ...]) -> None:
    """One bit, transparency, four inks, sixteen bits: as an object and, where PNG or TIFF can hold it, as a file."""
    assert_shows(image_sources.collect(image)[0], colour)
    kind = "TIFF" if image.mode == "CMYK" else "PNG"
    assert_shows(image_sources.collect(encoded(image, kind))[0], colour)


def test_a_palette_with_a_transparent_colour_stands_on_white() -> None:
    """GIFs of charts are often made so."""
    image = Image.new("P", SIZE, 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    for data in (encoded(image, "GIF", transparency=1), encoded(image, "PNG", transparency=1)):
        assert_shows(image_sources.collect(data)[0], COLOURS["white"])
    assert_shows(image_sources.collect(encoded(image, "GIF", transparency=0))[0], COLOURS["blue"])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_keep_each_of_the_256_steps(dtype: str) -> None:
    """What was divided by 255 comes back as it was."""
    steps = np.arange(256, dtype=np.uint8).reshape(16, 16)
    [picture] = image_sources.collect((steps / 255).astype(dtype))
    assert np.array_equal(np.asarray(opened(picture))[:, :, 0], steps)


@pytest.mark.finding("A7")
@pytest.mark.parametrize("dtype", ["uint8", "int64", "uint16", "float32"])
def test_a_map_of_few_classes_is_not_black(dtype: str) -> None:
    """Masks of 0 and 1 and maps of up to 16 classes fill the scale, which is reported; one level stays as it is."""
    for most in (1, 7, 15):
        array = np.array([[0, most]] * 2, dtype)
        picture = image_sources.collect(array)[0]
        assert np.asarray(opened(picture).convert("L"))[0].tolist() == [0, 255], (dtype, most)
        assert picture.notes or (dtype, most) == ("float32", 1)
    assert not image_sources.collect(np.array([[0, 200]], dtype=np.uint8))[0].notes


@pytest.mark.finding("A7")
def test_what_is_below_a_mask_is_not_shown() -> None:
    """A masked array often holds a number such as 1e20 there."""
    array = np.ma.masked_array([[0.0, 0.5, 1.0, 1e20]], mask=[[False, False, False, True]])
    picture = image_sources.collect(array)[0]
    assert np.asarray(opened(picture).convert("L"))[0].tolist() == [0, 128, 255, 0]
    assert [str(note.phrase) for note in picture.notes] == ["the picture: 1 values that are no finite numbers are black or white"]


def test_lists_and_dicts_keep_their_order_and_name_their_parts() -> None:
    """So that the user finds the picture that an error is about."""
    red, blue = (Image.new("RGB", SIZE, colour) for colour in ("red", "blue"))
    pictures = image_sources.collect({"a": red, "b": [blue, (red,)]}, name="plots")
    assert [picture.source for picture in pictures] == ["plots['a']", "plots['b'][0]", "plots['b'][1][0]"]
    assert_shows(pictures[1], COLOURS["blue"])


def open_files(path: Path) -> dict[str, Any]:
    """Return a picture in memory and in files, read to their end, written, and as a library may wrap them."""
    Image.new("RGB", SIZE, "red").save(path / "a.png")
    written = BytesIO()
    Image.new("RGB", SIZE, "red").save(written, "png")
    read = (path / "a.png").open("rb")
    read.read()
    wrapped = tempfile.NamedTemporaryFile(dir=path, suffix=".png")  # noqa: SIM115 - closed by its end
    wrapped.write(written.getvalue())
    wrapped.flush()
    return {"written": written, "read": read, "wrapped": wrapped}


def test_an_open_file_is_its_content_and_stays_where_it_was(tmp_path: Path) -> None:
    """Text and closed ones are refused with what is wrong."""
    for name, file in open_files(tmp_path).items():
        place = file.tell()
        assert_shows(image_sources.collect(file)[0], COLOURS["red"])
        assert (file.tell(), image_sources.is_one(file)) == (place, True), name
        file.close()
        with pytest.raises(PictureProblem) as caught:
            image_sources.collect(file, name="x")
        assert caught.value.code == "picture-no-file", name
    with pytest.raises(PictureProblem, match="mode 'rb'"):
        image_sources.collect(StringIO("abc"))


ONE: dict[str, Any] = {
    "grey array": np.zeros((10, 20), np.uint8),
    "array": np.zeros((10, 20, 3), np.uint8),
    "array of two rows": np.zeros((2, 2, 3), np.uint8),
    "dict": {"a": np.zeros((10, 20, 3), np.uint8)},
    "axes": Figure().subplots(1, 2)[0],
    "bytes": b"",
    "text": "a.png",
}


def test_what_is_one_picture_is_told_from_several() -> None:
    """A batch of arrays, a generator and a table of paths are several."""
    several = {"batch": np.zeros((2, 10, 20, 3)), "list": [1], "generator": iter(()), "paths": pd.Series(["a"])}
    assert {name: image_sources.is_one(value) for name, value in {**ONE, **several}.items()} == {
        **dict.fromkeys(ONE, True), **dict.fromkeys(several, False),
    }  # fmt: skip


def test_the_parts_of_one_figure_are_one_picture() -> None:
    """The list of lines that a plot gives, and the array of axes of subplots."""
    drawing, other = Figure(figsize=(1, 1), facecolor="red"), Figure(figsize=(2, 1))
    axes = drawing.subplots(2, 2)
    lines = axes[0, 0].plot([1, 2], [3, 4], [5, 6], [7, 8])
    for what in (lines, axes, axes[0], list(axes.flat), {"a": axes[0, 0], "b": drawing}):
        assert len(image_sources.collect(what, name="x")) == 1
    assert [picture.width for picture in image_sources.collect([axes[0, 0], other, axes[0, 1]])] == [100, 200]
    assert len(image_sources.collect([Image.new("L", SIZE)] * 2)) == 2


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a ``Path`` and in a text."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    Image.new("RGB", SIZE, "red").save(tmp_path / "a.png")
    assert image_sources.collect(Path("~/a.png"))[0].source == "a.png"
    assert image_sources.from_path("~/a.png")[0].source == "a.png"


def refusal(value: object) -> PictureProblem:
    """Return the error of a variable called x, after checking that it names it and has three lines."""
    with pytest.raises(PictureProblem) as caught:
        image_sources.collect(value, name="x")
    assert "x" in caught.value.what
    assert "…" not in str(caught.value)
    assert len(caught.value.lines()) == 3
    return caught.value


@pytest.mark.parametrize("what", ["a.png", "", "/etc/passwd", "data:image/png;base64,AAAA"])
def test_a_string_is_never_taken_for_a_path(what: str) -> None:
    """The text of a model or of a table must not read files; in a list the part is named."""
    assert refusal(what).code == "picture-is-text"
    error = refusal([what])
    assert (error.code, "x[0] = Path(x[0])" in error.remedy) == ("picture-is-text", True)


def _endless() -> list[Any]:
    what: list[Any] = []
    what.append(what)
    return what


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (3, "type int"),
        (1.5, "type float"),
        (object(), "type object"),
        (pd.DataFrame({"a": [1]}), "type DataFrame"),
        (pd.Series([1]), "type Series"),
        ([], "empty list"),
        ({}, "empty dict"),
        (_endless(), "nested"),
        (range(3), "type range"),
        (Figure, "type type"),
        (mpl, "module"),
        (ipython_image(url="https://example.org/x.png"), "links"),
        (np.zeros((3, 24, 40), np.uint8), "moveaxis"),
        (np.zeros((2, 24, 40, 3), np.uint8), "list(x)"),
        (np.zeros((24, 40, 2), np.uint8), "colours last"),
        (np.zeros(5, np.uint8), "(height, width)"),
        (np.zeros((0, 5), np.uint8), "it is empty"),
        (np.zeros((4, 4), object), "array of numbers"),
        (np.zeros((4, 4), complex), "array of numbers"),
        (np.zeros((4, 4), "M8[s]"), "array of numbers"),
        (np.full((4, 4), np.nan), "no finite number"),
    ],
)
def test_a_value_without_a_picture_is_refused_with_advice(value: object, text: str) -> None:
    """The error says what the value is and what to give instead."""
    error = refusal(value)
    assert error.code == "picture-type-unknown"
    assert text in error.how_we_know


def test_an_error_while_drawing_names_the_figure() -> None:
    """Not a traceback of matplotlib."""
    broken = Figure()
    broken.text(0.5, 0.5, "$\\frac{$")
    error = refusal(broken)
    assert (error.code, "frac" in error.how_we_know) == ("figure-failed", True)


def test_the_object_of_the_user_is_not_changed() -> None:
    """It keeps its size, its mode and its metadata."""
    image = Image.new("RGBA", (3000, 10), (255, 0, 0, 128))
    image.info["comment"] = "mine"
    image_sources.collect(image)
    assert (image.size, image.mode, image.info) == ((3000, 10), "RGBA", {"comment": "mine"})
