"""The plain calls, on the stand-in."""

from __future__ import annotations

import copy
import sys
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import ollama_magics as om
from ollama_magics import api
from ollama_magics.__main__ import main
from ollama_magics.conversation.reply import answer_view
from ollama_magics.errors import PromptProblem
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.session.session import current
from tests.faults import FaultServer, fine, whole


@pytest.fixture(autouse=True)
def configured(stand_in: FakeServer) -> None:
    """Let the shared settings name the stand-in."""
    om.configure(base_url=stand_in.url, model="sandbox-chat")


def sent(server: FakeServer) -> list[dict[str, Any]]:
    """Return the bodies of the chat requests."""
    return [body for _, path, body in server.requests if path == "/api/chat" and body is not None]


def test_a_chat_is_asked_for_at_its_first_look(stand_in: FakeServer) -> None:
    """Until then only the model's card was."""
    reply = om.chat("Hi there")
    assert sent(stand_in) == []
    assert "2 words" in reply.text
    assert len(sent(stand_in)) == 1


def test_a_chat_can_be_read_as_it_comes() -> None:
    """Piece by piece, and whole in the end."""
    reply = om.chat("repeat after me: one two three")
    assert "".join(reply) == reply.text == "one two three"
    assert reply.complete


def test_plain_calls_remember_nothing(stand_in: FakeServer) -> None:
    """A function of a program starts afresh each time."""
    assert om.chat("One").text
    assert om.chat("Two").text
    assert [message["content"] for message in sent(stand_in)[1]["messages"]] == ["Two"]
    assert current().conversation.turns == ()


def test_options_of_a_chat_go_out(stand_in: FakeServer) -> None:
    """By the names of the settings."""
    options: dict[str, Any] = {"context_length": "1k", "max_tokens": 5, "temperature": 0, "seed": 7}
    reply = om.chat("Hi {{x}}", values={"x": "you"}, system="Be brief.", **options)
    assert reply.text
    assert answer_view(reply).warnings == ["cut at max tokens (5): raise with max_tokens="]
    (body,) = sent(stand_in)
    assert [message["content"] for message in body["messages"]] == ["Be brief.", "Hi you"]
    assert body["options"] == {"num_ctx": 1024, "num_predict": 5, "temperature": 0, "seed": 7}


def test_pictures_of_every_kind_are_seen(tmp_path: Path) -> None:
    """A path, a picture and an array, in one prompt."""
    path = tmp_path / "blue.png"
    Image.new("RGB", (8, 8), "blue").save(path)
    red, green = Image.new("RGB", (8, 8), "red"), np.zeros((8, 8, 3), np.uint8)
    green[:, :, 1] = 255
    reply = om.chat("What colours?", images=[red, green, path], model="sandbox-vision")
    assert all(colour in reply.text for colour in ("red", "green", "blue"))
    assert len(reply.images) == 3


def test_one_picture_needs_no_list() -> None:
    """An array is not its rows, and a dict not its keys; a batch is several."""
    red = np.full((9, 9, 3), (255, 0, 0), np.uint8)
    file = BytesIO()
    Image.fromarray(red).save(file, "png")
    given = {"array": red, "grey": red[:, :, 0], "dict": {"a": red}, "batch": np.stack([red, red]), "file": file}
    asked = {name: om.chat("q", images=images, model="sandbox-vision").images for name, images in given.items()}
    assert {name: len(images) for name, images in asked.items()} == {"array": 1, "grey": 1, "dict": 1, "batch": 2, "file": 1}
    assert (asked["array"][0].width, asked["array"][0].source, asked["dict"][0].source) == (9, "images", "images['a']")


@pytest.mark.parametrize("prompt", [None, 7, b"Hi", ["Hi"]])
def test_a_prompt_that_is_no_text_is_refused(stand_in: FakeServer, prompt: Any) -> None:
    """With its kind."""
    with pytest.raises(om.PromptProblem) as caught:
        om.chat(prompt)
    assert caught.value.code == "prompt-not-text"
    assert type(prompt).__name__ in caught.value.what
    with pytest.raises(om.PromptProblem, match=r"conversation=om\.Conversation\(messages") as caught:
        om.chat([{"role": "user", "content": "Hi"}])  # type: ignore[arg-type]
    assert caught.value.code == "prompt-is-messages"
    assert stand_in.requests == []


def test_texts_become_an_array() -> None:
    """Similar ones are near."""
    vectors = om.embed(["the red house", "a red house", "quarterly tax report"], model="sandbox-embed", batch=2)
    assert vectors.shape == (3, 256)
    assert vectors.dtype == np.float32
    near = vectors @ vectors.T
    assert near[0, 1] > near[0, 2]
    assert om.embed("one text").shape == (1, 256)


def test_a_check_is_a_report() -> None:
    """True if everything is well."""
    assert om.check()
    om.configure(model="nope")
    report = om.check()
    assert not report
    assert report.error is not None
    assert report.error.code == "model-missing"


