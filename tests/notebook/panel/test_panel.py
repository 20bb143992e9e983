"""The form without a front end: what a typed value, a choice, a line of the notebook and the server do to it."""

from __future__ import annotations

import html
import re
import threading

import pytest
from ipywidgets import Widget

from ollama_magics.fake_server.models import MODELS
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.notebook.panel.form import Panel
from ollama_magics.session.session import current
from ollama_magics.settings import profiles
from tests.browser.gate import Gate
from tests.canary import KEY

from .conftest import until


def note(panel: Panel, name: str) -> str:
    """Return what stands beside a field, as a person reads it."""
    return html.unescape(panel._rows[name].note.value)


def hidden(panel: Panel) -> set[str]:
    """Return the rows that are not shown."""
    return {name for name, row in panel._rows.items() if row.widget.layout.display == "none"}


def state() -> str:
    """Return all that a saved notebook could hold of the widgets."""
    return repr(Widget.get_manager_state())


def type_into(panel: Panel, name: str, text: str) -> None:
    """Put a value into a field as the front end does."""
    panel._rows[name].field.value = text


# Secrets.


def test_the_key_is_taken_and_its_field_is_emptied(panel: Panel) -> None:
    """Nothing of it stays in any widget; a bad one is refused unseen."""
    panel._key.field.value = f" {KEY} "
    assert panel._key.field.value == ""
    until(lambda: "for http://127.0.0.1" in panel._said.value)
    assert current().in_force.key(current().address) == (KEY, "notebook")
    panel._key.field.value = f"{KEY} with spaces"
    until(lambda: "not a valid value for API key" in panel._said.value)
    assert KEY not in state()


@pytest.mark.parametrize(
    ("name", "typed", "left"),
    [
        ("base_url", f"http://me:{KEY}@127.0.0.1:1", "http://••••@127.0.0.1:1"),
        ("base_url", f"http://me:{KEY}@127.0.0.1:99999", ""),
        ("proxy", f"http://me:{KEY}@127.0.0.1:2", "http://••••@127.0.0.1:2"),
        ("proxy", f"ftp://me:{KEY}@127.0.0.1:2", ""),
        ("headers", f"X-Token: {KEY}", ""),
    ],
    ids=["address", "bad port", "proxy", "bad proxy", "header"],
)
def test_a_typed_password_is_left_in_no_field(panel: Panel, name: str, typed: str, left: str) -> None:
    """Neither one that is taken nor one that is refused, which another field's mistake must not keep in sight."""
    if not left:
        left = panel._rows[name].field.value
    type_into(panel, name, typed)
    assert panel._rows[name].field.value == left
    assert KEY not in state()


def test_a_password_that_a_line_sets_is_not_in_the_form(panel: Panel) -> None:
    """It is in the connection."""
    current().configure({"base_url": f"http://me:{KEY}@127.0.0.1:1"})
    assert panel._rows["base_url"].field.value == "http://••••@127.0.0.1:1"
    assert KEY not in state()
    assert current().address.password is not None


# What is shown.


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        ("chat", set()),
        ("completion", {"tools"}),
        (
            "embedding",
            {"max_tokens", "vision", "tools", "embedding_model", "system", "temperature"}
            | {"top_p", "top_k", "seed", "stop", "think"},
        ),
    ],
)
def test_the_form_shows_what_the_type_needs(panel: Panel, kind: str, gone: set[str]) -> None:
    """And the rest when the type is another one."""
    type_into(panel, "model_type", kind)
    assert hidden(panel) == gone
    type_into(panel, "model_type", "chat")
    assert hidden(panel) == set()


def test_the_whole_form_changes_its_language(panel: Panel) -> None:
    """Every label, word and remark has one in Chinese, and no choice changes."""
    type_into(panel, "vision", "yes")
    type_into(panel, "language", "zh")
    assert panel._saving.save.description == "保存"
    assert "已安装的模型" in panel._models.button.description
    labels = [row._caption.value or row.field.description for row in panel._rows.values()]
    assert not [label for label in labels if label.isascii() and not label.startswith("Top")]
    english = {name for name in panel._rows if not re.search("[一-鿿]", note(panel, name))}
    assert english == {"model"}  # the size of the model and what it can do
    assert (panel._rows["vision"].field.value, current().settings.vision) == ("yes", "yes")
    assert dict(panel._rows["model_type"].field.options)["对话"] == "chat"


