"""A conversation in a file and as a list of messages: what comes back, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ollama_magics as om
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.turns import Place, Stats, Turn
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.secret import Secret
from ollama_magics.server.wire import Message
from tests.canary import KEY


def png(colour: str = "red") -> bytes:
    """Return a small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = base64.b64encode(png()).decode()
CALL = {"id": "call_1", "function": {"name": "add", "arguments": {"a": [1, "数"], "b": None}}}
BETWEEN = (
    Message("assistant", "", thinking="I add.", tool_calls=(CALL,)),
    Message("tool", "3", (PICTURE,), tool_name="add", tool_call_id="call_1"),
)
TURNS = [
    Turn(Message("user", "What?\u2028", (PICTURE,)), Message("assistant", "Red."), Place("a", "1"), complete=True, system="Be."),
    Turn(
        Message("user", "1+2"),
        Message("assistant", "3"),
        Place("b", "2"),
        complete=True,
        at_limit=True,
        between=BETWEEN,
        tokens=9,
    ),
    Turn(Message("user", "Go"), Message("assistant", "On and"), Place(), complete=False, model="m", stats=Stats(3, 4, 0.5)),
]


def conversation() -> Conversation:
    """Return a conversation with a picture, a call, thoughts and cut answers."""
    found = Conversation()
    found.replace(TURNS)
    return found


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


def test_everything_of_a_conversation_comes_back(tmp_path: Path) -> None:
    """All but the run of a cell: in another kernel the cell replaces its turn."""
    path = conversation().save(tmp_path / "chat.json")
    loaded = Conversation.load(path).turns
    assert [(turn.messages, turn.complete, turn.at_limit, turn.system, turn.tokens, turn.model) for turn in loaded] == [
        (turn.messages, turn.complete, turn.at_limit, turn.system, turn.tokens, turn.model) for turn in TURNS
    ]
    assert loaded[2].stats == TURNS[2].stats
    assert base64.b64decode(loaded[0].prompt.images[0]) == png()
    assert Place("a", "9").replaces(loaded[0].place)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text(encoding="utf-8"))["version"] == 1
    assert [name.name for name in tmp_path.iterdir()] == ["chat.json"]  # nothing half written is left


def test_a_file_is_replaced_only_where_it_is_a_conversation(tmp_path: Path) -> None:
    """Through a link, too; what is something else stays as it is."""
    path = tmp_path / "chat.json"
    path.touch()  # empty
    conversation().save(path)
    (tmp_path / "link.json").symlink_to(path)
    Conversation().save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert Conversation.load(str(path)).turns == ()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "notebook.ipynb").write_text('{"cells": []}', encoding="utf-8")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("pipe", "folder", "notebook.ipynb", "nowhere/chat.json", "nul\0.json", "loop"):
        assert failure(lambda name=name: conversation().save(tmp_path / name)).code == "conversation-unwritable"  # type: ignore[misc]
    assert (tmp_path / "notebook.ipynb").read_text(encoding="utf-8") == '{"cells": []}'


def test_a_repeated_key_is_in_no_file(tmp_path: Path) -> None:
    """Whole or in part, in texts, thoughts and calls; everything else comes back."""
    known = conversation()
    call = {"id": "1", "function": {"name": "f", "arguments": {"a": KEY}}}
    turn = Turn(
        Message("user", "Hi", (PICTURE,)),
        Message("assistant", f"It is {KEY}."),
        Place("c", "3"),
        complete=True,
        between=(Message("assistant", "", thinking=f"{KEY[3:]}?", tool_calls=(call,)),),
    )
    known.keep(turn, secrets=[Secret(KEY)])
    path = known.save(tmp_path / "chat.json")
    loaded = Conversation.load(path).turns
    assert KEY[-8:] not in path.read_text(encoding="utf-8")
    assert [one.messages for one in loaded[:3]] == [one.messages for one in TURNS]
    assert (loaded[3].answer.content, loaded[3].prompt) == ("It is ••••.", turn.prompt)


def changed(**fields: Any) -> str:
    """Return a file of one turn, with other fields."""
    turn = {
        "prompt": {"role": "user", "content": "Hi"},
        "answer": {"role": "assistant", "content": "Hello"},
        "place": {"cell": "", "run": ""},
        "complete": True,
    }
    return json.dumps({"version": 1, "turns": [turn | fields]})


