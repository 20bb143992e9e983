"""The rooms on a real Ollama with the tiny models of tests/real_ollama, whose answers are known."""

from __future__ import annotations

import _thread
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import ollama_magics as om
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.reply import Reply, answer_view, exchange_of
from ollama_magics.errors import AnswerCut, Interrupted, ModelProblem, PromptTooLong
from ollama_magics.server.wire import ChatRequest, Message
from ollama_magics.session.session import Session, current
from tests.conversation.images.pdf_file import coloured, pdf
from tests.conversation.images.test_sounds import wav

PARROT = "Hello there . I am a tiny model .."


@pytest.fixture(autouse=True)
def session(real_url: str) -> Session:
    """Return the shared session, on the real server; every context is of one size, as another one loads the model anew."""
    om.configure(base_url=real_url, context_length=512, max_tokens=512, temperature=0, first_token_timeout=60)
    return current()


def picture(folder: Path, form: str) -> Path:
    """Return the path of a red picture in a file of that form."""
    path = folder / f"red.{form.lower()}"
    Image.new("RGB", (64, 64), (255, 0, 0)).save(path, form, **({"lossless": True} if form == "WEBP" else {}))
    return path


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_red_picture_is_red_whatever_its_file(tmp_path: Path, form: str) -> None:
    """Some of these would end the server's runner if they went out as they are."""
    assert om.chat("What colour?", model="colours", images=[picture(tmp_path, form)]).text.strip() == "red"


def test_a_page_of_a_pdf_is_seen_and_a_sound_is_not_sent() -> None:
    """The model sees the page that was chosen; a WAV file would end its runner."""
    report = pdf(coloured(0, 0, 1), coloured(1, 0, 0), size="0 0 20 10")
    assert om.chat("What colour?", model="colours", images=[report], pages=2).text.strip() == "red"
    with pytest.raises(ModelProblem) as caught:
        om.chat("What is said?", model="colours", images=[wav()])
    assert (caught.value.code, "audio" in caught.value.what) == ("model-not-able", True)


def test_a_picture_for_a_blind_model_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """The server would answer as if there were none; a reply that nobody read has sent nothing."""
    with pytest.raises(ModelProblem) as caught:
        om.chat("What colour?", model="parrot", images=[picture(tmp_path, "PNG")])
    assert caught.value.code == "model-not-able"
    assert "what supports it there: colours" in caught.value.remedy


def test_an_answer_comes_whole_with_its_figures() -> None:
    """As the server counts them."""
    reply = om.chat("Hi", model="parrot")
    assert reply.text.strip() == PARROT
    assert (reply.complete, reply.done_reason, reply.stats.tokens) == (True, "stop", 10)
    assert reply.stats.prompt_tokens > 0
    assert reply.stats.writing_seconds > 0  # its speed is left out where ten tokens took too short a time to tell
    assert (answer_view(reply).warnings, reply.shifted) == ([], False)


def test_thoughts_come_apart_from_the_answer() -> None:
    """In their own field."""
    reply = om.chat("Hi", model="thinker")
    assert reply.text.strip() == PARROT
    assert reply.thinking.strip() == "Hmm"


def test_an_answer_that_was_cut_at_its_bound_says_so() -> None:
    """It is an ordinary answer for the server."""
    reply = om.chat("Hi", model="endless", max_tokens=5)
    assert reply.text.split() == ["and", "on", "and", "on", "and"]
    assert answer_view(reply).warnings == ["cut at max tokens (5): raise with max_tokens="]


def test_an_answer_that_ran_past_the_context_is_marked() -> None:
    """The server says nothing about it."""
    reply = om.chat("Hi", model="endless", max_tokens=520)
    assert reply.text
    assert reply.shifted


def test_an_interrupted_answer_keeps_its_text_and_frees_the_server(session: Session) -> None:
    """The model would never stop by itself, and answers one request after another: the next one proves that it did."""
    reply = session.ask(Prompt("Hi", model="endless", overrides={"max_tokens": -1}))

    def press_stop() -> None:
        deadline = time.monotonic() + 30
        while exchange_of(reply).partial_text.count("on") < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        _thread.interrupt_main()

    presser = threading.Thread(target=press_stop, daemon=True)
    presser.start()
    with pytest.raises(Interrupted) as caught:
        _ = reply.text
    presser.join()
    assert caught.value.partial is reply
    assert reply.text.split()[:4] == ["and", "on", "and", "on"]
    assert [(turn.complete, turn.answer.content) for turn in session.conversation.turns] == [(False, reply.text)]
    assert session.ask(Prompt("Hi", model="endless", overrides={"max_tokens": 2})).text.split() == ["and", "on"]


def test_a_prompt_over_the_context_is_an_error_and_no_answer() -> None:
    """The server would cut it without a word if it were let."""
    with pytest.raises(PromptTooLong) as caught:
        _ = om.chat("Hello there " * 2000, model="parrot").text
    assert caught.value.code == "prompt-too-long"


