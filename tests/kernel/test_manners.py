"""How an answer is shown where a cell asks for it: beside others, plain, not at all, as a next cell; and what is kept with it."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ollama_magics.fake_server.server import FakeServer
from tests.faults import LINES, Close, FaultServer, Lines, Send, fine

SEVERAL = "%%ollama -m sandbox-chat -m sandbox-think -o answers"


def payloads(kernel: Any, source: str, *, allow_stdin: bool, cell: str = "") -> list[Any]:
    """Run a cell as a front end that can, or cannot, ask its person; return what it was handed for the next cell."""
    request = kernel.start(source, cell, allow_stdin=allow_stdin)
    while (reply := kernel.client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != request:
        pass
    return list(reply["content"].get("payload", []))


def written(kernel: Any, part: str) -> bool:
    """Return whether a cell writes this, after which nothing of it is left to read."""
    text = ""
    while part not in text:
        text += kernel.client.get_iopub_msg(timeout=20)["content"].get("text", "")
    return True


# Several models.


def test_several_models_answer_in_columns_of_one_output(kernel: Any, stand_in: FakeServer) -> None:
    """One after another, with length and speed under each, and nothing is remembered."""
    stand_in.delay = 0.002
    ran = kernel.run(f"{SEVERAL}\nhello")
    assert len(ran.displays) == 1
    assert ran.html.count("flex:1 1") == 2
    for model in ("sandbox-chat", "sandbox-think"):
        assert f"<strong>{model}</strong>" in ran.html
    assert len(re.findall(r"\d+ tokens · \d+ tok/s · \d+\.\d s<", ran.html)) == 2
    asked = [body["model"] for _, path, body in stand_in.requests if path == "/api/chat" and body]
    assert asked == ["sandbox-chat:latest", "sandbox-think:latest"]
    assert ran.plain.splitlines()[0] == "sandbox-chat"
    assert "This is turn 1" in kernel.run("%ollama hello").plain


def test_columns_stream_one_after_another(kernel: Any, stand_in: FakeServer) -> None:
    """The first is complete, with its figures, while the second is waited for."""
    stand_in.delay = 0.02
    ran = kernel.run(f"{SEVERAL}\nrepeat after me: " + "word " * 20)
    pages = [message["content"]["data"]["text/html"] for message in ran.messages]
    waited = [page for page in pages if "sandbox-think · waiting" in page]
    assert waited
    assert all("tok/s" in page for page in waited)
    assert sum("sandbox-think" not in page for page in pages) >= 3


def test_the_replies_are_a_sequence_with_a_frame(kernel: Any) -> None:
    """Bound to _ollama and to the name; the cell shows nothing twice, the next one shows the columns again."""
    assert kernel.run(f"{SEVERAL}\nhello").written == ""
    printed = kernel.run(
        "print(type(answers).__name__, len(answers), answers is _ollama, [r.model for r in answers], answers[1].complete)\n"
        "print(list(answers.frame.columns), answers.frame.shape, answers.frame.error.isna().all(), all(answers.frame.tokens))"
    ).written.splitlines()
    assert printed[0] == "Replies 2 True ['sandbox-chat', 'sandbox-think'] True"
    columns = ["model", "text", "tokens", "seconds", "tokens_per_second", "first_token_seconds", "done_reason", "error"]
    assert printed[1] == f"{columns} (2, 8) True True"
    assert "sandbox-think" in kernel.run("answers").written


def test_a_model_that_fails_has_its_error_in_its_column_and_the_others_answer(kernel: Any) -> None:
    """The error ends the cell once all have been asked, and the name is not bound."""
    ran = kernel.run("%%ollama -m nope -m sandbox-chat -o failing\nhello")
    assert (ran.status, ran.error) == ("error", "ModelProblem")
    assert "nope is not installed" in ran.html
    assert "This is turn 1" in ran.html
    assert "[model-missing]" in ran.plain
    printed = kernel.run("print('failing' in globals(), _ollama.frame.error[0].split()[-1], _ollama[1].text[:12])")
    assert printed.written == "False [model-missing] This is turn\n"


def test_a_prompt_that_cannot_be_sent_is_one_error_for_all(kernel: Any, stand_in: FakeServer) -> None:
    """It says nothing about the models."""
    ran = kernel.run(f"{SEVERAL}\nhello {{{{unknown_name}}}}")
    assert ran.error == "PromptProblem"
    assert [path for _, path, _ in stand_in.requests if path == "/api/chat"] == []


def test_one_model_that_is_named_stays_one_reply(kernel: Any) -> None:
    """The option may be repeated and need not be."""
    kernel.run("%%ollama -m sandbox-think -o answer\nhello")
    assert kernel.run("print(type(answer).__name__, answer.model)").written == "Reply sandbox-think\n"


def test_answers_that_are_cut_keep_their_columns(kernel: Any, stand_in: FakeServer) -> None:
    """What each had said, and that it is not complete."""
    cut = fine(chat=[Send(LINES), Lines(3), Close()])
    with FaultServer(cut) as server:
        kernel.run(f"%ollama_config --base-url {server.url}")
        ran = kernel.run("%%ollama -m m -m m:latest\nhello")
    assert ran.error == "AnswerCut"
    assert ran.html.count("0 1 2") == 2
    assert ran.html.count("the answer is not complete") == 2
    kernel.run(f"%ollama_config --base-url {stand_in.url}")


# Plain, nothing, the next cell.


def test_raw_is_plain_text_without_escapes(kernel: Any, stand_in: FakeServer) -> None:
    """The Markdown itself on the standard output, and a line of figures."""
    stand_in.delay = 0.01
    ran = kernel.run("%ollama --raw repeat after me: **bold** \x1b[31mred\x1b[0m <b>tag</b> and some more")
    assert ran.displays == {}
    text, figures = ran.written.splitlines()
    assert text == "**bold** red <b>tag</b> and some more"
    assert re.match(r"sandbox-chat · \d+ tokens · \d+ tok/s", figures)


def test_quiet_shows_nothing_and_keeps_the_reply(kernel: Any) -> None:
    """Also where it is the last line of a cell."""
    ran = kernel.run("%ollama --quiet hello")
    assert (ran.displays, ran.written, ran.status) == ({}, "", "ok")
    assert "This is turn 1" in kernel.run("print(_ollama)").written


CODE = "%%ollama --next-cell\nrepeat after me: first\n\n```python\nx = 1\nprint(x)\n```\n\n```\nsecond\n```"


def test_the_first_block_of_code_becomes_a_new_cell_that_is_not_run(kernel: Any) -> None:
    """A new cell below; the one that asked is not replaced."""
    (payload,) = payloads(kernel, CODE, allow_stdin=True)
    assert payload == {"source": "set_next_input", "text": "x = 1\nprint(x)", "replace": False}
    assert kernel.run("print('x' in globals())").written == "False\n"


@pytest.mark.parametrize(
    ("source", "allow_stdin", "said"),
    [
        (CODE, False, "this front end cannot add a cell"),
        ("%ollama --next-cell repeat after me: none", True, "contains no code block"),
    ],
)
def test_it_is_said_where_there_is_no_next_cell(kernel: Any, source: str, said: str, *, allow_stdin: bool) -> None:
    """Where nobody sits in front of the notebook, and where the answer has no code."""
    assert payloads(kernel, source, allow_stdin=allow_stdin) == []
    assert written(kernel, said)


@pytest.mark.finding("G1")
def test_a_console_shows_everything_as_text(kernel: Any) -> None:
    """QtConsole, Spyder and jupyter console send no cell id and ignore updates: nothing there has to be updated."""
    lines = {
        "%ollama --once repeat after me: **hello** you": "**hello** you\nsandbox-chat · ",
        "%ollama -m sandbox-chat -m sandbox-think hello": "sandbox-think\n",
        "%ollama_check": "sandbox-chat is installed",
        "x = %ollama --each words Say {{item}}": "2 of 2 rows",
        "x = %ollama --each words --sample 1 Say {{item}} again": " tokens · all 2 rows: about ",
    }
    kernel.run("words = ['a', 'b']")
    for line, shown in lines.items():
        done = kernel.finish(kernel.start(line, allow_stdin=True))
        assert (done.status, done.messages, done.written.count(shown), "\x1b" in done.written) == ("ok", [], 1, False), line


@pytest.mark.finding("B14")
def test_a_cell_that_runs_again_adds_no_second_cell_with_the_same_code(kernel: Any) -> None:
    """It says so; asked once more it adds it, since the first may be gone. Other cells, and other code, are added."""
    other = CODE.replace("x = 1", "x = 2")
    added = [
        [payload["text"][:5] for payload in payloads(kernel, source, allow_stdin=True, cell=cell)]
        for source, cell in [(CODE, "a"), (CODE, "a"), (CODE, "a"), (CODE, "b"), (other, "b"), (CODE, ""), (CODE, "")]
    ]
    assert added == [["x = 1"], [], ["x = 1"], ["x = 1"], ["x = 2"], ["x = 1"], ["x = 1"]]
    assert written(kernel, "--next-cell: the code is the same as in the cell that was added before")
    assert written(kernel, "--next-cell: the cell of the earlier run stays below the new one")


@pytest.mark.finding("B14")
def test_turns_that_a_rerun_dropped_come_back(kernel: Any, stand_in: FakeServer, tmp_path: Path) -> None:
    """The line under the answer says how; saved turns come back in a restarted kernel, too."""
    for number in range(8):
        kernel.run(f"%ollama number {number}", cell=f"cell {number}")
    ran = kernel.run("%ollama number none", cell="cell 0")
    assert "later turns of the conversation were removed (7); to bring them back: %ollama_history --undo" in ran.html
    assert kernel.run("%ollama_history --undo").written == "turns that came back: 8; turns removed for them: 1\n"
    assert "I read 2 words" in kernel.run("%ollama go on", cell="cell 8").plain
    assert kernel.run("print(len(_ollama.messages))").written == "18\n"

    path = tmp_path / "chat.json"
    assert kernel.run(f"%ollama_history --save {path}").written.endswith(": 9\n")
    kernel.restart()
    assert kernel.run("_ollama").error == "NameError"
    kernel.run(f"%load_ext ollama_magics\n%ollama_config --base-url {stand_in.url} --model sandbox-chat")
    assert ": 9" in kernel.run(f"%ollama_history --load {path}").written
    assert "I read 2 words" in kernel.run("%ollama go on", cell="cell 9").plain
    assert kernel.run("print(len(_ollama.messages))").written == "20\n"


# What is kept with an answer.


def test_the_output_says_where_the_answer_came_from(kernel: Any, stand_in: FakeServer) -> None:
    """Model, digest, server, options, seed and time; no address."""
    ran = kernel.run("%%ollama --seed 3 --temperature 0\nhello")
    kept = ran.messages[-1]["content"]["metadata"]["ollama_magics"]
    assert kept.pop("time").endswith("+00:00")
    assert re.fullmatch(r"[0-9a-f]{64}", kept.pop("digest"))
    options = {"num_ctx": 4096, "num_predict": 4096, "seed": 3, "temperature": 0.0}
    assert kept == {"model": "sandbox-chat", "server": "Ollama 0.34.4", "options": options, "seed": 3}
    assert stand_in.url.split("//")[1] not in json.dumps(ran.messages[-1]["content"])
    assert len(kernel.run(f"{SEVERAL}\nhello").messages[-1]["content"]["metadata"]["ollama_magics"]) == 2


def test_with_streaming_off_it_says_so_without_the_time(kernel: Any) -> None:
    """Outputs that are compared hold nothing that changes."""
    kernel.run("import os; os.environ['OLLAMA_MAGICS_STREAM'] = 'off'")
    ran = kernel.run("%ollama hello")
    columns = kernel.run(f"{SEVERAL}\nhello")
    kernel.run("del os.environ['OLLAMA_MAGICS_STREAM']")
    assert set(ran.messages[-1]["content"]["metadata"]["ollama_magics"]) == {"model", "digest", "server", "options"}
    assert [message["msg_type"] for message in columns.messages] == ["display_data"]
    assert "tok/s" not in columns.html
    assert all("time" not in kept for kept in columns.messages[-1]["content"]["metadata"]["ollama_magics"])


def test_thumbnails_of_the_pictures_come_with_the_last_paint(kernel: Any, stand_in: FakeServer) -> None:
    """At most twelve of at most 64 pixels, and how many more there were."""
    stand_in.delay = 0.02
    kernel.run("import numpy as np\npictures = [np.full((40 + 20 * n, 300, 3), 17 * n, 'uint8') for n in range(14)]")
    ran = kernel.run("%%ollama -m sandbox-vision -i pictures\nWhat is there to see in all of these pictures?")
    assert [message for message in ran.messages[:-1] if "<img" in message["content"]["data"]["text/html"]] == []
    shown = re.findall(r'<img alt="" src="data:image/png;base64,([^"]+)"', ran.html)
    sizes = [Image.open(io.BytesIO(base64.b64decode(data))).size for data in shown]
    assert len(sizes) == 12
    assert max(max(size) for size in sizes) == 64
    assert "and 2 more" in ran.html
    assert len(ran.html) < 12 * 2000


def test_thoughts_are_open_while_they_come_and_say_how_long_they_took(kernel: Any, stand_in: FakeServer) -> None:
    """Folded in the last paint."""
    stand_in.delay = 0.04
    ran = kernel.run("%%ollama -m sandbox-think\nhello you out there in the wide wide world")
    pages = [message["content"]["data"]["text/html"] for message in ran.messages]
    assert any(" open><summary>thinking …</summary>" in page for page in pages)
    assert re.search(r'"><summary>thought for \d+\.\d s</summary>', pages[-1])
