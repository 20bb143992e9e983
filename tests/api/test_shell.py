"""The commands of a shell: what they write, as text and as JSON, and the status with which they end."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import ollama_magics
from ollama_magics.__main__ import main
from ollama_magics.fake_server.server import FakeServer
from tests.faults import Close, FaultServer, Hold, Receive, Step, fine, whole

Out = pytest.CaptureFixture[str]
LINES = "application/x-ndjson"


def pulling(*lines: dict[str, Any]) -> Sequence[Step]:
    """Return a server whose answer to a pull are these lines."""
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return fine(pull=whole(body, kind=LINES))


PART = {"status": "pulling 8eeb52dfb3bb", "digest": "sha256:8e", "total": 2_000_000_000}
WHOLE = ({"status": "pulling manifest"}, PART, {**PART, "completed": 1_000_000_000}, {"status": "success"})


KEY_LIKE = "abcd1234efgh5678ijkl9"
NAMES = ("chat", "embed", "think", "tools", "vision")


def test_the_models_of_a_server_are_listed(stand_in: FakeServer, capsys: Out) -> None:
    """A line for each, or a list for programs."""
    main(["check", "--deep", "--base-url", stand_in.url, "--model", "sandbox-chat"])
    capsys.readouterr()
    assert main(["models", "--base-url", stand_in.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["model", *(f"sandbox-{name}:latest" for name in NAMES)]
    assert [line.split()[0] for line in lines if "loaded" in line] == ["sandbox-chat:latest"]
    assert main(["models", "--base-url", stand_in.url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["name"]: one["loaded"] for one in found}["sandbox-embed:latest"] is False


@pytest.mark.skipif(os.name != "posix", reason="signals and devices of POSIX")
@pytest.mark.parametrize("command", [["models"], ["models", "--json"], ["show", "sandbox-chat"]])
def test_an_output_that_takes_no_more_is_no_traceback(stand_in: FakeServer, command: list[str]) -> None:
    """A reader that has seen enough, as grep -q, is no error to speak of; a full disk is."""
    line = [sys.executable, "-m", "ollama_magics", *command]
    environment = {**os.environ, "OLLAMA_HOST": stand_in.url}
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None  # noqa: PT018 - for the type checker
        running.stdout.close()
        assert (running.stderr.read(), running.wait()) == ("", 141)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(line, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.stderr, done.returncode) == ("The output cannot be written: No space left on device.\n", 1)


def test_a_pull_tells_how_far_it_is(capsys: Out) -> None:
    """In lines that a log can hold."""
    with FaultServer(pulling(*WHOLE)) as server:
        assert main(["pull", "llama3.2", "--base-url", server.url]) == 0
        assert json.loads(server.requests[-1].body) == {"model": "llama3.2"}
        printed = capsys.readouterr().out.splitlines()
        assert main(["pull", "llama3.2", "--base-url", server.url, "--json"]) == 0
    part = "pulling 8eeb52dfb3bb"
    assert printed == ["pulling manifest", f"{part}  0 % of 2.0 GB", f"{part}  50 % of 2.0 GB", "success"]
    assert json.loads(capsys.readouterr().out) == {"ok": True, "model": "llama3.2"}


FAILURES = {
    "of the registry": (
        pulling(WHOLE[0], {"error": "pull model manifest: file does not exist"}),
        "pull-unknown",
        "file does not exist",
    ),
    "that ends early": (pulling(*WHOLE[:3]), "pull-failed", "pulling again resumes it"),
    "at the door": (fine(pull=whole({"error": "invalid model name"}, status=400)), "request-refused", "invalid model name"),
    "of the connection": ([Receive(), Close()], "connection-broken", "broke"),
}


@pytest.mark.parametrize(("script", "code", "said"), FAILURES.values(), ids=FAILURES)
def test_a_pull_that_fails_says_why_and_ends_with_1(script: Sequence[Step], code: str, said: str, capsys: Out) -> None:
    """On the error output, or as JSON where JSON was asked for."""
    with FaultServer(script) as server:
        assert main(["pull", "nope", "--base-url", server.url]) == 1
        printed = capsys.readouterr().err
        assert main(["pull", "nope", "--base-url", server.url, "--json"]) == 1
        found = json.loads(capsys.readouterr().out)
    assert f"[{code}]" in printed
    assert said in printed
    assert (found["ok"], found["code"]) == (False, code)


@pytest.mark.parametrize("words", [["models"], ["pull", "m"], ["check", "--context", "-5"], ["check", "--profile", "../x"]])
def test_what_cannot_be_done_ends_with_1(words: list[str], capsys: Out) -> None:
    """Whatever is in the way."""
    assert main([*words, "--base-url", "http://127.0.0.1:1", "--no-probes"]) == 1
    printed = capsys.readouterr()
    assert re.search(r"\[[a-z]+(-[a-z]+)+\]", printed.out + printed.err)


def test_the_version_is_told(capsys: Out) -> None:
    """As other programs do."""
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"ollama_magics {ollama_magics.__version__}\n"


def test_a_misspelt_word_ends_with_2(capsys: Out) -> None:
    """As every command does."""
    with pytest.raises(SystemExit) as caught:
        main(["chekc"])
    assert caught.value.code == 2
    assert "chekc" in capsys.readouterr().err


def test_an_error_is_in_the_language_that_was_typed(capsys: Out) -> None:
    """Also where another option was refused."""
    assert main(["check", "--language", "zh", "--context", "x"]) == 1
    assert "不是" in capsys.readouterr().err


def test_a_sandbox_on_a_port_in_use_ends_with_1(stand_in: FakeServer, capsys: Out) -> None:
    """And on a number that is no port."""
    for port in (stand_in.url.rpartition(":")[2], "99999"):
        assert main(["sandbox", "--port", port]) == 1
        assert f"cannot listen on port {port}: " in capsys.readouterr().err


def test_the_stop_key_ends_a_command_with_130() -> None:
    """And a running stand-in answers until then."""
    run = subprocess.Popen([sys.executable, "-m", "ollama_magics", "sandbox"], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    with run, urllib.request.urlopen(run.stdout.readline().strip() + "/api/version") as answer:  # noqa: S310 - a loopback address
        assert json.load(answer)["version"]
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 130
    with FaultServer(fine(pull=[Hold()])) as server:
        words = [sys.executable, "-m", "ollama_magics", "pull", "m", "--base-url", server.url]
        with subprocess.Popen(words) as pull:
            assert server.wait_for("/api/pull", 30)
            pull.send_signal(signal.SIGINT)
            assert pull.wait(20) == 130
        assert server.wait_until_left()


def run(words: list[str], **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "ollama_magics", *words],
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
        timeout=60,
    )


def written(monkeypatch: pytest.MonkeyPatch, words: list[str], encoding: str) -> tuple[int, str, str]:
    """Run a command here, on a terminal of that encoding; return its status and what it wrote on both streams."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", streams[0])
        patch.setattr("sys.stderr", streams[1])
        try:
            status = main(words)
        except SystemExit as end:
            status = int(end.code or 0)
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    return status, out, err


