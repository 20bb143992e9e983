"""What functions return reaches the model: tables as in a prompt, pictures as pictures, and whatever is left out is noted."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from PIL import Image

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.reply import answer_view
from ollama_magics.conversation.tool_definitions import make_tools
from ollama_magics.conversation.tools import Toolbox, ToolCall
from ollama_magics.conversation.value_text import ValueText
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.session.session import Session
from ollama_magics.settings.form import OllamaSettings

mpl.use("Agg")
FRAME = pd.DataFrame({"city": ["Rome", "Oslo"], "people": [2.8, 0.7]})
LONG = pd.DataFrame({"n": range(1000)})
RED = Image.new("RGB", (40, 30), (255, 0, 0))


@dataclass
class Found:
    """What a search found."""

    name: str
    score: float


class Model(pydantic.BaseModel):
    """The same for pydantic."""

    name: str
    score: float = 0.5


def figure() -> Any:
    """Return a figure of matplotlib."""
    drawn, axes = plt.subplots(figsize=(2, 1))
    axes.plot([1, 2])
    plt.close(drawn)
    return drawn


def file_of(image: Image.Image) -> bytes:
    """Return a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def run(value: Any, **options: Any) -> ToolCall:
    """Return a call of a function that returns the value."""

    def look() -> Any:
        """Return it."""
        return value

    call = ToolCall.from_wire({"function": {"name": "look", "arguments": {}}})
    Toolbox(make_tools(look), lambda _: True, **options).run([call])
    return call


def in_a_prompt(value: Any) -> str:
    """Return the text of a value in a prompt."""
    return ValueText().of(value, "look()")[0]


TEXTS: dict[str, tuple[Any, str]] = {
    "frame": (FRAME, in_a_prompt(FRAME)),
    "series": (FRAME.people, in_a_prompt(FRAME.people)),
    "polars": (pl.from_pandas(FRAME), in_a_prompt(pl.from_pandas(FRAME))),
    "arrow": (pa.table({"a": [1, 2]}), in_a_prompt(pa.table({"a": [1, 2]}))),
    "array": (np.arange(3), in_a_prompt(np.arange(3))),
    "number": (np.float64(0.5), "0.5"),
    "infinity": ({"a": float("inf")}, '{"a":Infinity}'),
    "dict": ({"a": np.arange(2), "b": None}, '{"a":[0,1],"b":null}'),
    "frames": ([FRAME, "text"], f"{in_a_prompt(FRAME)}\n\ntext"),
    "frames by name": ({"table": FRAME, "n": 2}, f"table: {in_a_prompt(FRAME)}\n\nn: 2"),
    "dataclass": (Found("x", 0.5), '{"name":"x","score":0.5}'),
    "dataclasses": ([Found("x", 0.5)], '[{"name":"x","score":0.5}]'),
    "pydantic": (Model(name="x"), '{"name":"x","score":0.5}'),
    "pydantics": ([Model(name="x")], '[{"name":"x","score":0.5}]'),
    "bytes of text": ("Größe".encode(), "Größe"),
    "nothing": (None, "null"),
    "Chinese": ({"城市": "罗马"}, '{"城市":"罗马"}'),
}


@pytest.mark.finding("B9")
@pytest.mark.parametrize(("value", "text"), TEXTS.values(), ids=TEXTS)
def test_a_result_is_written_as_in_a_prompt(value: Any, text: str) -> None:
    """Nothing is lost, and nothing noted."""
    call = run(value, strict=True)
    assert (call.error, call.result, call.images, call.notes) == (None, text, (), ())


PICTURES: dict[str, tuple[Callable[[], Any], int]] = {
    "Pillow": (lambda: RED, 1),
    "figure": (figure, 1),
    "axes": (lambda: figure().axes[0], 1),
    "file": (lambda: file_of(RED), 1),
    "list": (lambda: [RED, "and", figure()], 2),
    "dict": (lambda: {"first": RED, "table": FRAME}, 1),
}


