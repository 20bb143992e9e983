"""Answers that come as they should, slowly, in odd pieces, or not to their end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ollama_magics.errors import AnswerCut, OllamaMagicsError
from ollama_magics.server.client import Client
from ollama_magics.server.failures import failure_kind
from ollama_magics.server.wire import ChatRequest, EmbedRequest, GenerateRequest, Message, embeddings
from tests.faults import (
    CHUNKED,
    LINES,
    Close,
    FaultServer,
    Hold,
    Lines,
    Piece,
    Send,
    Slices,
    Step,
    Wait,
    chunk,
    fine,
    whole,
)

Connect = Callable[..., Client]

REQUEST = ChatRequest(model="m", messages=(Message("user", "Hi"),))
WORDS = ["Hé", "llo \u0085", "数据\u2028", "\U0001f600", "\x00\t\r\n", '"quoted\\"', " \u202eend"]
STREAM = b"".join(chunk(word) for word in WORDS) + chunk(done=True, done_reason="stop", eval_count=7)


def read(client: Client, request: ChatRequest | GenerateRequest = REQUEST) -> tuple[str, OllamaMagicsError | None]:
    """Return the text that came, and the error that ended it."""
    text = ""
    try:
        for piece in client.chat(request):
            text += piece.text
    except OllamaMagicsError as error:
        return text, error
    return text, None


def framed(stream: bytes, size: int) -> bytes:
    """Return the stream in HTTP chunks of that size."""
    parts = [stream[start : start + size] for start in range(0, len(stream), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


WHOLE: dict[str, list[Step]] = {
    "at once": [Send(LINES + STREAM), Close()],
    "byte by byte": [Send(LINES), Slices(STREAM), Close()],
    "in HTTP chunks of one byte": [Send(CHUNKED + framed(STREAM, 1))],
    "in HTTP chunks of seven bytes, byte by byte": [Slices(CHUNKED + framed(STREAM, 7))],
    "with other ends of lines": [Send(LINES + STREAM.replace(b"}\n", b"}\r\n\r\n  \n")), Close()],
    "without the end of the last line": [Send(LINES + STREAM.rstrip(b"\n")), Close()],
    "with more after its end": [Send(LINES + STREAM + chunk("more") + chunk("", done=True) + b"rubbish\n"), Hold()],
}


@pytest.mark.parametrize("script", WHOLE.values(), ids=WHOLE)
def test_the_text_is_the_same_however_its_bytes_come(connect: Connect, script: Sequence[Step]) -> None:
    """No character is lost, doubled or split, and what follows the last line does not count."""
    with FaultServer(fine(chat=script)) as server:
        assert read(connect(server.url)) == ("".join(WORDS), None)


def test_pieces_are_given_while_the_server_still_writes(connect: Connect) -> None:
    """The first word is there although the second never comes."""
    with FaultServer(fine(chat=[Send(CHUNKED), Piece(chunk("first")), Hold()])) as server:
        pieces = connect(server.url).chat(REQUEST)
        assert next(pieces).text == "first"
        pieces.close()  # type: ignore[attr-defined]


TOLD = ({"format": "json"}, {"tools": ({"type": "function", "function": {"name": "add"}},)})


@pytest.mark.promise("N2")
def test_a_stream_that_ends_politely_at_any_byte_is_not_complete(
    connect: Connect, record_property: Callable[[str, object], None]
) -> None:
    """The text so far is kept; only the end of the last line may be missing."""
    text = "".join(WORDS)
    places = sorted({*range(0, len(STREAM), 7), *range(len(STREAM) - 60, len(STREAM))})
    wrong = []
    for place in places:
        with FaultServer(fine(chat=[Send(LINES + STREAM[:place]), Close()])) as server:
            found, error = read(connect(server.url))
        is_whole = place == len(STREAM) - 1
        if (error is None) != is_whole or not text.startswith(found):
            wrong.append((place, found, error))
    record_property("figure", f"{len(places)} places to cut an answer")
    assert wrong == []


@pytest.mark.parametrize("more", TOLD, ids=["format", "tools"])
def test_text_that_the_server_holds_back_may_take_as_long_as_the_first(connect: Connect, more: dict[str, Any]) -> None:
    """With a format or functions the limit between two pieces is that of the first token, and the error names it."""
    slow: list[Step] = [Send(LINES), Lines(1), Wait(0.6), Send(chunk(done=True, done_reason="stop")), Close()]
    with FaultServer(fine(chat=slow), fine(chat=[Send(LINES), Lines(1), Hold()])) as server:
        client = connect(server.url, idle=0.2, first_token=1.5)
        request = ChatRequest(model="m", messages=REQUEST.messages, **more)
        assert read(client, request) == ("0 ", None)
        _, error = read(client, request)
        assert error is not None
        assert (error.code, error.facts["seconds"]) == ("stream-stalled", "1.5")


LOOP = [chunk(" and")] * 40
ABORTED = "prediction aborted, token repeat limit reached"
ABORTED_LINE = json.dumps({"error": ABORTED}).encode()
IN_A_TEXT = json.dumps({"error": json.dumps({"error": {"code": 500, "message": ABORTED}})}).encode()
HM = chunk(message={"content": "", "thinking": " hm"})


def stream(*lines: bytes) -> list[Step]:
    """Return the script of a stream that ends cleanly."""
    return whole(b"".join(lines), kind="application/x-ndjson")


STUCK: dict[str, tuple[list[Step], str, str]] = {
    "a stream that ends without a word": (stream(*LOOP), " and" * 40, "are all the same"),
    "thoughts": (stream(*[HM] * 40), "", "are all the same"),
    "spaces": (stream(chunk("{"), *[chunk(" "), chunk("\n")] * 20), "{" + " \n" * 20, "are all the same"),
    "an error line behind the text": (stream(*LOOP[:3], ABORTED_LINE), " and" * 3, ABORTED),
    "an error line alone, as with tools": (stream(ABORTED_LINE), "", ABORTED),
    "an error with a status": (whole(ABORTED_LINE, status=500), "", ABORTED),
    "JSON in a text": (whole(IN_A_TEXT, status=500), "", ABORTED),
}


@pytest.mark.finding("F2")
@pytest.mark.parametrize(("script", "before", "said"), STUCK.values(), ids=STUCK)
def test_a_model_that_repeats_itself_got_stuck(connect: Connect, script: list[Step], before: str, said: str) -> None:
    """The text is kept, and nobody is told to try the same again."""
    with FaultServer(fine(chat=script)) as server:
        text, error = read(connect(server.url))
    assert (text, type(error)) == (before, AnswerCut)
    assert error is not None
    assert error.code == "model-stuck"
    assert said in error.how_we_know
    assert not failure_kind(error).is_temporary
    for language in ("en", "zh"):
        error.language = language
        assert not re.search("again|重新运行", error.remedy)


@pytest.mark.finding("F2")
def test_an_answer_that_ends_without_a_loop_is_incomplete(connect: Connect) -> None:
    """A few equal words are none."""
    script = stream(chunk("no"), *LOOP[:10])
    with FaultServer(fine(chat=script)) as server:
        _, error = read(connect(server.url))
    assert error is not None
    assert error.code == "stream-incomplete"


def test_a_completion_is_read_like_a_chat(connect: Connect) -> None:
    """From its own endpoint and fields."""
    with FaultServer(fine()) as server:
        assert read(connect(server.url), GenerateRequest(model="m", prompt="Hi")) == ("Hello", None)
        assert server.paths() == ["/api/generate"]


def test_vectors_are_the_same_however_their_bytes_come(connect: Connect) -> None:
    """Numbers split between two packets included."""
    vectors = [[0.125, -3.0e-7, 12345.678], [1.0, 2.0, 3.0]]
    body = json.dumps({"embeddings": vectors}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    answers: list[list[Step]] = [[Send(head + body)], [Slices(head + body)]]
    for script in answers:
        with FaultServer(fine(embed=script)) as server:
            request = EmbedRequest(model="m", input=("a", "b"))
            assert connect(server.url).embed(request, embeddings) == vectors