def test_a_check_does_not_trust_what_it_knew() -> None:
    """A model may have gone since."""
    assert om.check()
    cards = current().installed._cards
    assert om.chat("Hi").text
    assert cards
    om.check()
    assert cards == {}


def test_settings_are_set_together_or_not_at_all() -> None:
    """And are those of the magics."""
    warm: Any = "warm"
    with pytest.raises(om.SettingError):
        om.configure(model="other", temperature=warm)
    assert current().settings.model == "sandbox-chat"
    om.configure(model="other")
    assert current().settings.model == "other"


def test_a_profile_is_used_by_its_name() -> None:
    """What was set here stays."""
    current().resolved.save("work")
    om.configure(temperature=0.5)
    om.use_profile("work")
    assert current().settings.temperature == 0.5
    with pytest.raises(om.SettingError) as caught:
        om.use_profile("missing")
    assert caught.value.code == "profile-unknown"


def test_what_is_installed_is_listed_and_pulled() -> None:
    """As the shell command does it."""
    assert "sandbox-chat:latest" in [model["name"] for model in om.models()]
    with FaultServer(fine(pull=whole(b'{"status": "pulling manifest"}\n{"status": "success"}\n'))) as server:
        om.configure(base_url=server.url)
        assert [step.status for step in om.pull("llama3.2")] == ["pulling manifest", "success"]


WRONG_TYPES: list[tuple[Any, dict[str, Any], str]] = [
    (om.chat, {"options": 3}, "of type dict, not int"),
    (om.chat, {"values": 3}, "of type dict, not int"),
    (om.chat, {"conversation": 3}, "of type str, Conversation, not int"),
    (om.chat, {"model": ["a", "b"]}, "of type str, not list"),
    (om.chat, {"system": 3}, "of type str, not int"),
    (om.chat, {"suffix": 3}, "of type str, not int"),
    (om.chat, {"confirm": 3}, "of type callable, not int"),
    (om.chat, {"images": 3}, "images is not a supported type of picture"),
    (om.chat, {"images": "x.png"}, "images = Path(images)"),
    (om.chat, {"images": ["x.png"]}, "images[0] = Path(images[0])"),
    (om.embed, {"model": 3}, "of type str, not int"),
    (om.embed, {"lines": 3}, "of type str, Path, not int"),
    (om.embed, {"options": 3}, "of type dict, not int"),
    (om.embed, {"base_url": 3}, "of type str, list, not int"),
    (om.embed, {"base_url": [3]}, "of type str, list, not list"),
    (om.embed, {"report": 3}, "of type callable, not int"),
]


@pytest.mark.parametrize(("call", "given", "words"), WRONG_TYPES)
def test_a_parameter_of_a_wrong_type_is_refused(stand_in: FakeServer, call: Any, given: dict[str, Any], words: str) -> None:
    """With an error of ours, in the language of the settings, before anything is sent."""
    om.configure(language="zh")
    with pytest.raises(om.OllamaMagicsError) as caught:
        call("Hi", **given)
    assert caught.value.language == "zh"
    caught.value.language = "en"
    assert words in str(caught.value)
    assert stand_in.requests == []


def test_a_reply_fails_in_the_language_of_the_settings() -> None:
    """While it is read as well as at its end."""
    om.configure(language="zh")
    with pytest.raises(om.FormatProblem) as caught:
        _ = om.chat("Hi").value
    assert caught.value.language == "zh"
    with FaultServer([*fine(chat=whole({"error": "no"}, status=500))]) as server:
        om.configure(base_url=server.url, model="m")
        with pytest.raises(om.RequestRefused) as refused:
            _ = om.chat("Hi").text
    assert refused.value.language == "zh"


MISSPELT: list[tuple[Any, str, str]] = [
    *((call, "modle", "model") for call in (om.chat, om.embed, om.configure, om.pull)),
    (om.use_profile, "nmae", "name"),
    (om.check, "depe", "deep"),
    (om.sandbox, "dealy", "delay"),
]


@pytest.mark.parametrize(("call", "typed", "near"), MISSPELT)
def test_a_misspelt_parameter_is_an_error_with_the_nearest(call: Any, typed: str, near: str) -> None:
    """Python's own TypeError, which names it."""
    with pytest.raises(TypeError, match=f"'{typed}'; did you mean '{near}'\\?"):
        call(**{typed: "x"})
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzzzzzzz'$"):
        call(zzzzzzzz=1)


def test_a_setting_is_left_to_the_model_by_none() -> None:
    """A parameter that is not given changes nothing."""
    om.configure(temperature=0.5, seed=3)
    om.configure(temperature=None)
    assert (current().settings.temperature, current().settings.seed) == (None, 3)