@pytest.mark.finding("C7")
@pytest.mark.parametrize(("encoding", "ok"), [("ascii", "+"), ("cp1252", "+"), ("utf-8", "✓")])
def test_every_command_writes_in_every_encoding(
    encoding: str, ok: str, stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain characters instead of those that it lacks; JSON stays JSON, and names can be read back."""
    where = ["--base-url", stand_in.url, "--model", "sandbox-chat"]
    nowhere = ["--base-url", "http://127.0.0.1:1", "--no-probes"]
    commands = [
        (["check", "--json", *where], 0),
        (["check", "--language", "zh", *where], 0),
        (["check", *nowhere], 1),
        (["check", "--model", "模型🙂", "--json", *where[:2]], 1),
        (["pull", "模型", *nowhere], 1),
        (["check", "--context", "模型"], 1),
        (["模型"], 2),
        (["check", "--help"], 0),
    ]
    for words, status in commands:
        ended, out, err = written(monkeypatch, words, encoding)
        assert (ended, "Traceback" in out + err) == (status, False), (words, out, err)
        if "--json" in words:
            json.loads(out)
    assert run(["check", *where], PYTHONIOENCODING=encoding).stdout.decode(encoding).startswith(f"{ok} Address")
    with FaultServer(fine(tags=whole({"models": [{"name": "模型🙂", "size": 1}]}))) as server:
        words = ["models", "--base-url", server.url]
        assert json.loads(written(monkeypatch, [*words, "--json"], encoding)[1])[0]["name"] == "模型🙂"
        name = "模型🙂".encode(encoding, "backslashreplace").decode(encoding)
        assert written(monkeypatch, words, encoding)[1].splitlines()[1].split()[0] == name


HOSTILE = "m\x1b]52;c;YQ==\x07\x1b[2J\u202e\x9b31m"


@pytest.mark.finding("E7")
def test_what_a_server_says_does_not_reach_the_terminal(capsys: Out) -> None:
    """Names and steps of a download are shown without what a terminal would obey; JSON escapes it."""
    listed = whole({"models": [{"name": HOSTILE, "size": 1}]})
    steps = b"".join(json.dumps({"status": text}).encode() + b"\n" for text in (HOSTILE, "success"))
    version = whole({"version": f"0.34.4{HOSTILE}"})
    with FaultServer(fine(tags=listed, pull=whole(steps, kind=LINES), version=version)) as server:
        where = ["--base-url", server.url]
        assert main(["models", *where]) == 0
        assert main(["pull", "m", *where]) == 0
        main(["check", "--deep", *where])
        main(["check", "--model", HOSTILE, *where])
        main(["pull", HOSTILE, *where])
        written = capsys.readouterr()
        plain = written.out + written.err
        for words in (["check", "--deep"], ["pull", HOSTILE], ["check", "--model", HOSTILE]):
            main([*words, "--json", *where])
        plain += capsys.readouterr().out
        assert main(["models", "--json", *where]) == 0
        as_json = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", plain + as_json)
    assert json.loads(as_json)[0]["name"] == HOSTILE


@pytest.mark.parametrize(
    ("words", "said"),
    [(["check", "--modell", "x"], "无法识别：--modell x"), (["check", "--model"], "--model：缺少值"), (["pull"], "缺少：NAME")],
)
def test_a_mistake_is_told_in_the_language_of_the_user(words: list[str], said: str) -> None:
    """As everything else."""
    done = run(words, LC_ALL="zh_CN.UTF-8", PYTHONIOENCODING="utf-8")
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert "error: " in run(words, LC_ALL="C.UTF-8").stderr.decode()


def test_notices_of_the_settings_are_lines(capsys: Out, stand_in: FakeServer) -> None:
    """Not warnings of Python with a line of our code."""
    main(["check", "--base-url", stand_in.url, "--model", "sandbox-chat", "--context", "512"])
    assert capsys.readouterr().err.startswith("max tokens (4096) exceed the context (512)")


def test_a_model_is_shown_stopped_and_deleted(stand_in: FakeServer, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text and as JSON; to delete one without --yes somebody has to say so."""
    where = ["--base-url", stand_in.url]

    def run(*words: str) -> tuple[int, str]:
        status = main([*words, *where])
        return status, capsys.readouterr().out

    status, shown = run("show", "sandbox-chat")
    assert (status, "8\u202f192" in shown) == (0, True)
    assert json.loads(run("show", "sandbox-chat", "--json")[1])["context_length"] == 8192
    assert run("stop", "sandbox-chat") == (0, "sandbox-chat was not in memory.\n")
    for said, status in (("", 1), ("no\n", 1), ("y\n", 0)):
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        assert run("rm", "sandbox-chat")[0] == status
    assert run("rm", "sandbox-vision", "--yes") == (0, "sandbox-vision was deleted.\n")
    assert run("rm", "sandbox-vision", "--yes")[0] == 1
    assert [one["name"] for one in json.loads(run("models", "--json")[1])] == [f"sandbox-{name}:latest" for name in NAMES[1:4]]


@pytest.mark.parametrize("words", [["check", "--api-key", KEY_LIKE], ["models", f"--api-key={KEY_LIKE}"], ["models", "--local"]])
def test_an_option_has_one_spelling_and_its_value_is_not_shown(words: Sequence[str], capsys: Out) -> None:
    """An abbreviation of --api-key-env would take a key for the name of a variable."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert words[1].partition("=")[0] in (printed := capsys.readouterr().err)
    assert KEY_LIKE not in printed


def test_a_key_in_the_place_of_its_variable_is_not_shown(capsys: Out) -> None:
    """It is refused instead of looked for."""
    assert main(["models", "--api-key-env", KEY_LIKE]) == 1
    assert KEY_LIKE not in "".join(capsys.readouterr())