@pytest.mark.finding("F2")
@pytest.mark.parametrize("stream", [True, False])
def test_a_model_that_got_stuck_is_an_error_with_its_text(session: Session, *, stream: bool) -> None:
    """Made to write JSON it repeats one sign, and the server ends the answer: without a word, or with one."""
    request = ChatRequest(
        model="parrot",
        messages=(Message("user", "Hi"),),
        format="json",
        stream=stream,
        options={"num_ctx": 512, "temperature": 0},
    )
    reply = Reply(request, session.client.chat)
    with pytest.raises(AnswerCut) as caught:
        _ = reply.text
    assert caught.value.code == "model-stuck"
    assert "again" not in caught.value.remedy
    assert caught.value.partial is reply
    assert len(reply.text) > 10 or not stream  # some servers give no text with the error of a whole answer
    assert not reply.complete


def test_texts_become_vectors_that_know_what_is_near() -> None:
    """In batches of any size."""
    texts = ["A cat sits on the mat.", "A kitten is on the rug.", "The bank raised its interest rate."]
    together, apart = om.embed(texts), om.embed(texts, batch=1)
    assert together.shape == (3, 384)
    assert together.dtype == np.float32
    assert np.allclose(together, apart, atol=1e-3)
    near = together @ together.T
    assert near[0, 1] > near[0, 2]


def test_a_text_that_is_too_long_to_embed_is_an_error() -> None:
    """Not a vector of its beginning."""
    with pytest.raises(om.EmbeddingProblem) as caught:
        om.embed(["short", "word " * 2000], model="all-minilm")
    assert (caught.value.code, caught.value.rows) == ("texts-too-long", (1,))


@pytest.mark.parametrize(("model", "code"), [("nope", "model-missing"), ("all-minilm", "model-wrong-type")])
def test_a_model_that_cannot_answer_is_named(model: str, code: str) -> None:
    """Missing, or of another kind."""
    with pytest.raises(ModelProblem) as caught:
        om.chat("Hi", model=model)
    assert caught.value.code == code


def test_the_check_passes() -> None:
    """Every stage."""
    om.configure(model="parrot")
    assert om.check()


@pytest.mark.parametrize("order", [("red", "blue"), ("blue", "red"), ("green", "red", "blue")])
def test_of_several_pictures_of_different_colours_exactly_one_is_named(order: tuple[str, ...]) -> None:
    """The toy sees one of them: the others were sent, and were no error."""
    pictures = [Image.new("RGB", (64, 64), colour) for colour in order]
    reply = om.chat("What colours?", model="colours", images=[pictures])
    assert len(reply.images) == len(order)
    assert sum(colour in reply.text.split() for colour in order) == 1


@pytest.mark.parametrize(
    "red",
    [
        np.full((40, 30, 3), (255, 0, 0), np.uint8),
        np.full((40, 30, 3), (1.0, 0, 0)),
        np.full((40, 30, 4), (255, 0, 0, 255), np.uint8),
        Figure(figsize=(1, 1), facecolor="red"),
        Image.new("CMYK", (30, 40), (0, 255, 255, 0)),
        Image.new("RGB", (30, 40), "red").quantize(2),
        Image.new("RGB", (4000, 3000), "red"),
        {"a": Image.new("RGBA", (1, 1), "red")},
    ],
    ids=["uint8", "float", "alpha", "figure", "CMYK", "palette", "large", "one pixel"],
)
def test_a_red_object_of_the_notebook_is_red(red: object) -> None:
    """Whatever holds it."""
    assert om.chat("What colour?", model="colours", images=[red]).text.strip() == "red"


def test_fifty_pictures_are_sent_and_answered() -> None:
    """In one prompt."""
    pictures = [Image.new("RGB", (8, 8), "blue") for _ in range(50)]
    reply = om.chat("What colour?", model="colours", images=pictures, context_length=4096)
    assert reply.text.strip() == "blue"


def test_an_equal_request_is_answered_from_the_store() -> None:
    """By the digest that the server lists."""
    [first, again] = [om.chat("Hi", model="parrot", reuse=True) for _ in range(2)]
    assert first.text == again.text
    assert first.stored == ""
    assert again.stored
    assert not om.chat("Hi", model="thinker", reuse=True).stored


def test_what_was_recorded_is_replayed_without_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers, thoughts, refusals and vectors."""

    def live() -> list[object]:
        current().record(str(tmp_path / "r.json"))
        replies = [om.chat("Hi", model=model) for model in ("parrot", "thinker")]
        found: list[object] = [(reply.text, reply.thinking, reply.stats.tokens) for reply in replies]
        with pytest.raises(PromptTooLong) as caught:
            _ = om.chat("Hello there " * 2000, model="parrot").text
        return [*found, str(caught.value), om.embed(["a", "b", "c"], batch=1).tolist()]

    said = live()
    monkeypatch.setenv("OLLAMA_MAGICS_REPLAY", "1")
    monkeypatch.setenv("OLLAMA_MAGICS_STREAM", "off")
    om.configure(base_url="http://127.0.0.1:9")
    assert live() == said
