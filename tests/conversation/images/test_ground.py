"""Transparent pictures and dark figures: what is drawn stays visible, and large ones take no second copy of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import style
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from ollama_magics.conversation import image_sources, images
from ollama_magics.errors import PictureProblem

BLACK, WHITE, GREY = (0, 0, 0), (255, 255, 255), (128, 128, 128)


def drawing(*inks: tuple[int, ...], mode: str = "RGBA") -> Image.Image:
    """Return a transparent image with a bar in each ink."""
    image = Image.new("RGBA", (90, 60), (*inks[0][:3], 0))
    for index, ink in enumerate(inks):
        ImageDraw.Draw(image).rectangle((10, 5 + 15 * index, 80, 15 + 15 * index), fill=ink)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the image as a file of the kind."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def palette(ink: tuple[int, int, int], kind: str) -> bytes:
    """Return a palette image whose ground is transparent and of the colour of the ink."""
    image = Image.new("P", (90, 60), 0)
    image.putpalette([*ink, *ink])
    ImageDraw.Draw(image).rectangle((10, 10, 80, 20), fill=1)
    return encoded(image, kind, transparency=0)


def corner(value: object) -> tuple[tuple[int, ...], list[str]]:
    """Return the colour of the ground of the one picture, and its notes, none of which is a loss."""
    [picture] = image_sources.collect(value, name="x")
    assert not any(note.loses for note in picture.notes)
    found = Image.open(BytesIO(picture.data)).convert("RGB").getpixel((1, 1))
    assert isinstance(found, tuple)
    return found, [note.phrase.text("en") for note in picture.notes]


GROUNDS: dict[str, tuple[object, tuple[int, int, int]]] = {
    "black ink": (drawing(BLACK), WHITE),
    "blue ink": (drawing((0, 0, 255)), WHITE),
    "grey ink": (drawing((120, 120, 120)), WHITE),
    "white ink": (drawing(WHITE), BLACK),
    "yellow ink": (drawing((255, 240, 80)), BLACK),
    "white and red ink": (drawing(WHITE, (255, 0, 0)), BLACK),
    "black and white ink": (drawing(BLACK, WHITE), GREY),
    "half white ink": (drawing((255, 255, 255, 160)), BLACK),
    "no ink": (Image.new("RGBA", (90, 60), (255, 255, 255, 0)), WHITE),
    "white ink, grey with opacity": (drawing(WHITE, mode="LA"), BLACK),
    "white ink, premultiplied": (drawing(WHITE, mode="RGBa"), BLACK),
    "white ink, premultiplied grey": (drawing(WHITE, mode="LA").convert("La"), BLACK),
    "white ink in a palette": (palette(WHITE, "PNG"), BLACK),
    "white ink in a GIF": (palette(WHITE, "GIF"), BLACK),
    "black ink in a GIF": (palette(BLACK, "GIF"), WHITE),
    "white ink in a WEBP": (encoded(drawing(WHITE), "WEBP", lossless=True), BLACK),
    "white ink in a TIFF": (encoded(drawing(WHITE), "TIFF"), BLACK),
    "white ink in an array": (np.asarray(drawing(WHITE)), BLACK),
    "white ink in floats": (np.asarray(drawing(WHITE)) / 255, BLACK),
    "white ink, large": (drawing(WHITE).resize((4500, 3000)), BLACK),
}


@pytest.mark.finding("A8")
@pytest.mark.parametrize("name", GROUNDS)
def test_a_transparent_picture_stands_where_it_can_be_seen(name: str) -> None:
    """On white as on paper; on black or grey, which is reported, where more of it would be lost there."""
    value, ground = GROUNDS[name]
    colour, notes = corner(value)
    word = {WHITE: None, BLACK: "black", GREY: "grey"}[ground]
    said = [note for note in notes if "shrunk" not in note]
    assert (colour, said) == (ground, [f"x: transparent parts are shown on {word}"] if word else [])


def figure() -> Figure:
    """Return a figure made in the style now in force."""
    made = Figure(figsize=(2, 2))
    made.add_subplot().plot([1, 2])
    return made


@pytest.fixture(params=["default", "dark_background", "ggplot", "seaborn-v0_8-darkgrid", "Solarize_Light2", "grayscale"])
def styled(request: pytest.FixtureRequest) -> tuple[Figure, tuple[int, ...]]:
    """Return a figure of a style, and the colour that the style gives it; the style is no longer in force."""
    with style.context(request.param):
        made = figure()
        colour = tuple(round(255 * level) for level in mpl.colors.to_rgb(mpl.rcParams["figure.facecolor"]))
    return made, colour


@pytest.mark.finding("A8")
def test_a_figure_keeps_the_colour_of_its_style(styled: tuple[Figure, tuple[int, ...]]) -> None:
    """Whatever style is in force when it goes out, and whatever that says of saving."""
    made, colour = styled
    everyday: list[Any] = [{}, {"savefig.facecolor": "white"}, {"savefig.transparent": True}, {"savefig.facecolor": "none"}]
    for settings in everyday:
        with mpl.rc_context(settings):
            for what in (made, made.axes[0]):
                found, notes = corner(what)
                assert (np.abs(np.array(found) - colour).max() <= 1, notes) == (True, []), (settings, found, colour)


@pytest.mark.finding("A8")
def test_a_transparent_figure_with_white_text_stands_on_black() -> None:
    """As it is made for a dark slide."""
    made = figure()
    made.patch.set_alpha(0)
    made.axes[0].set_axis_off()
    made.text(0.5, 0.5, "text", color="white", size=40, ha="center")
    assert corner(made)[0] in (BLACK, GREY)


MEMORY = """
import io, json, resource, sys
from PIL import Image
mode, side = sys.argv[1], int(sys.argv[2])
data = io.BytesIO()
image = Image.new(mode, (side, side))
if "A" in mode:
    image.paste((255, 255, 255, 255), (0, 0, side // 2, side // 2))
image.save(data, "PNG")
del image
from ollama_magics.conversation import image_sources
from ollama_magics.errors import PictureProblem
image_sources.collect(Image.new("RGBA", (3000, 10)))  # whatever is imported is imported
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
before = int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
[picture] = image_sources.collect(data.getvalue())
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
print(json.dumps([picture.width, picture.height, (peak - before) * 1024]))
"""


@pytest.mark.finding("E13")
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("mode", "side", "most"), [("RGBA", 10_000, 150), ("RGB", 10_000, 150), ("P", 10_000, 200), ("I;16", 6_000, 150)]
)
def test_a_large_picture_takes_little_memory(mode: str, side: int, most: int, record_property: Any) -> None:
    """It is decoded, shrunk, turned and put on a ground in strips; at most so many MB."""
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", MEMORY, mode, str(side)]
    width, height, peak = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=here).stdout)
    record_property("figure", f"{mode} {side} × {side}: {peak // 1_000_000} MB")
    assert (width, height, peak <= most * 1_000_000) == (2048, 2048, True)


def noise(mode: str, size: tuple[int, int]) -> Image.Image:
    """Return soft noise, which no filter of a PNG leaves as it is."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    found = np.random.default_rng(1).integers(0, 256, (20, 30, channels), dtype=np.uint8)
    return Image.fromarray(found).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.finding("E13")
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_large_png_looks_as_if_it_were_decoded_at_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turned as its EXIF says; a damaged one is refused."""
    monkeypatch.setattr(images, "_LARGE", 1_000_000)  # pixels; the true bound takes long
    image, exif = noise(mode, (4500, 410)), Image.Exif()
    exif[0x0112] = 6
    data = encoded(image, "PNG", exif=exif)
    [small], [whole] = image_sources.collect(data), image_sources.collect(image.transpose(Image.Transpose.ROTATE_270))
    assert (small.width, small.height, small.shrunk_from) == (whole.width, whole.height, (410, 4500))
    seen = [np.asarray(Image.open(BytesIO(one.data)).convert("RGB")).astype(int) for one in (small, whole)]
    assert np.abs(seen[0] - seen[1]).mean() < 1
    for damaged in (data[: len(data) // 2], data[:-40], data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]):
        with pytest.raises(PictureProblem, match="picture-unreadable"):
            image_sources.collect(damaged)