def with_image(data: bytes | str) -> str:
    """Return a file whose prompt has a picture."""
    text = data if isinstance(data, str) else base64.b64encode(data).decode()
    return changed(prompt={"role": "user", "content": "Hi", "images": [text]})


FOREIGN = {
    "empty": "",
    "text": "hello",
    "list": "[]",
    "notebook": '{"cells": [], "nbformat": 4}',
    "deep": "[" * 100_000,
    "newer": '{"version": 2, "turns": 7}',
    "version 0": '{"version": 0, "turns": []}',
    "version true": '{"version": true, "turns": []}',
    "no turns": '{"version": 1, "turns": {}}',
    "role": changed(prompt={"role": "system", "content": "Obey."}),
    "between": changed(between=[{"role": "system", "content": "Obey."}]),
    "tokens": changed(tokens=-5),
    "type": changed(complete="yes"),
    "not base64": with_image("§"),
    "half a picture": with_image(png()[:-30]),
    "text as picture": with_image(b"RIFF hello"),
}


def test_a_foreign_file_changes_nothing(tmp_path: Path) -> None:
    """Whatever is in it, the error says so and what there is stays."""
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    (tmp_path / "large.json").touch()
    os.truncate(tmp_path / "large.json", 2**31)  # takes no space on the disk
    os.mkfifo(tmp_path / "pipe.json")
    for name, text in FOREIGN.items():
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    shown: dict[str, OllamaMagicsError] = {}
    for name in (*FOREIGN, "binary", "large", "pipe", "missing", "nul\0"):
        try:
            pytest.fail(f"{name}: {Conversation.load(tmp_path / f'{name}.json').turns}")
        except OllamaMagicsError as error:
            shown[name] = error
    (tmp_path / "large.json").unlink()  # the files of all tests are searched for keys
    assert {error.code for error in shown.values()} == {"conversation-unreadable"}
    said = {"newer": "newer version", "large": "256 MB", "pipe": "a pipe", "missing": " contains ", "role": "Turn 1"}
    wrong = [name for name, words in said.items() if words not in shown[name].how_we_know]
    assert not wrong, [str(shown[name]) for name in wrong]
    assert all("om.Conversation.load(FILE)" in error.remedy for error in shown.values())


OPENAI = [
    {"role": "developer", "content": "Be kind."},
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
            {"type": "text", "text": "is it?"},
        ],
    },
    {"role": "user", "content": "And 1 + 2?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}],
    },
    {"role": "tool", "tool_call_id": "x", "content": "3"},
    {"role": "assistant", "content": "Red, 3."},
]


def test_messages_of_openai_become_turns() -> None:
    """Parts, data URLs, arguments in a text, and results that name their calls only."""
    [turn] = Conversation(OPENAI).turns
    assert (turn.system, turn.prompt.content) == ("Be kind.\n\nBe brief.", "What\nis it?\n\nAnd 1 + 2?")
    assert Image.open(io.BytesIO(base64.b64decode(turn.prompt.images[0]))).size == (8, 6)
    assert turn.between[0].tool_calls == ({"id": "x", "function": {"name": "add", "arguments": {"a": 1, "b": 2}}},)
    assert (turn.between[1].tool_name, turn.between[1].content) == ("add", "3")
    assert turn.answer.content == "Red, 3."


def test_messages_of_a_conversation_make_the_same_again() -> None:
    """As --export and reply.messages give them; also from a generator, and with pictures as bytes."""
    exported = [message for message in conversation().exported() if message["role"] != "tool" or message["content"]]
    assert Conversation(exported).exported() == exported
    asked = [{"role": "user", "content": "What?", "images": [png()]}, {"role": "assistant", "content": "Red."}]
    assert len(Conversation(message for message in asked).turns[0].prompt.images) == 1
    assert Conversation([]).turns == ()


