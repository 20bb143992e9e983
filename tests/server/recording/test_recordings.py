"""What a recording holds, what it never holds, and that it is whole whatever happens."""

from __future__ import annotations

import _thread
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ollama_magics as om
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.reply import Reply
from ollama_magics.errors import AnswerCut, ConnectionProblem, RecordingProblem, RequestRefused
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.secret import Secret
from ollama_magics.server.recorded_exchange import Exchange, new_exchange
from ollama_magics.server.recording import RecordingFile, open_recording, read
from ollama_magics.server.redaction import Redaction
from ollama_magics.session.session import Session
from tests.canary import KEY
from tests.faults import LINES, Close, FaultServer, Lines, Reset, Send, chunk, fine, whole

Record = Callable[..., Session]


def exchanges(recording: Path) -> list[dict[str, Any]]:
    """Return the exchanges of a file as plain JSON."""
    found: list[dict[str, Any]] = json.loads(recording.read_text(encoding="utf-8"))["exchanges"]
    return found


def test_every_exchange_is_recorded_unchanged(record: Record, stand_in: FakeServer, recording: Path) -> None:
    """In order, with the request as an object and each line of the answer with its milliseconds."""
    reply = record(stand_in.url).ask(Prompt("Hi there", overrides={"seed": 3}))
    text = reply.text
    found = exchanges(recording)
    assert [(one["method"], one["path"]) for one in found] == [
        ("GET", "/api/version"),
        ("GET", "/api/tags"),
        ("POST", "/api/show"),
        ("POST", "/api/chat"),
    ]
    chat = found[-1]
    assert chat["request"]["messages"] == [{"role": "user", "content": "Hi there"}]
    assert chat["request"]["options"]["seed"] == 3
    assert (chat["status"], chat["type"], "ended" in chat) == (200, "application/x-ndjson", False)
    assert "".join(line["message"]["content"] for _, line in chat["answer"] if not line["done"]) == text
    moments = [moment for moment, _ in chat["answer"]]
    assert moments == sorted(moments)


def test_times_are_those_of_the_stream(record: Record, recording: Path) -> None:
    """In milliseconds since the request."""
    with FaultServer(fine(chat=whole(chunk("a") + chunk("b", done=True), kind="application/x-ndjson"))) as server:
        _ = record(server.url, "m").ask(Prompt("Hi")).text
    with FakeServer(delay=0.05) as slow:
        _ = record(slow.url).ask(Prompt("Hi")).text
    moments = [moment for moment, _ in exchanges(recording)[-1]["answer"]]
    assert moments[0] >= 40
    assert moments[5] >= 290  # a busy machine reads the first ones late, and none early
    assert moments[0] < moments[5]


def test_a_line_of_a_stream_is_a_line_of_the_file(record: Record, stand_in: FakeServer, recording: Path) -> None:
    """So that a user reads it from top to bottom, and a difference between two recordings shows where it is."""
    _ = record(stand_in.url).ask(Prompt("Hi")).text
    lines = recording.read_text(encoding="utf-8").splitlines()
    assert sum(bool(re.match(r"    \[\d+,\{.*\}\],?$", line)) for line in lines) >= 5
    assert any(line.strip() == '"content": "Hi"' for line in lines)