@pytest.mark.parametrize("lines", [("END", "终"), ("END",)])
def test_stop_texts_are_lines_of_their_field(panel: Panel, lines: tuple[str, ...]) -> None:
    """In both directions."""
    type_into(panel, "stop", "\n".join(lines))
    assert current().settings.stop == lines
    current().configure({"stop": ()})
    assert panel._rows["stop"].field.value == ""


def test_the_environment_that_overrides_the_saved_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who saved another one would not understand the form."""
    profiles.save("default", {"base_url": "http://saved:1"}, whole=True)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    told = note(Panel(current()), "base_url")
    assert "http://127.0.0.1:1, from OLLAMA_HOST, overriding the saved http://saved:1" in told
    Widget.close_all()


# What the server says.


def test_a_picked_model_says_what_it_is_and_can(panel: Panel) -> None:
    """Beside the fields, and at once against what the person chose."""
    type_into(panel, "model", "sandbox-vision")
    until(lambda: "detected: yes" in note(panel, "vision"))
    assert "8 kB · completion, vision" in note(panel, "model")
    assert "detected: no" in note(panel, "think")
    type_into(panel, "vision", "no")
    assert "set by you; the server says yes" in note(panel, "vision")
    type_into(panel, "context_length", "100k")
    assert "102400 tokens, sent as num_ctx · set by you · the model's maximum context is 8\u202f192" in note(
        panel, "context_length"
    )
    type_into(panel, "max_tokens", "200k")
    assert "more than the context (102\u202f400)" in note(panel, "max_tokens")


def test_a_picked_model_fills_the_type_and_gives_it_back(panel: Panel) -> None:
    """It is marked as detected, also in the table of settings."""
    type_into(panel, "model", "sandbox-embed")
    until(lambda: panel._rows["model_type"].field.value == "embedding")
    assert current().settings.model_type == "embedding"
    assert "detected: embedding" in note(panel, "model_type")
    assert "dimension 256" in note(panel, "model")
    assert ("model_type", "embedding", "detected") in list(current().described())
    type_into(panel, "model", "sandbox-chat")
    until(lambda: panel._rows["model_type"].field.value == "chat")


def test_what_a_person_typed_is_never_filled_over(panel: Panel) -> None:
    """A type that cannot be is said to be wrong, and stays."""
    type_into(panel, "model_type", "completion")
    type_into(panel, "model", "sandbox-embed")
    until(lambda: "the server lists this model for: embedding" in note(panel, "model_type"))
    assert "set by you" in note(panel, "model_type")
    assert current().settings.model_type == "completion"


def test_the_installed_models_are_offered_with_what_is_known_of_them(panel: Panel) -> None:
    """Plain names in the field, everything else in a folded list, of which a choice is the model."""
    assert panel._rows["model"].field.options == tuple(MODELS)
    assert panel._rows["embedding_model"].field.options == ("sandbox-embed",)
    assert panel._models.button.description == "▸ Installed models (5)"
    assert panel._models.choice.value == "sandbox-chat"
    assert "sandbox-vision\u20038 kB · completion, vision" in dict(panel._models.choice.options)
    panel._models.choice.value = "sandbox-vision"
    assert current().settings.model == "sandbox-vision"
    assert panel._rows["model"].field.value == "sandbox-vision"


def test_a_model_that_is_not_installed_is_named_at_once(panel: Panel) -> None:
    """Without a check."""
    type_into(panel, "model", "sandbox-chta")
    until(lambda: "not installed on this server" in note(panel, "model"))


def test_a_late_answer_for_an_earlier_pick_is_dropped(panel: Panel, stand_in: FakeServer) -> None:
    """The form shows what is known of the model that stands in it."""
    with Gate(stand_in.url) as gate:
        gate.shut()
        type_into(panel, "base_url", gate.host)
        type_into(panel, "model", "sandbox-embed")
        late = {thread for thread in threading.enumerate() if thread.name == "ollama-panel"}
        type_into(panel, "base_url", stand_in.url)
        type_into(panel, "model", "sandbox-vision")
        until(lambda: "detected: yes" in note(panel, "vision"))
        gate.open()
        until(lambda: not any(thread.is_alive() for thread in late))
    assert current().settings.model_type == "chat"
    assert "vision" in note(panel, "model")


def test_a_server_that_is_gone_takes_its_remarks_with_it(panel: Panel) -> None:
    """Nothing is known of what is not there."""
    type_into(panel, "base_url", "http://127.0.0.1:1")
    until(lambda: panel._stock is None)
    assert panel._rows["model"].field.options == ()
    assert "auto: detected from the server" in note(panel, "vision")