REFUSED: list[tuple[Any, str]] = [
    ("hello", "not str"),
    ({"role": "user"}, "not dict"),
    (7, "not int"),
    (["hello"], "not a dict"),
    ([{"role": "human", "content": "Hi"}], "'human'"),
    ([{"content": "Hi"}], "None"),
    ([{"role": ["user"], "content": "Hi"}], "['user']"),
    ([{"role": "assistant", "content": "Hi"}], "no prompt"),
    ([{"role": "user", "content": "Hi"}], "next prompt"),
    ([{"role": "system", "content": "Hi"}], "as system"),
    ([*OPENAI[:4], *OPENAI[4:6]], "next prompt"),
    ([*OPENAI[:5], {"role": "user", "content": "Hi"}], "no answer"),
    ([OPENAI[3], {"role": "system", "content": "Hi"}], "between a prompt"),
    ([{"role": "user", "content": 7}], "type int"),
    ([{"role": "user", "content": [7]}], "type int"),
    ([{"role": "user", "content": [{"type": "file", "file": {}}]}], "'file'"),
    ([{"role": "user", "content": "", "images": ["§"]}], "base64"),
    ([{"role": "user", "content": "", "images": [7]}], "type int"),
    ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}], "web address"),
    ([OPENAI[3], {"role": "assistant", "tool_calls": ["add"]}], "tool_calls"),
    ([OPENAI[3], {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": "[1"}}]}], "tool_calls"),
]


def test_messages_that_are_no_conversation_are_refused() -> None:
    """With the number of the message and why."""
    wrong = []
    for messages, said in REFUSED:
        error = failure(lambda messages=messages: Conversation(messages))  # type: ignore[misc]
        if error.code != "messages-invalid" or said not in error.how_we_know:
            wrong.append(f"{messages}: {error}")
    assert not wrong, "\n".join(wrong)
    error = failure(lambda: Conversation([{"role": "user", "content": "", "images": [b"hello"]}]))
    assert (error.code, "messages[0].images[0]" in error.what) == ("picture-unreadable", True)


def test_a_saved_conversation_goes_on_elsewhere(tmp_path: Path, stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another session, with the system prompt; the key is not in the file."""
    monkeypatch.setenv("A_KEY", KEY)
    om.configure(base_url=stand_in.url, model="sandbox-chat", api_key_env="A_KEY")
    chat = om.Conversation()
    assert om.chat("My name is Ada.", system="Be kind.", conversation=chat).text
    path = chat.save(tmp_path / "chat.json")
    assert KEY not in path.read_text(encoding="utf-8")
    assert om.chat("And now?", conversation=om.Conversation.load(path)).text
    body = [body for _, route, body in stand_in.requests if route == "/api/chat" and body][-1]
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    om.configure(language="zh")
    assert "无法" in failure(lambda: om.Conversation.load(tmp_path / "missing.json")).what


def test_a_conversation_can_come_from_an_array_and_says_what_it_holds() -> None:
    """NumPy and pandas compare each of their values, so that no comparison may decide whether there are messages."""
    array = np.array([{"role": "user", "content": "Hi\nthere"}, {"role": "assistant", "content": "Hello"}])
    assert repr(Conversation(array)) == "<Conversation, turns: 1, the last prompt: Hi there>"
    assert repr(Conversation(())) == "<Conversation, turns: 0>"


def test_what_is_no_path_is_refused() -> None:
    """Before anything is read or written."""
    for given in (None, 5, ["chat.json"], OPENAI):
        for call, code in ((Conversation.load, "conversation-unreadable"), (Conversation().save, "conversation-unwritable")):
            error = failure(lambda call=call, given=given: call(given))  # type: ignore[misc]
            assert (error.code, "str, Path" in error.how_we_know) == (code, True)
    for call, code in ((Conversation.load, "conversation-unreadable"), (Conversation().save, "conversation-unwritable")):
        error = failure(lambda call=call: call(" "))  # type: ignore[misc]
        assert (error.code, "name of a file is needed" in error.how_we_know) == (code, True)


def test_files_with_messages_name_what_reads_them(tmp_path: Path) -> None:
    """As other programs write them; other lists and objects are no messages."""
    path = tmp_path / "chat.json"
    for content, is_known in (
        (OPENAI, True),
        ({"model": "a", "messages": OPENAI}, True),
        ([1], False),
        ([], False),
        ({"a": 1}, False),
    ):
        path.write_text(json.dumps(content), encoding="utf-8")
        error = failure(lambda: Conversation.load(path))
        assert (error.code, "om.Conversation(messages)" in error.how_we_know) == ("conversation-unreadable", is_known)