def test_no_key_password_header_or_address_is_kept(record: Record, recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where a server repeats them."""
    monkeypatch.setenv("OUR_KEY", "key-5f2c-secret")
    monkeypatch.setenv("OUR_HEADER", "header-77-secret")
    said = whole({"error": "no model for key-5f2c-secret, header-77-secret, pass-1-secret"}, status=500)
    with FaultServer(fine(chat=said)) as server:
        address = server.url.replace("//", "//ann:pass-1-secret@")
        session = record(address, "m", headers={"X-Token": "$OUR_HEADER"})
        session.configure({"api_key_env": "OUR_KEY"})
        with pytest.raises(RequestRefused):
            _ = session.ask(Prompt("Hi")).text
        sent = server.requests[-1].headers
    text = recording.read_text(encoding="utf-8")
    assert "header-77-secret" in sent["x-token"]
    assert "no model for" in text
    assert not [word for word in ("secret", "127.0.0.1", str(server.port), "uthorization", "oken") if word in text]


def test_a_repeated_key_is_not_recorded_and_an_ordinary_word_is(record: Record, recording: Path) -> None:
    """A password may be an ordinary word."""
    said = chunk("The key is key-5f2c-secret, and the model is m", done=True, done_reason="stop")
    with FaultServer(fine(chat=whole(said, kind="application/x-ndjson"))) as server:
        session = record(server.url.replace("//", "//ann:model@"), "m")
        session.resolved.secrets.hold_key(Secret("key-5f2c-secret"))
        _ = session.ask(Prompt("Is it key-5f2c-secret?")).text
    assert server.requests[-1].headers["authorization"]
    last = exchanges(recording)[-1]
    assert last["answer"][0][1]["message"]["content"] == "The key is ••••, and the model is m"
    assert last["request"]["messages"][0]["content"] == "Is it ••••?"


def test_an_address_in_a_refusal_is_not_kept(record: Record, recording: Path) -> None:
    """What stands before Ollama may name the machine."""
    with FaultServer(fine(chat=[])) as server:
        body = f"<h1>Bad gateway</h1> upstream 127.0.0.1:{server.port} is gone".encode()
        server._scripts = (fine(chat=whole(body, status=502, kind="text/html")),)
        with pytest.raises((RequestRefused, ConnectionProblem)):
            _ = record(server.url, "m").ask(Prompt("Hi")).text
    assert "Bad gateway" in recording.read_text(encoding="utf-8")
    assert str(server.port) not in recording.read_text(encoding="utf-8")


def test_an_address_in_an_error_within_an_answer_is_not_kept(record: Record, recording: Path) -> None:
    """The answer began with 200, and its last line names the machine."""
    with FaultServer(fine(chat=[])) as server:
        lines = [chunk("Hi"), json.dumps({"error": f"dial tcp 127.0.0.1:{server.port}: refused"}).encode() + b"\n"]
        server._scripts = (fine(chat=[Send(LINES), *map(Send, lines), Close()]),)
        with pytest.raises(AnswerCut):
            _ = record(server.url, "m").ask(Prompt("Hi")).text
    assert "dial tcp" in recording.read_text(encoding="utf-8")
    assert str(server.port) not in recording.read_text(encoding="utf-8")


def test_pictures_are_recorded_as_hashes(record: Record, stand_in: FakeServer, recording: Path) -> None:
    """In the messages of a chat; their bytes would be unreadable, and large."""
    session = record(stand_in.url, "sandbox-vision")
    pictures = tuple(session.pictures_of([Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]))
    _ = session.ask(Prompt("What is it?", images=pictures)).text
    [one, other] = exchanges(recording)[-1]["request"]["messages"][-1]["images"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", one)
    assert one != other
    assert pictures[0].base64[:40] not in recording.read_text(encoding="utf-8")


def test_the_hash_of_a_picture_does_not_depend_on_its_compression() -> None:
    """Two builds of zlib write other bytes for the same PNG, and a recording made with the one must serve the other."""

    def hashed(data: bytes) -> Any:
        body = json.dumps({"images": [base64.b64encode(data).decode()]}).encode()
        return new_exchange("POST", "/api/generate", body, Redaction((), 1)).request["images"][0]

    image, loose = Image.effect_noise((40, 40), 50), BytesIO()
    image.save(loose, "PNG", compress_level=1)
    tight, other = BytesIO(), BytesIO()
    image.save(tight, "PNG", compress_level=9)
    image.transpose(Image.Transpose.ROTATE_90).save(other, "PNG")
    assert loose.getvalue() != tight.getvalue()
    assert hashed(loose.getvalue()) == hashed(tight.getvalue()) != hashed(other.getvalue())
    cut = loose.getvalue()[:60]
    with pytest.raises(zlib.error):
        zlib.decompress(cut[41:])
    assert hashed(cut) != hashed(cut[:50])


def test_a_broken_answer_is_recorded_as_broken(record: Record, recording: Path) -> None:
    """With what came before."""
    with FaultServer(fine(chat=[Send(LINES), Lines(3), Reset()])) as server, pytest.raises(AnswerCut):
        _ = record(server.url, "m").ask(Prompt("Hi")).text
    last = exchanges(recording)[-1]
    assert last["ended"].startswith("ReadError")
    assert [line["message"]["content"] for _, line in last["answer"]] == ["0 ", "1 ", "2 "]


def test_an_abandoned_answer_is_recorded_as_abandoned(record: Record, stand_in: FakeServer, recording: Path) -> None:
    """A loop that breaks off is no fault of the server."""
    stand_in.delay = 0.01
    with record(stand_in.url).ask(Prompt("never stop")) as reply:
        for _ in reply.chunks():
            break
    assert exchanges(recording)[-1]["ended"] == "left"


def test_a_line_that_is_not_json_is_recorded_as_text(record: Record, recording: Path) -> None:
    """A page of a gateway, an empty answer."""
    with FaultServer(fine(chat=whole(b"<h1>\nNo</h1>\n", status=502, kind="text/html"))) as server:
        with pytest.raises((RequestRefused, ConnectionProblem)):
            _ = record(server.url, "m").ask(Prompt("Hi")).text
        assert [line for _, line in exchanges(recording)[-1]["answer"]] == ["<h1>", "No</h1>"]


def test_a_line_that_is_nested_deep_is_recorded_as_text(record: Record, recording: Path) -> None:
    """Nothing could walk through it, for what it holds of keys either; there they are removed from the text."""
    deep = '{"models":[{"name":"m","details":' + "[" * 500 + f'"{KEY}"' + "]" * 500 + "}]}"
    with FaultServer(fine(ps=whole(deep.encode()))) as server:
        session = record(server.url, "m")
        session.resolved.secrets.hold_key(Secret(KEY))
        assert session.client.loaded()
        [(_, line)] = exchanges(recording)[-1]["answer"]
    assert line == deep.replace(KEY, "••••")


def test_batches_in_flight_are_all_kept(record: Record, stand_in: FakeServer, recording: Path) -> None:
    """Threads write into one file."""
    vectors = record(stand_in.url).embed([f"text {i}" for i in range(60)], batch=4, parallel=4)
    found = [one for one in exchanges(recording) if one["path"] == "/api/embed"]
    assert len(found) == 15
    assert sum(len(one["request"]["input"]) for one in found) == len(vectors) == 60


def test_the_stores_are_not_used_while_recording(record: Record, stand_in: FakeServer) -> None:
    """A vector that the store already had would be missing in the recording."""
    texts = ["a", "b"]
    for _ in range(2):
        first = record(stand_in.url).embed(texts)
        assert np.array_equal(first, record(stand_in.url).embed(texts))
    assert len([path for _, path, _ in stand_in.requests if path == "/api/embed"]) == 4


def test_long_fields_and_paths_of_the_server_are_omitted(record: Record, recording: Path) -> None:
    """Nobody reads the licence of the model in a recording."""
    card = {"capabilities": ["completion"], "license": "MIT " * 999, "modelfile": "FROM /home/ann/blobs", "tensors": [1]}
    card["details"] = {"parent_model": "/home/ann/blobs", "family": "llama"}  # type: ignore[assignment]
    with FaultServer(fine(show=whole(card))) as server:
        record(server.url, "m").ask(Prompt("Hi"))
    (shown,) = (one for one in exchanges(recording) if one["path"] == "/api/show")
    assert shown["answer"][0][1] == {"capabilities": ["completion"], "details": {"family": "llama"}}


@pytest.mark.parametrize("content", ['{"cells": []}', "# Notes", '{"version": 99, "exchanges": []}'])
def test_a_file_that_is_no_recording_is_not_overwritten(record: Record, recording: Path, content: str) -> None:
    """A mistyped name must not cost a notebook."""
    recording.write_text(content)
    with pytest.raises(om.RecordingProblem) as caught:
        record("http://127.0.0.1:9")
    assert caught.value.code == "recording-unwritable"
    assert "ANOTHER.json" in caught.value.remedy
    assert recording.read_text() == content


def test_a_recording_is_overwritten_and_a_missing_folder_is_named(record: Record, stand_in: FakeServer, recording: Path) -> None:
    """Run All records all again."""
    for _ in range(2):
        record(stand_in.url).installed.require_recent()
        assert len(exchanges(recording)) == 1
    with pytest.raises(om.RecordingProblem) as caught:
        Session.record(record(stand_in.url), str(recording.parent / "no" / "a.json"))
    assert caught.value.code == "recording-unwritable"
    assert "No such file" in caught.value.how_we_know


def test_a_file_that_cannot_be_written_is_reported_by_the_next_request(
    record: Record, stand_in: FakeServer, tmp_path: Path
) -> None:
    """The answer that could not be written is whole; asking on would record nothing."""
    folder = tmp_path / "gone"
    folder.mkdir()
    session = record(stand_in.url)
    session.record(str(folder / "r.json"))
    shutil.rmtree(folder)
    session.installed.require_recent()
    with pytest.raises(om.RecordingProblem) as caught:
        session.installed.card("sandbox-chat")
    assert caught.value.code == "recording-unwritable"


def test_a_large_file_is_not_rewritten_for_each_exchange(recording: Path) -> None:
    """Otherwise a thousand batches would be written half a million times."""
    written = RecordingFile(recording)
    written._size = 100_000_000
    for number in range(3):
        written.add(Exchange("GET", f"/{number}"))
    assert exchanges(recording) == []
    written.close()
    assert [one["path"] for one in exchanges(recording)] == ["/0", "/1", "/2"]


_KILLED = """
import sys, ollama_magics as om
from ollama_magics.session.session import current
om.configure(base_url=sys.argv[1], model="sandbox-chat")
current().record(sys.argv[2])
while True:
    om.chat("word " * 2000).text
"""


def test_a_kernel_that_is_killed_leaves_a_whole_file(stand_in: FakeServer, recording: Path) -> None:
    """Whatever was answered completely is in it; killed at ten different moments."""
    for moment in range(10):
        process = subprocess.Popen([sys.executable, "-c", _KILLED, stand_in.url, recording])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and (not recording.exists() or recording.stat().st_size < 200_000):
            time.sleep(0.01)
        time.sleep(0.003 * moment)
        process.kill()
        process.wait()
        assert exchanges(recording)[-1]["status"] == 200
        recording.unlink()


def read_slowly(reply: Reply) -> None:
    """Read an answer with pauses, in which an interrupt may land as well."""
    with reply:
        for _ in reply.chunks():
            time.sleep(0.02)


def test_an_interrupt_is_kept_as_one(stand_in: FakeServer, record: Record, recording: Path) -> None:
    """Wherever it lands: in the wait for a token, or between two."""
    stand_in.delay = 0.05
    reply = record(stand_in.url).ask(Prompt("never stop"))
    threading.Timer(0.5, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        read_slowly(reply)
    last = exchanges(recording)[-1]
    assert last["ended"] == "interrupted"
    assert len(last["answer"]) >= 2


@pytest.mark.finding("E6")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and devices")
@pytest.mark.parametrize("kind", ["folder", "pipe", "link to a pipe", "socket", "device"])
def test_only_a_regular_file_is_replaced(kind: str, recording: Path, tmp_path: Path) -> None:
    """Anything else is refused at once, and stays what it is."""
    if kind == "folder":
        recording.mkdir()
    elif kind == "pipe":
        os.mkfifo(recording)
    elif kind == "link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        recording.symlink_to(tmp_path / "pipe")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(recording))
    else:
        recording.symlink_to("/dev/null")
    before = recording.stat()
    for begin in (lambda: open_recording(str(recording)), lambda: read(recording)):
        with pytest.raises(RecordingProblem):
            begin()
    after = recording.stat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


@pytest.mark.finding("E6")
@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_no_link_beside_a_recording_is_followed(recording: Path, tmp_path: Path) -> None:
    """The file that replaces it has a name that nobody can guess, and is for its owner only; an existing one keeps its mode."""
    (target := tmp_path / "other").write_text("mine")
    recording.with_name(f"{recording.name}.part").symlink_to(target)
    open_recording(str(recording)).close()
    assert target.read_text() == "mine"
    assert recording.stat().st_mode & 0o777 == 0o600
    recording.chmod(0o644)
    open_recording(str(recording)).close()
    assert recording.stat().st_mode & 0o777 == 0o644
    assert {path.name for path in tmp_path.iterdir()} == {"other", recording.name, f"{recording.name}.part"}