@pytest.mark.finding("B9")
@pytest.mark.parametrize(("make", "count"), PICTURES.values(), ids=PICTURES)
def test_a_picture_goes_to_a_model_that_sees(make: Callable[[], Any], count: int) -> None:
    """The text says how large it is; a model that does not see is told so, and so is the user."""
    seen, unseen = run(make(), sees=True), run(make(), sees=False)
    assert (seen.error, len(seen.images), (seen.result or "").count("(a picture of ")) == (None, count, count)
    assert [note for note in seen.notes if note.loses] == []
    assert (unseen.images, (unseen.result or "").count("which you cannot see")) == ((), count)
    left_out = "look(): the picture was left out, since the model does not see"
    assert [str(note.phrase) for note in unseen.notes] == [left_out] * count
    strict = run(make(), sees=False, strict=True)
    assert (strict.result, "cannot be passed on whole" in (strict.error or "")) == (None, True)


CUT: dict[str, tuple[Any, str]] = {
    "rows": (LONG, "look(): 20 of 1\u202f000 rows"),
    "text": ("x" * 9000, "look(): cut at 8\u202f000 of 9\u202f000 characters"),
    "JSON": (["word"] * 5000, "look(): cut at 8\u202f000 of 35\u202f001 characters"),
    "bytes": (bytes(range(128, 256)), "look(): 128 bytes were left out, which are neither text nor a picture"),
}


@pytest.mark.finding("B9")
@pytest.mark.parametrize(("value", "note"), CUT.values(), ids=CUT)
def test_what_is_cut_is_noted(value: Any, note: str) -> None:
    """For the user; the text says it to the model. With strict it is an error of the call."""
    call = run(value)
    assert [str(one.phrase) for one in call.notes] == [note]
    assert len(call.result or "") < 8100
    assert note in (run(value, strict=True).error or "")


@pytest.mark.finding("B9")
def test_what_has_no_text_is_an_error_for_the_model() -> None:
    """Such as an iterator, or a figure that cannot be drawn."""
    assert "look()" in (run(iter([1])).error or "")

    class Broken:
        def savefig(self, *_: Any, **__: Any) -> None:
            raise ZeroDivisionError("no ink")

    assert "no ink" in (run(Broken(), sees=True).error or "")


@pytest.fixture
def session(stand_in: FakeServer) -> Any:
    """Return a session whose model calls functions and, by the settings, sees."""
    session = Session(OllamaSettings())
    session.configure({"base_url": stand_in.url, "model": "sandbox-tools", "vision": "yes"})
    yield session
    session.close()


@pytest.mark.finding("B9")
@pytest.mark.release("0.24.0")  # which ignores pictures that a model cannot read
def test_pictures_stand_in_the_message_of_the_result(session: Session, stand_in: FakeServer) -> None:
    """They are shown and kept with the turn; what is noted of a result is noted of the reply."""

    def paint() -> Any:
        """Paint something."""
        return [RED, "x" * 9000]

    talk = Conversation()
    reply = session.ask(Prompt("paint", tools=[paint], confirm=lambda _: True, chat=talk))
    assert reply.text.startswith("The functions returned: (a picture of 40 × 30 pixels)")
    (*_, body) = [body for _, path, body in stand_in.requests if path == "/api/chat" and body]
    (result,) = [message for message in body["messages"] if message["role"] == "tool"]
    sent = Image.open(io.BytesIO(base64.b64decode(result["images"][0])))
    assert (sent.size, sent.convert("RGB").getpixel((0, 0))) == ((40, 30), (255, 0, 0))
    assert reply.notes == ["paint(): cut at 8\u202f000 of 9\u202f031 characters"]
    assert reply.tool_calls[0].images == tuple(answer_view(reply).pictures)
    assert [bool(message.images) for turn in talk.turns for message in turn.messages] == [False, False, True, False]
    session.configure({"vision": "no"})
    again = session.ask(Prompt("And now?", chat=talk))
    assert again.text
    assert "pictures of an earlier turn were left out" in again.notes[0]
