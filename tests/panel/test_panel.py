"""The form without a front end: what a typed value, a key and Save do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ipywidgets import Widget

from ollama_magics import profiles
from ollama_magics.panel import Panel
from ollama_magics.session import current
from ollama_magics.standin import StandIn

CANARY = "sk-canary-5f1e"


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch, stand_in: StandIn) -> Iterator[Panel]:
    """Give a form on the stand-in whose clicks are done at once."""
    monkeypatch.setattr(Panel, "_start", lambda _, work: work())
    current().configure({"base_url": stand_in.url, "model": "sandbox-chat"})
    yield Panel(current())
    Widget.close_all()


def state() -> str:
    """Return all that a saved notebook could hold of the widgets."""
    return repr(Widget.get_manager_state())


def test_the_key_is_taken_and_its_field_is_emptied(panel: Panel) -> None:
    """Nothing of it stays in any widget; a bad one is refused unseen."""
    panel._key._field.value = f" {CANARY} "
    assert current().in_force.key(current().address) == (CANARY, "notebook")
    assert panel._key._field.value == ""
    assert "for http://127.0.0.1" in panel._said.value
    panel._key._field.value = f"{CANARY} with spaces"
    assert "no value for API key" in panel._said.value
    assert CANARY not in state()


def test_a_password_in_the_address_is_not_in_the_form(panel: Panel) -> None:
    """It is in the connection."""
    current().configure({"base_url": f"http://me:{CANARY}@127.0.0.1:1"})
    assert panel._fields["base_url"].value == "http://••••@127.0.0.1:1"
    assert CANARY not in state()
    assert current().address.password is not None


def test_saving_checks_first(panel: Panel) -> None:
    """What passed is the profile default."""
    panel._save.click()
    assert profiles.load("default")["model"] == "sandbox-chat"
    assert "saved as" in panel._said.value
    assert panel._anyway.layout.display == "none"


def test_a_refused_value_blocks_saving(panel: Panel) -> None:
    """Until it is mended."""
    panel._fields["context_length"].value = "many"
    panel._save.click()
    assert "Context length is refused" in panel._said.value
    assert profiles.names() == []
    panel._fields["context_length"].value = "2k"
    panel._save.click()
    assert profiles.load("default")["context_length"] == 2048


def test_an_unreachable_server_is_saved_on_request_only(panel: Panel) -> None:
    """By a button that says what it does."""
    panel._fields["base_url"].value = "http://127.0.0.1:1"
    panel._save.click()
    assert profiles.names() == []
    assert (panel._anyway.layout.display, panel._anyway.description) == ("", "Save anyway (unverified)")
    panel._anyway.click()
    assert profiles.load("default")["base_url"] == "http://127.0.0.1:1"
    assert panel._anyway.layout.display == "none"


@pytest.mark.parametrize(
    ("kind", "hidden"),
    [("chat", set()), ("completion", {"tools"}), ("embedding", {"max_tokens", "vision", "tools", "embedding_model"})],
)
def test_the_form_shows_what_the_type_needs(panel: Panel, kind: str, hidden: set[str]) -> None:
    """And the rest when the type is another one."""
    panel._fields["model_type"].value = kind
    assert {name for name, row in panel._rows.items() if row.layout.display == "none"} == hidden
    panel._fields["model_type"].value = "chat"
    assert not [name for name, row in panel._rows.items() if row.layout.display == "none"]


def test_a_picked_model_says_what_it_can(panel: Panel) -> None:
    """Beside the fields, and against what the person chose."""
    assert "detected: no" in panel._notes["vision"].value
    panel._fields["model"].value = "sandbox-vision"
    assert "detected: yes" in panel._notes["vision"].value
    panel._fields["vision"].value = "no"
    assert "yours; the server says yes" in panel._notes["vision"].value
    panel._fields["context_length"].value = "100k"
    assert "own maximum" in panel._notes["context_length"].value


def test_the_whole_form_changes_its_language(panel: Panel) -> None:
    """Every label has one in Chinese."""
    panel._fields["language"].value = "zh"
    assert panel._save.description == "保存"
    labels = [field.description for field in panel._fields.values()]
    assert not [label for label in labels if label.isascii() and not label.startswith("Top")]


@pytest.mark.parametrize("lines", [("END", "终"), ("END",)])
def test_stop_texts_are_lines_of_their_field(panel: Panel, lines: tuple[str, ...]) -> None:
    """In both directions."""
    panel._fields["stop"].value = "\n".join(lines)
    assert current().settings.stop == lines
    current().configure({"stop": ()})
    assert panel._fields["stop"].value == ""
