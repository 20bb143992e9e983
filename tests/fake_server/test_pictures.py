"""The answers of the vision model of the stand-in server."""

from __future__ import annotations

import base64
import io

import httpx
import pytest
from PIL import Image

RUNNER_STOPPED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)


def test_one_picture_is_one_sentence(http: httpx.Client) -> None:
    """Size and colour."""
    assert _describe(http, _plain("red")) == "The picture is 64 × 64 pixels, mostly red."


def test_several_pictures_are_numbered(http: httpx.Client) -> None:
    """In the order in which they came."""
    text = _describe(http, _plain("red"), _plain("blue", (30, 20)))
    assert text == "Picture 1 is 64 × 64 pixels, mostly red. Picture 2 is 30 × 20 pixels, mostly blue."


@pytest.mark.parametrize("name", ["black", "white", "grey", "red", "orange", "yellow", "green", "cyan", "blue"])
def test_colours_have_plain_names(http: httpx.Client, name: str) -> None:
    """The names that people use."""
    assert f"mostly {name}." in _describe(http, _plain(name))


def test_colours_have_shares(http: httpx.Client) -> None:
    """Up to three, those of a tenth or more."""
    picture = Image.new("RGB", (100, 100), "red")
    picture.paste("blue", (0, 0, 100, 30))
    picture.paste("white", (0, 30, 100, 50))
    picture.paste("black", (0, 50, 100, 52))
    text = _describe(http, _packed(picture))
    assert text.startswith("The picture is 100 × 100 pixels, red (48%), blue (")
    assert " and white (" in text
    assert "black" not in text


def test_transparent_pixels_are_white(http: httpx.Client) -> None:
    """As on a page."""
    assert "mostly white" in _describe(http, _packed(Image.new("RGBA", (8, 8), (255, 0, 0, 0))))


def test_only_pictures_of_the_last_prompt_are_described(http: httpx.Client) -> None:
    """A later turn without a picture is answered in words."""
    messages = [
        {"role": "user", "content": "What?", "images": [_plain("red")]},
        {"role": "assistant", "content": "Red."},
        {"role": "user", "content": "Thank you"},
    ]
    answer = http.post("/api/chat", json={"model": "sandbox-vision", "messages": messages, "stream": False})
    assert answer.json()["message"]["content"] == "This is turn 2. I read 2 words: “Thank you”"


@pytest.mark.parametrize("form", ["WEBP", "TIFF"])
@pytest.mark.parametrize("stream", [True, False])
def test_formats_that_crash_the_runner_do_so_here(older: httpx.Client, form: str, *, stream: bool) -> None:
    """In the words of 0.24.0; not tested on a real server, since its runner would end."""
    answer = _post(older, _packed(Image.new("RGB", (8, 8)), form), stream=stream)
    assert (answer.status_code, answer.json()["error"]) == (500, RUNNER_STOPPED)


def test_data_that_is_no_picture_crashes_the_runner(older: httpx.Client) -> None:
    """Text, half a JPEG, and a PNG with a broken piece."""
    noise = Image.effect_noise((64, 64), 90)
    jpeg, png = (base64.b64decode(_packed(noise, form)) for form in ("JPEG", "PNG"))
    for data in (b"text", jpeg[: len(jpeg) // 2], png[:60] + b"\0\0\0\0" + png[64:]):
        answer = _post(older, base64.b64encode(data).decode())
        assert (answer.status_code, answer.json()["error"]) == (500, RUNNER_STOPPED)


def _plain(colour: str, size: tuple[int, int] = (64, 64)) -> str:
    return _packed(Image.new("RGB", size, colour))


def _packed(picture: Image.Image, form: str = "PNG") -> str:
    file = io.BytesIO()
    picture.save(file, form)
    return base64.b64encode(file.getvalue()).decode()


def _post(http: httpx.Client, *images: str, stream: bool = False) -> httpx.Response:
    message = {"role": "user", "content": "What?", "images": list(images)}
    return http.post("/api/chat", json={"model": "sandbox-vision", "messages": [message], "stream": stream})


def _describe(http: httpx.Client, *images: str) -> str:
    return str(_post(http, *images).json()["message"]["content"])