def test_the_sandbox_lasts_as_long_as_its_with() -> None:
    """Then the settings are what they were, also after an error."""
    before = current().settings.changed()
    with suppress(KeyError), om.sandbox(delay=0) as url:
        assert current().settings.base_url == url
        assert "1 word" in om.chat("Hi").text
        raise KeyError
    assert current().settings.changed() == before
    om.configure(base_url=url)
    with pytest.raises(om.ConnectionProblem):
        _ = om.chat("Hi").text

    @om.sandbox(delay=0)
    def decorated() -> str:
        return om.chat("Hi").text

    assert "1 word" in decorated()
    wrong: tuple[Any, ...] = ("x", -1, None, float("nan"))
    for delay in wrong:
        with pytest.raises(om.SettingError, match="delay"):
            om.sandbox(delay=delay)


def test_a_started_sandbox_ends_with_the_session() -> None:
    """Until then every call uses it."""
    url = api.start_sandbox()
    assert om.embed("a").shape == (1, 256)
    current().close()
    om.configure(base_url=url)
    assert not om.check()


def test_every_public_name_is_there() -> None:
    """And no other."""
    for name in om.__all__:
        assert getattr(om, name) is not None
    assert set(om.__all__) < set(dir(om))
    with pytest.raises(AttributeError):
        _ = om.nothing


@pytest.mark.parametrize("more", [[], ["--deep"], ["--json"]])
def test_the_check_of_the_shell_has_an_exit_status(
    stand_in: FakeServer, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    """0 where every stage passed, 1 otherwise; the same content as text and as JSON."""
    words = ["check", "--base-url", stand_in.url, *more]
    assert main([*words, "--model", "sandbox-chat"]) == 0
    shown = capsys.readouterr().out
    assert ("✓ Tests" in shown) == ("--deep" in more)
    assert ('"ok": true' in shown) == ("--json" in more)
    assert main([*words, "--model", "nope"]) == 1
    assert "model-missing" in capsys.readouterr().out


def test_texts_and_a_file_of_texts_are_refused(tmp_path: Path) -> None:
    """One of them would be left out without a word."""
    file = tmp_path / "texts.txt"
    file.write_text("a", encoding="utf-8")
    with pytest.raises(PromptProblem) as caught:
        om.embed(["b"], lines=file)
    assert (caught.value.code, "lines and texts" in str(caught.value)) == ("options-conflict", True)


@pytest.mark.finding("C18")
def test_a_script_is_warned_once_where_there_is_no_keyring(stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its own line, and goes on without a stored key."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    om.configure(base_url=stand_in.url, key_store="keyring")
    with pytest.warns(UserWarning, match="no key was looked up") as caught:
        assert om.models()
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert om.models()


def test_models_are_pulled_shown_stopped_and_deleted() -> None:
    """In Python as with the magics; a pull adds up all layers."""
    with om.sandbox(delay=0):
        last = list(om.pull("https://ollama.com/library/sandbox-mini"))[-1]
        assert (last.status, last.share, last.size) == ("success", 1.0, 250_001_024)
        assert om.show("ollama run sandbox-mini")["context_length"] == 8192
        om.chat("hello", model="sandbox-mini").text  # noqa: B018 - it is sent when the text is read
        assert (om.stop("sandbox-mini"), om.stop("sandbox-mini")) == (True, False)
        om.rm("sandbox-mini")
        with pytest.raises(om.ModelProblem) as caught:
            om.show("sandbox-mini")
    assert caught.value.code == "model-missing"
    assert 'for step in om.pull("sandbox-mini"): print(step.status)' in str(caught.value)


@pytest.mark.parametrize("rows", [[None, None], pd.Series([None, None], index=["x", "y"])], ids=["list", "Series"])
def test_rows_that_are_all_missing_are_nan_or_left_out(rows: Any, stand_in: FakeServer) -> None:
    """As on_error says, since the card of the model tells the width; nothing is embedded for it."""
    reports: list[Any] = []
    given: dict[str, Any] = {"model": "sandbox-embed", "report": reports.append}
    found = om.embed(rows, on_error="nan", **given)
    assert (found.shape, bool(np.isnan(found).all())) == ((2, 256), True)
    assert om.embed(rows, on_error="skip", **given).shape == (0, 256)
    assert [(list(report.index), list(report.kept)) for report in reports][1] == ([], [])
    assert not [path for _, path, _ in stand_in.requests if path == "/api/embed"]
    with pytest.raises(om.EmbeddingProblem, match="on_error="):
        om.embed(rows, **given)


@pytest.mark.parametrize("folder", ["file/folder", "relative"])
def test_a_store_that_cannot_be_used_is_reported(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors by a warning, an answer in its notes; a relative folder would be another one in each notebook."""
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_MAGICS_CACHE", folder if folder == "relative" else str(tmp_path / folder))
    with pytest.warns(UserWarning, match="Vectors are not kept: ") as caught:
        om.embed(["a"], model="sandbox-embed")
    assert [warning.filename for warning in caught] == [__file__]
    reply = om.chat("Hi", reuse=True)
    assert reply.text
    assert [note for note in reply.notes if note.startswith("Answers are not kept: ")] == reply.notes
    assert len(copy.deepcopy(reply).notes) == 1
    assert ("OLLAMA_MAGICS_CACHE must be an absolute path" in reply.notes[0]) == (folder == "relative")
    assert not (tmp_path / "relative").exists()
