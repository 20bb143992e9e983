"""What the model would get of a prompt, without asking it."""

from __future__ import annotations

import json
from typing import Any

from IPython.core.error import UsageError

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer
from tests.faults import FaultServer, fine


def test_the_rendered_prompt_is_shown_and_nothing_is_asked(shell: Any, stand_in: FakeServer) -> None:
    """With the earlier turns, values and what was left out; no memory and no name is touched."""
    shell.run("%ollama -s Rhyme. one\nfirst = _ollama\nwords = ['a', 'b', 'c']")
    shown = shell.run("%%ollama --show-prompt --rows 2\nCount <b>{{words}}</b>.")
    assert "system: Rhyme.\nuser: one\nassistant: " in shown
    assert "user: Count <b>" in shown
    assert "words: 2 of 3" in shown
    assert "it was not asked" in shown
    assert shell.names["_ollama"] is shell.names["first"]
    assert len(shell.run("m = %ollama_history --export") or shell.names["m"]) == 3
    shell.run("%%ollama --show-prompt -o kept\nhi")
    assert str(shell.names["kept"]).endswith("user: hi\n\n")
    shell.run("r = %ollama --once --show-prompt What is <b>Python</b>?")
    rendered: om.RenderedPrompt = shell.names["r"]
    assert (str(rendered), rendered.is_rendered) == ("user: What is <b>Python</b>?\n", True)
    assert "&lt;b&gt;Python" in rendered._repr_mimebundle_()[0]["text/html"]
    bodies = [body for _, path, body in stand_in.requests if path == "/api/chat" and body]
    assert [body.get("_debug_render_only", False) for body in bodies] == [False, True, True, True]
    shell.run("%ollama_config --language zh")
    assert "未向模型提问" in shell.run("%ollama --once --show-prompt hi")


def test_options_that_need_an_answer_are_refused(shell: Any) -> None:
    """Before anything is sent."""
    shell.run("rows = ['a']")
    for line in ("--each rows {{item}}", "-m a -m b hi", "--next-cell hi", "--quiet hi", "--reuse hi"):
        error, shown = shell.fail(f"%ollama --show-prompt {line}")
        assert (type(error), "contradict" in shown) == (UsageError, True)


def test_a_server_that_cannot_tell_is_not_asked_for_more_than_one_token() -> None:
    """What is shown are the messages as JSON; of a model in a cloud nothing is sent at all."""
    with FaultServer(fine()) as server:
        om.configure(base_url=server.url, model="m")
        rendered = om.chat("Hi", system="Be kind.").rendered_prompt()
        assert not rendered.is_rendered
        assert [message["role"] for message in json.loads(str(rendered))] == ["system", "user"]
        assert "messages as they are sent" in repr(rendered)
        [body] = [json.loads(request.body) for request in server.requests if request.path == "/api/chat"]
        assert (body["options"]["num_predict"], body["stream"]) == (1, False)
        assert json.loads(str(om.chat("Once", generate=True).rendered_prompt())) == {"prompt": "Once"}
        count = len(server.requests)
        assert not om.chat("Hi", model="big:cloud").rendered_prompt().is_rendered
        assert "/api/chat" not in server.paths()[count:]
