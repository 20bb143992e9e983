"""What servers say of a prompt that they render instead of asking the model."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from tests.contract.conftest import Server

RENDER = {"_debug_render_only": True}
MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi there"}]


def test_a_prompt_is_rendered_and_not_answered(server: Server) -> None:
    """In one object without a line end, streamed or not, that is not the end of an answer; with all messages in their order."""
    whole, streamed = (server.converse(MESSAGES, stream=stream, **RENDER) for stream in (False, True))
    for answer in (whole, streamed):
        assert not answer.content.endswith(b"\n")
        assert (answer.json()["message"], answer.json()["done"]) == ({"role": "", "content": ""}, False)
        assert set(answer.json()["_debug_info"]) == {"rendered_template"}
    text = whole.json()["_debug_info"]["rendered_template"]
    assert text == streamed.json()["_debug_info"]["rendered_template"]
    assert 0 <= text.index("Be kind.") < text.index("Hi there")


def test_a_completion_is_rendered_too(server: Server) -> None:
    """With its system prompt."""
    answer = server.generate("Hi there", system="Be kind.", **RENDER).json()
    assert (answer["response"], answer["done"]) == ("", False)
    assert "Be kind." in answer["_debug_info"]["rendered_template"]


def test_pictures_have_their_places_in_the_text(server: Server) -> None:
    """And are counted."""
    packed = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(packed, "PNG")
    picture = base64.b64encode(packed.getvalue()).decode()
    message = {"role": "user", "content": "What?", "images": [picture, picture]}
    info = server.converse([message], model=server.vision_model, options={"num_ctx": 2048}, **RENDER).json()["_debug_info"]
    assert info["image_count"] == 2
    assert "[img-0][img-1]What?" in info["rendered_template"]


def test_a_prompt_that_is_too_long_is_rendered_all_the_same(server: Server) -> None:
    """Whether it fits is not looked at."""
    answer = server.chat("word " * 3000, truncate=False, **RENDER)
    assert answer.json()["_debug_info"]["rendered_template"].count("word") == 3000
