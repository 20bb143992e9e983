"""Mutate answers of every endpoint, and report each that is neither a value nor an error of ours, or that is slow.

python -m tests.faults.fuzz --seconds 60 --seed 1 prints what it found, with a command that replays it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

import ollama_magics as om
from ollama_magics.conversation.reply import answer_view
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.render.answer import whole_html
from ollama_magics.render.model_tables import ModelSheet, ModelsTable
from ollama_magics.session.models import describe_model, list_models
from ollama_magics.session.session import current
from ollama_magics.settings import form
from tests.canary import KEY
from tests.faults.answers import chunk, fine
from tests.faults.cells import small_limits
from tests.faults.connection import Connection
from tests.faults.server import FaultServer
from tests.faults.steps import Close, Send, Serve, Step

_SLOW = 3.0  # seconds of a computer for one answer of some kilobytes
_LIMIT = 0.5  # seconds that stand for the limits of real use
_CARD = {
    "capabilities": ["completion", "vision", "embedding", "tools", "thinking"],
    "model_info": {"general.architecture": "llama", "llama.context_length": 8192, "llama.embedding_length": 4},
    "template": "{{ .Prompt }}",
    "parameters": 'stop "<|end|>"\nnum_ctx 2048',
    "details": {"family": "llama", "parameter_size": "1B", "quantization_level": "Q4_K_M"},
    "thinking": {"values": [False, "low", "high"], "default": "low"},
}
_TAG = {"name": "m:latest", "model": "m:latest", "size": 1234, "digest": "sha256:1", "details": _CARD["details"]}
_FIGURES = {"prompt_eval_count": 26, "eval_count": 3, "eval_duration": 10**9, "total_duration": 2 * 10**9}
_CALL = {"id": "call_q3hkmwjs", "function": {"index": 0, "name": "add", "arguments": {"a": 2, "b": 3}}}
_END = chunk("", done=True, done_reason="stop", **_FIGURES)


def _json(found: Any) -> bytes:
    return json.dumps(found).encode()


# What servers answer, by endpoint; those of 0.24 and 0.34 have these forms.
ANSWERS: dict[str, tuple[bytes, ...]] = {
    "version": (b'{"version":"0.24.0"}',),
    "tags": (_json({"models": [_TAG]}), _json({"models": [_TAG | {"capabilities": ["completion"]}, {"name": "other:1b"}]})),
    "show": (_json(_CARD), _json({"capabilities": ["embedding"], "model_info": {}}), b'{"error":"model \'m\' not found"}'),
    "ps": (_json({"models": [_TAG | {"size_vram": 9, "expires_at": "2026-01-02T03:04:05.6Z", "context_length": 4096}]}),),
    "chat": (
        chunk("Hello ") + chunk("**world**") + _END,
        chunk(message={"content": "", "thinking": "hm"}) + chunk("| a | b |\n|---|---|\n| 1 | $x$ |") + _END,
        chunk(message={"content": "", "tool_calls": [_CALL]}) + _END,
        chunk("Hel") + b'{"error":"an error was encountered while running the model: unexpected EOF"}\n',
        chunk('{"a": [1, 2, {"b": null}]}', done=True, done_reason="stop", **_FIGURES),
        b'{"error":"\\"m\\" does not support chat"}',
    ),
    "generate": (
        b'{"model":"m","response":"Hello","done":false}\n{"model":"m","response":"","done":true,"done_reason":"stop"}\n',
    ),
    "embed": (
        _json({"model": "m", "embeddings": [[0.25, -0.5, 1.0, 0.125], [1e-3, 2.0, 3.5, -4.25]], "prompt_eval_count": 4}),
        b'{"error":"the input length exceeds the context length"}',
    ),
    "pull": (
        b'{"status":"pulling 1","digest":"sha256:1","total":90,"completed":45}\n{"status":"success"}\n',
        b'{"error":"pull model manifest: file does not exist"}\n',
    ),
    "delete": (b"",),
    "experimental/model-recommendations": (_json({"recommendations": [{"model": "m", "description": "d", "vram_bytes": 9}]}),),
}
_TOKENS = (
    b"null", b"-1", b"1e999", b"NaN", b"9" * 400, b"0.1", b"true", b'""', b"[]", b"{}", b"[" * 2000, b'{"a":' * 2000, b'"', b"\\",
    b"\\ud800", b"\\u0000", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r\n", b"\xc2\x85", b"\\" * 999, b"<script>" * 99,
    b'"error":"x",', b'"done":true,', "\u202e".encode(), b"\x1b[2J", b"`" * 300, b"$" * 99, b"|" * 300, b"[](" * 200,
    KEY.encode(), b"<think>", b"</think>", b'"tool_calls":[{"function":7}],', b'"logprobs":[7],',
    b" " * 5000, b'"thinking":{"values":7},',
)  # fmt: skip


def mutated(draw: random.Random, data: bytes) -> bytes:
    """Return an answer with some changes."""
    for _ in range(draw.randint(1, 4)):
        start, size = draw.randrange(len(data) + 1), draw.choice((1, 3, 17, 99))
        kind = draw.randrange(7)
        if kind == 0 and data:
            data = data[:start] + bytes([draw.randrange(256)]) + data[start + 1 :]
        elif kind == 1:
            data = data[:start] + data[start + size :]
        elif kind == 2:
            data = data[:start] + data[start : start + size] * draw.choice((2, 50)) + data[start:]
        elif kind == 3:
            data = data[:start]
        elif kind == 4:  # a value of another type
            values = list(re.finditer(rb'(?<=[:\[,])\s*("(?:[^"\\]|\\.)*"|[\d.eE+-]+|true|false|null|\{\}|\[\])', data))
            if values:
                found = draw.choice(values)
                data = data[: found.start(1)] + draw.choice(_TOKENS) + data[found.end(1) :]
        elif kind == 5:
            lines = data.splitlines(keepends=True)
            draw.shuffle(lines)
            data = b"".join(lines)
        else:
            data = data[:start] + draw.choice(_TOKENS) + data[start:]
    return data


def answer(draw: random.Random, data: bytes) -> bytes:
    """Return the bytes of an HTTP answer with this body, mostly a right one."""
    status = draw.choice((200, 200, 200, 200, 400, 404, 500, 503, 401, 302, 206))
    kind = draw.choice((b"application/json", b"application/x-ndjson", b"text/html", b"text/plain"))
    head = b"HTTP/1.1 %d Said\r\nContent-Type: %b\r\n" % (status, kind)
    odd = draw.randrange(12)
    if odd == 0:
        head += b"Content-Length: %d\r\n" % (len(data) + draw.randrange(-5, 6))
    elif odd == 1:
        data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data) + draw.randrange(2), data)
        head += b"Transfer-Encoding: chunked\r\n"
    elif odd == 2:
        head += draw.choice((b"Content-Encoding: gzip", b"Retry-After: x", b"Location: http://[", b"X: " + b"a" * 9999)) + b"\r\n"
    elif odd == 3:
        head = mutated(draw, head)
    return head + b"Connection: close\r\n\r\n" + data


class _Mutating(Step):
    """Answers one endpoint with the bytes of this round, the others as a healthy server does."""

    def __init__(self) -> None:
        (serve,) = fine()
        assert isinstance(serve, Serve)
        self._healthy = serve.scripts
        self.path, self.data = "", b""

    def run(self, connection: Connection) -> None:
        """Do it."""
        while True:
            path = connection.receive().path
            script: Sequence[Step] = self._healthy[path]
            if path == self.path:
                script = (Send(self.data), Close())
            for step in script:
                step.run(connection)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def _shown(reply: om.Reply) -> str:
    text = reply.text
    assert not reply.complete or b'"done"' in SERVED.data or SERVED.path != "/api/chat", "complete without the end"
    return text + str(answer_view(reply)) + whole_html(answer_view(reply)) + repr(reply) + str(reply.stats) + str(reply.messages)


def _models() -> str:
    table = ModelsTable(list_models(current()), "en")
    return repr(table) + table._repr_html_()


def _sheet() -> str:
    sheet = ModelSheet(describe_model(current(), "m"), "zh")
    return repr(sheet) + sheet._repr_html_()


def _embedded() -> str:
    found = om.embed(["one", "two"], model="m", store=False)
    assert (str(found.dtype), len(found), bool(np.isfinite(found).all())) == ("float32", 2, True), "vectors that are none"
    return str(found)


def _pulled() -> str:
    steps = list(om.pull("m"))
    return "".join(f"{step} {step.share} {step.seconds_left} {[str(fact) for fact in step.figures()]}" for step in steps)


def _mapped() -> str:
    rows = om.map(["one", "two"], "{{item}}", model="m", parallel=1, store=False)
    assert all((row["reply"] is None) == bool(row["error"]) for row in rows), "a row with neither answer nor error"
    return str(rows)


CALLS: dict[str, tuple[Callable[[], object], ...]] = {
    "version": (lambda: str(om.check()), _models),
    "tags": (_models, lambda: str(om.check()), lambda: _shown(om.chat("Hi"))),
    "show": (_sheet, lambda: _shown(om.chat("Hi", model="m", think="on")), _embedded),
    "ps": (_models, lambda: om.stop("m")),
    "chat": (
        lambda: _shown(om.chat("Hi", model="m")),
        lambda: _shown(om.chat("Hi", model="m", tools=[add], confirm=lambda _: True)),
        lambda: (reply := om.chat("Hi", model="m", format="json"), _shown(reply), reply.value),
        lambda: _shown(om.chat("Hi", model="m", logprobs=2)),
        _mapped,
    ),
    "generate": (lambda: _shown(om.chat("Hi", model="m", generate=True)), lambda: om.stop("m")),
    "embed": (_embedded,),
    "pull": (_pulled,),
    "delete": (lambda: om.rm("m"),),
    "experimental/model-recommendations": (lambda: str(current().client.recommendations()),),
}
SERVED = _Mutating()


@contextmanager
def _serving() -> Iterator[str]:
    with TemporaryDirectory() as folder, FaultServer([SERVED]) as server, small_limits(), pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "CACHE"):
            patch.setenv(f"OLLAMA_MAGICS_{name}", str(Path(folder, name)))
        patch.setenv("FUZZ_KEY", KEY)
        yield server.url


def _try(seed: int, number: int, url: str) -> tuple[str, str]:
    """Return what one round came to, and what is wrong with it."""
    draw = random.Random(f"{seed}/{number}")  # noqa: S311 - no secret
    name = draw.choice(list(ANSWERS))
    SERVED.path, SERVED.data = f"/api/{name}", answer(draw, mutated(draw, draw.choice(ANSWERS[name])))
    call = draw.choice(CALLS[name])
    start, cpu = time.monotonic(), time.process_time()
    flaw, outcome = "", "value"
    try:
        om.configure(base_url=url, api_key_env="FUZZ_KEY", probes=False, first_token_timeout=_LIMIT, idle_timeout=_LIMIT)
        if KEY in str(call()) and name not in ("chat", "generate"):
            flaw = "the key is shown"
    except OllamaMagicsError as error:
        outcome = error.code
        texts = [str(error), error.debug, repr(error)]
        error.language = "zh"
        if any(KEY in text for text in (*texts, str(error))):
            flaw = f"the key is shown: {error}"
        elif len(str(error)) > 5000:
            flaw = f"{len(str(error))} characters of error"
    except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
        flaw = traceback.format_exc()
    finally:
        current().close()
        form.forget()
    if (seconds := time.process_time() - cpu) > _SLOW:
        flaw = flaw or f"took {seconds:.1f} s of the computer, {time.monotonic() - start:.1f} s"
    return f"{name}: {outcome}", flaw


def run(seed: int, numbers: Iterator[int] | range, seconds: float = float("inf")) -> tuple[Counter[str], Mapping[int, str]]:
    """Return the outcomes, and the flaws by the number of the round."""
    outcomes, flaws, end = Counter[str](), dict[int, str](), time.monotonic() + seconds
    with _serving() as url, warnings.catch_warnings(action="ignore"), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        for number in numbers:
            if time.monotonic() > end:
                break
            outcome, flaw = _try(seed, number, url)
            outcomes[outcome] += 1
            if flaw:
                flaws[number] = f"{outcome}: {flaw}"
    return outcomes, flaws


def main(arguments: list[str]) -> int:
    """Run, print outcomes and flaws, and return the status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at", type=int, help="replay the round of this number only, and print what the server sent")
    chosen = parser.parse_args(arguments)
    os.environ["LANG"] = "C"
    numbers = range(10**9) if chosen.at is None else range(chosen.at, chosen.at + 1)
    outcomes, flaws = run(chosen.seed, numbers, chosen.seconds)
    if chosen.at is not None:
        sys.stdout.write(f"{SERVED.path}\n{SERVED.data[:2000]!r}\n")
    for outcome, count in sorted(outcomes.items()):
        sys.stdout.write(f"{count:7} {outcome}\n")
    for number, flaw in list(flaws.items())[:20]:
        sys.stdout.write(f"✗ python -m tests.faults.fuzz --seed {chosen.seed} --at {number}\n  {flaw}\n")
    sys.stdout.write(f"{outcomes.total()} answers, {len(flaws)} with flaws\n")
    return int(bool(flaws))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
