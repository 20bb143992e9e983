"""What servers make of the pictures in a message."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.contract.conftest import Server

Refusal = Callable[[httpx.Response], tuple[int, str]]
OPTIONS = {"num_ctx": 2048, "temperature": 0}  # the least that Ollama gives a model with eyes


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_picture_is_seen_in_any_common_format(server: Server, form: str) -> None:
    """The answer names its colour."""
    assert "red" in _seen(server, _picture("red", form))


@pytest.mark.parametrize("colour", ["blue", "white", "black"])
def test_each_colour_has_its_name(server: Server, colour: str) -> None:
    """And no other one is named."""
    answer = _seen(server, _picture(colour))
    assert colour in answer
    assert "red" not in answer


def test_generate_takes_pictures_too(server: Server) -> None:
    """Beside the prompt."""
    picture = _picture("red")
    answer = server.generate("What?", model=server.vision_model, images=[picture], options=OPTIONS)
    assert "red" in answer.json()["response"]


def test_a_picture_costs_tokens(server: Server) -> None:
    """Two cost twice as many as one."""
    none, one, two = (_describe(server, *[_picture("red")] * number).json()["prompt_eval_count"] for number in range(3))
    server.converse([], model=server.vision_model, keep_alive=0)  # it may not see one of them alone after this (llama_server.py)
    assert one - none > 10
    assert abs((two - one) - (one - none)) < 3


def test_a_picture_for_a_model_without_vision(server: Server) -> None:
    """Older releases ignore it, whatever its bytes are."""
    nonsense = base64.b64encode(b"nonsense").decode()
    with_pictures = _describe(server, _picture("red"), nonsense, "", model=server.chat_model)
    server.check("a picture for a model without vision", with_pictures)
    if with_pictures.status_code == 200:
        assert with_pictures.json()["message"] == _describe(server, model=server.chat_model).json()["message"]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("!!!", 0),
        ("data:image/png;base64,AAAA", 4),
        ("https://example.com/x.png", 5),
        ("ab-_", 2),
        ("abc", 0),
        ("abcdab", 4),
        ("ab==cd", 4),
        ("abc=d", 4),
        ("abcd efgh", 4),
        ("abcdab=", 7),
        ("ab=c", 2),
        ("=", 0),
    ],
)
def test_what_is_not_base64_is_refused(server: Server, refusal: Refusal, text: str, position: int) -> None:
    """With the place where the decoder stopped, by any model."""
    refused = (400, f"illegal base64 data at input byte {position}")
    assert refusal(_describe(server, text)) == refused
    assert refusal(_describe(server, text, model=server.chat_model)) == refused


def test_line_ends_in_base64_are_skipped(server: Server) -> None:
    """As mail programs put them in."""
    packed = _picture("red")
    assert "red" in _seen(server, f"{packed[:30]}\r\n{packed[30:]}\n")


@pytest.mark.parametrize(
    ("data", "name"), [(b"", "a picture of no bytes"), (b"hello", "a picture that is none"), (b"II*\0", "a picture that is none")]
)
def test_a_picture_that_cannot_be_read_is_refused(server: Server, data: bytes, name: str) -> None:
    """By the model with eyes."""
    server.check(name, _describe(server, base64.b64encode(data).decode()))


def test_newer_releases_read_more_formats(server: Server) -> None:
    """Which end the runner of older ones."""
    server.check("a WEBP picture", _describe(server, _picture("red", "WEBP")))


def test_a_model_that_sees_has_room_for_a_picture(server: Server) -> None:
    """More than what was asked for."""
    server.chat(model=server.vision_model, options={"num_ctx": 512, "num_predict": 1})
    loaded = server.loaded()[f"{server.vision_model}:latest"]["context_length"]
    assert loaded == server.fact("context length of a vision model for 512")


@pytest.mark.parametrize(("images", "named", "expected"), [("x", "string", "[]api.ImageData"), ([1], "number", "api.ImageData")])
def test_pictures_are_a_list_of_texts(server: Server, refusal: Refusal, images: Any, named: str, expected: str) -> None:
    """Anything else is a wrong type."""
    answer = server.converse([{"role": "user", "content": "x", "images": images}])
    place = server.fact("a member of a chat request is called")
    text = f"json: cannot unmarshal {named} into Go struct field {place}messages.images of type {expected}"
    assert refusal(answer) == (400, text)


def _picture(colour: str, form: str = "PNG") -> str:
    packed = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(packed, form)
    return base64.b64encode(packed.getvalue()).decode()


def _describe(server: Server, *images: str, model: str | None = None) -> httpx.Response:
    message = {"role": "user", "content": "What?", "images": list(images)}
    options = {"num_ctx": 512, "temperature": 0} if model else OPTIONS
    return server.converse([message], model=model or server.vision_model, options=options)


def _seen(server: Server, *images: str) -> str:
    return str(_describe(server, *images).json()["message"]["content"])
