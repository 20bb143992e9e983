"""A session that lives on a recording: the same answers, no socket, and a word about what is not in the file."""

from __future__ import annotations

import _thread
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import ollama_magics as om
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.errors import AnswerCut, ConnectionProblem, Interrupted, ModelProblem, RequestRefused
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.integrations.remote_session import describe_session
from ollama_magics.rows.options import RowOptions
from ollama_magics.server.recorded_exchange import Exchange
from ollama_magics.server.recording import RecordingFile, read
from ollama_magics.server.wire import embed_request, embeddings
from ollama_magics.session.session import Session, current
from tests.faults import LINES, FaultServer, Hold, Lines, Reset, Send, fine, whole

Record = Callable[..., Session]
NOBODY = "http://127.0.0.1:9"


def answer_text(session: Session, prompt: str, **options: Any) -> str:
    """Return the answer to a prompt, asked once."""
    return session.ask(Prompt(prompt, once=True, **options)).text


def test_the_same_session_gives_the_same_answers_without_a_server(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """Chat, completion, pictures, embeddings, the check and the list of models."""

    def live(session: Session) -> list[Any]:
        [red] = session.pictures_of(Image.new("RGB", (9, 9), "red"))
        reply = session.ask(Prompt("Hi"))
        found = [reply.text, reply.stats.tokens, answer_text(session, "What colour?", images=(red,), model="sandbox-vision")]
        found.append(session.embed([f"text {i}" for i in range(40)], batch=5, parallel=3).tolist())
        session.configure({"model_type": "completion"})
        found += [answer_text(session, "Once upon"), [model.name for model in session.client.installed()]]
        return [*found, str(session.check(deep=True).ok), len(session.client.loaded())]

    said = live(record(stand_in.url))
    asked = len(stand_in.requests)
    assert live(replay()) == said
    assert len(stand_in.requests) == asked


_OFFLINE = """
import sys
import ollama_magics as om
from ollama_magics.session.session import current
opened = []
sys.addaudithook(lambda event, _: opened.append(event) if event.startswith("socket.") else None)
om.configure(base_url="http://some-gpu-box:11434", model="sandbox-chat", embedding_model="sandbox-embed")
current().record(sys.argv[1])
print(om.chat("Hi").text, om.embed(["a", "b"]).shape, bool(om.check()), opened)
"""


def test_no_socket_is_opened_and_no_name_looked_up(record: Record, stand_in: FakeServer, recording: Path) -> None:
    """Whatever address the notebook names; the check needs none either."""
    session = record(stand_in.url)
    text = session.ask(Prompt("Hi")).text
    session.embed(["a", "b"])
    session.check()
    environment = {"OLLAMA_MAGICS_REPLAY": "1", "PATH": "", "PYTHONPATH": str(Path(om.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-c", _OFFLINE, recording], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout.strip() == f"{text} (2, 256) True []", ran.stderr


def test_equal_requests_come_back_in_their_order(record: Record, replay: Record) -> None:
    """And once more is an error; what a session asks now and then has its last answer for ever."""
    with FaultServer() as server:
        answers = iter("abc")

        class Next(dict[str, Any]):
            def __missing__(self, path: str) -> Any:
                if path == "/api/chat":
                    line = {"message": {"content": next(answers)}, "done": True, "done_reason": "stop"}
                    return whole(line, kind="application/x-ndjson")
                return fine()[0].scripts[path]  # type: ignore[attr-defined]

        from tests.faults import Serve  # noqa: PLC0415 - only here

        server._scripts = ([Serve(Next())],)
        session = record(server.url, "m")
        assert [answer_text(session, "Hi") for _ in "abc"] == ["a", "b", "c"]
    session = replay("m")
    assert [answer_text(session, "Hi") for _ in "abc"] == ["a", "b", "c"]
    assert [session.client.version() for _ in range(3)] == ["0.24.0"] * 3
    with pytest.raises(om.RecordingProblem) as caught:
        answer_text(session, "Hi")
    assert caught.value.code == "recording-no-match"
    assert "3 times" in caught.value.how_we_know


def test_a_missing_request_names_the_nearest_and_the_differences(
    record: Record, replay: Record, stand_in: FakeServer, recording: Path
) -> None:
    """In four lines, and nothing is sent."""
    session = record(stand_in.url)
    for prompt in ("A long question about cats and their kittens", "Something else altogether"):
        answer_text(session, prompt, overrides={"seed": 1})
    with pytest.raises(om.RecordingProblem) as caught:
        answer_text(replay(), "A long question about cats and their mittens", overrides={"seed": 2})
    error = caught.value
    assert len(error.lines()) == 4
    assert error.what == f"{recording} has no recording of this request: POST /api/chat."
    assert "number 4 of 5" in error.how_we_know
    assert "kittens' in the recording and" in error.how_we_know
    assert "mittens' now" in error.how_we_know
    assert "options.seed is 1 in the recording and 2 now" in error.how_we_know
    assert "OLLAMA_MAGICS_REPLAY" in error.remedy
    error.language = "zh"
    assert "最相似的是" in error.how_we_know


def test_a_path_that_was_never_asked_says_so(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """Where nothing is near, nothing is named."""
    answer_text(record(stand_in.url), "Hi")
    with pytest.raises(om.RecordingProblem) as caught:
        replay().client.embed(embed_request("sandbox-embed", ["Hi"]), embeddings)
    assert "None of its" in caught.value.how_we_know


def test_loaded_models_can_be_requested_at_any_time(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """While a wait is long, which is another one each time: in a replay without an answer nothing is loaded."""
    answer_text(record(stand_in.url), "Hi")
    assert replay().client.loaded() == []


def test_the_sessions_of_estimators_and_lazy_arrays_share_the_recording(
    stand_in: FakeServer, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they were opened before it or after."""
    om.configure(base_url=stand_in.url, embedding_model="sandbox-embed")
    before = describe_session(stand_in.url).open()
    current().record(str(recording))
    after = describe_session(f"{stand_in.url}/").open()
    vectors = [session.embed(["a", "b"]).tolist() for session in (before, after)]
    monkeypatch.setenv("OLLAMA_MAGICS_REPLAY", "1")
    current().record(str(recording))
    stand_in.stop()
    assert [session.embed(["a", "b"]).tolist() for session in (before, after)] == vectors


def test_neither_the_order_of_keys_nor_the_address_counts(
    record: Record, replay: Record, stand_in: FakeServer, recording: Path
) -> None:
    """A recording survives a rewrite by hand and another base path."""
    text = answer_text(record(stand_in.url), "Hi", overrides={"seed": 1, "top_k": 2})
    found = json.loads(recording.read_text())
    for exchange in found["exchanges"]:
        if exchange["path"] == "/api/chat":
            exchange["request"] = dict(reversed(exchange["request"].items()))
    recording.write_text(json.dumps(found, indent=1))
    session = replay()
    session.configure({"base_url": "https://ollama.example/ollama"})
    assert answer_text(session, "Hi", overrides={"top_k": 2, "seed": 1}) == text


def test_a_replay_takes_about_the_time_of_the_stream(
    record: Record, replay: Record, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a reader sees what the author saw; where nothing is painted meanwhile, it takes none."""
    with FakeServer(delay=0.05) as slow:
        answer_text(record(slow.url), "Hi")
    needed = read(recording)[-1].answer[-1][0] / 1000
    session = replay()
    start = time.monotonic()
    answer_text(session, "Hi")
    assert time.monotonic() - start < needed
    monkeypatch.delenv("OLLAMA_MAGICS_STREAM")
    session.record(str(recording))
    start = time.monotonic()
    answer_text(session, "Hi")
    assert time.monotonic() - start >= needed - 0.1


def test_refusals_are_replayed_as_the_same_errors(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """A notebook may show an error on purpose."""

    def failures(session: Session) -> list[str]:
        found = []
        for prompt in (
            Prompt("Hi", model="nope"),
            Prompt("word " * 300, overrides={"context_length": 64}),
            Prompt("Hi", model="sandbox-embed"),
        ):
            with pytest.raises(om.OllamaMagicsError) as caught:
                _ = session.ask(prompt).text
            found.append(str(caught.value))
        return found

    assert failures(record(stand_in.url)) == failures(replay())


@pytest.mark.parametrize(
    ("chat", "code"),
    [
        ([Send(LINES), Lines(3), Reset()], "stream-incomplete"),
        ([Send(LINES), Lines(3), Send(b'{"error":"the runner died"}\n')], "stream-error"),
        ([Send(LINES), Lines(3), Send(b"no line\n"), Hold()], "stream-unreadable"),
        ([Send(LINES), Lines(3), Hold()], "stream-stalled"),
        ([Hold()], "server-silent"),
        (whole(b"<html>502</html>", status=502, kind="text/html"), "gateway-failed"),
    ],
)
def test_a_broken_answer_is_replayed_as_broken(record: Record, replay: Record, chat: Any, code: str) -> None:
    """In the same place, with the same words."""
    limits = {"first_token_timeout": 0.5, "idle_timeout": 0.5}
    with FaultServer(fine(chat=chat)) as server:
        found = []
        for start, url in ((record, (server.url,)), (replay, ())):
            session = start(*url, "m", **limits)
            with pytest.raises((AnswerCut, ConnectionProblem, RequestRefused)) as caught:
                answer_text(session, "Hi")
            found.append(caught.value)
    assert [error.code for error in found] == [code] * 2
    assert found[0].how_we_know == found[1].how_we_know


def test_a_server_that_was_not_there_is_not_there_again(record: Record, replay: Record) -> None:
    """And it is the same error: refused, and not just broken."""
    for start, url in ((record, (NOBODY,)), (replay, ())):
        session = start(*url, "m")
        with pytest.raises(ConnectionProblem) as caught:
            answer_text(session, "Hi")
        assert caught.value.code == "address-refused"


def test_an_interrupted_answer_is_interrupted_again(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """The cell failed for the author, and fails for everybody, with the same text."""
    stand_in.delay = 0.05
    reply = record(stand_in.url).ask(Prompt("never stop"))
    threading.Timer(0.5, _thread.interrupt_main).start()
    with pytest.raises(Interrupted), reply:
        list(reply)
    again = replay().ask(Prompt("never stop"))
    with pytest.raises(Interrupted) as caught, again:
        list(again)
    assert caught.value.partial is again
    assert again.text == reply.text != ""


def test_models_are_chosen_as_they_were(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """What the server listed is in the file."""
    for start, url in ((record, (stand_in.url,)), (replay, ())):
        session = start(*url, "")
        with pytest.raises(ModelProblem) as caught:
            session.ask(Prompt("Hi"))
        assert caught.value.code == "model-ambiguous"


@pytest.mark.parametrize("content", ["{}", "[1"])
def test_a_file_that_cannot_be_replayed_says_why(replay: Record, recording: Path, content: str) -> None:
    """Of another kind, or broken; and the file is left as it is."""
    recording.write_text(content)
    with pytest.raises(om.RecordingProblem) as caught:
        replay()
    assert caught.value.code == "recording-unreadable"
    assert "not a recording" in caught.value.how_we_know
    assert recording.read_text() == content


def test_a_missing_recording_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program may run the notebook in another folder than its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_MAGICS_REPLAY", "1")
    with pytest.raises(om.RecordingProblem) as caught:
        current().record("exchanges.json")
    assert (caught.value.code, str(tmp_path) in caught.value.how_we_know) == ("recording-missing", True)
    assert "papermill --cwd" in caught.value.remedy


def test_a_turn_without_a_recording_does_not_fail_the_later_ones(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """They are sent without it; what is said next belongs to the last prompt, the system prompt and the options."""
    prompts = ["What is a cat?", "And a dog?", "And a bird?", "And a fish?"]
    session = record(stand_in.url)
    expected = [session.ask(Prompt(text)).text for text in prompts]
    session.close()

    again = replay()
    assert again.ask(Prompt(prompts[0])).text == expected[0]
    with pytest.raises(om.RecordingProblem, match=r"is 'And a dog\?' in the recording and 'And a mouse\?' now"):
        _ = again.ask(Prompt("And a mouse?")).text
    assert [again.ask(Prompt(text)).text for text in prompts[2:]] == expected[2:]
    with pytest.raises(om.RecordingProblem, match="temperature"):
        _ = again.ask(Prompt("And a bird?", overrides={"temperature": 0.5})).text


def test_earlier_turns_count_where_all_had_a_recording(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """An edited notebook must not be answered from turns that it no longer has."""
    session = record(stand_in.url)
    for text in ("What is a cat?", "And a dog?"):
        _ = session.ask(Prompt(text)).text
    session.close()
    with pytest.raises(om.RecordingProblem, match=r"messages\[0\].content is 'What is a cat"):
        _ = replay().ask(Prompt("And a dog?")).text


@pytest.mark.parametrize("deep", [False, True])
def test_a_check_is_the_same_in_the_replay(record: Record, replay: Record, stand_in: FakeServer, *, deep: bool) -> None:
    """No time, address or port stands in it, and each result says that it is recorded: in a replay nothing is tested."""
    recorded = record(stand_in.url).check(deep=deep)
    replayed = replay().check(deep=deep)
    assert str(recorded) == str(replayed)
    assert recorded.as_html() == replayed.as_html()
    ran = [line for line in str(replayed).splitlines() if line.startswith("✓")]
    assert len(ran) >= 5
    assert [line for line in ran if not line.endswith("(recorded)")] == []
    assert not re.search(r"127\.0\.0\.1|\d ms|\d s\b|tok/s|MB", str(recorded))


def test_rows_have_the_times_of_the_recording(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """A table of answers that is compared has a column of seconds."""
    seconds = []
    for start, url in ((record, (stand_in.url,)), (replay, ())):
        result = start(*url).map(["a cat", "a dog"], Prompt("What is {{item}}?"), options=RowOptions(parallel=1))
        seconds.append([row["seconds"] for row in result.frame])
    assert seconds[0] == seconds[1]
    assert all(seconds[0])


def test_the_vectors_of_a_replay_are_those_of_the_server(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """To the last bit."""
    texts = [f"text {i}" for i in range(30)]
    assert np.array_equal(record(stand_in.url).embed(texts), replay().embed(texts))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LINE = st.dictionaries(st.text(), VALUES, max_size=3) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))


@given(st.lists(st.tuples(VALUES, st.lists(st.tuples(st.integers(0, 10**6), LINE), max_size=3)), max_size=3))
def test_any_exchange_is_read_as_it_was_written(said: list[tuple[Any, list[tuple[int, Any]]]]) -> None:
    """Any text in any script."""
    import tempfile  # noqa: PLC0415 - hypothesis and tmp_path do not go together

    wanted = [Exchange("POST", "/api/chat", request, 200, "x", answer) for request, answer in said]
    with tempfile.TemporaryDirectory() as folder:
        written = RecordingFile(Path(folder) / "r.json")
        for exchange in wanted:
            written.add(exchange)
        written.close()
        assert [one.key for one in read(written.path)] == [one.key for one in wanted]
        assert [[list(line) for line in one.answer] for one in read(written.path)] == [
            [list(line) for line in one.answer] for one in wanted
        ]


def test_the_rounds_of_a_turn_with_tools_are_replayed(record: Record, replay: Record, stand_in: FakeServer) -> None:
    """The functions run again, and what they return is the same or is named as what differs."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b + more

    more = 0
    wishes: dict[str, Any] = {"model": "sandbox-tools", "tools": add, "confirm": lambda _: True}
    said = answer_text(record(stand_in.url), "2 and 3", **wishes)
    asked, offline = len(stand_in.requests), replay()
    assert said == answer_text(offline, "2 and 3", **wishes) == "The functions returned: 5"
    assert len(stand_in.requests) == asked
    more = 1
    with pytest.raises(om.RecordingProblem) as caught:
        answer_text(replay(), "2 and 3", **wishes)
    assert "messages[2].content is '5' in the recording and '6' now" in caught.value.how_we_know
