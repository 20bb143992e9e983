"""The form without a front end: what a typed value, a choice, a line of the notebook and the server do to it."""

from __future__ import annotations

import re
import threading

import httpx
import pytest
from ipywidgets import Widget

from ollama_magics.fake_server.models import MODELS
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.notebook.panel.config_panel import Panel
from ollama_magics.secret import Secret
from ollama_magics.session.session import current
from ollama_magics.settings import form as settings
from ollama_magics.settings import profiles
from tests.browser.gate import Gate
from tests.canary import KEY

from .conftest import until
from .form_view import FormView


def state() -> str:
    """Return all that a saved notebook could hold of the widgets, once no thread of the form makes another one."""
    until(lambda: not any(thread.name == "ollama-panel" for thread in threading.enumerate()))
    return repr(Widget.get_manager_state())


def copy(server: FakeServer, source: str, name: str) -> None:
    """Let a server have a model by another name, too."""
    httpx.post(f"{server.url}/api/copy", json={"source": source, "destination": name}).raise_for_status()


# Secrets.


def test_the_key_is_taken_and_its_field_is_emptied(form: FormView) -> None:
    """Nothing of it stays in any widget; a bad one is refused unseen."""
    form.type("api_key", f" {KEY} ")
    assert form.value("api_key") == ""
    until(lambda: "for http://127.0.0.1" in form.message)
    assert current().resolved.secrets.key(current().address) == (Secret(KEY), "notebook")
    form.type("api_key", f"{KEY} with spaces")
    until(lambda: "not a valid value for API key" in form.message)
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
def test_a_typed_password_is_left_in_no_field(form: FormView, name: str, typed: str, left: str) -> None:
    """Neither one that is taken nor one that is refused, which another field's mistake must not keep in sight."""
    if not left:
        left = form.value(name)
    form.type(name, typed)
    assert form.value(name) == left
    assert KEY not in state()


def test_a_password_that_a_line_sets_is_not_in_the_form(form: FormView) -> None:
    """It is in the connection."""
    current().configure({"base_url": f"http://me:{KEY}@127.0.0.1:1"})
    assert form.value("base_url") == "http://••••@127.0.0.1:1"
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
def test_the_form_shows_what_the_type_needs(form: FormView, kind: str, gone: set[str]) -> None:
    """And the rest when the type is another one."""
    form.type("model_type", kind)
    assert form.hidden() == gone
    form.type("model_type", "chat")
    assert form.hidden() == set()


def test_the_whole_form_changes_its_language(form: FormView) -> None:
    """Every label, word and remark has one in Chinese, and no choice changes."""
    form.type("vision", "yes")
    form.type("context_length", "many")
    form.type("language", "zh")
    assert (form.value("context_length"), form.is_red("context_length")) == ("many", True)
    assert form.offers("保存")
    assert "已安装的模型" in form.models_button
    assert not [label for label in form.labels() if label.isascii() and not label.startswith("Top")]
    english = {name for name in settings.names() if not re.search("[一-鿿]", form.note(name))}
    assert english == set()
    assert (form.value("vision"), current().settings.vision) == ("yes", "yes")
    assert dict(form.field("model_type").options)["对话"] == "chat"


@pytest.mark.parametrize("lines", [("END", "终"), ("END",)])
def test_stop_texts_are_lines_of_their_field(form: FormView, lines: tuple[str, ...]) -> None:
    """In both directions."""
    form.type("stop", "\n".join(lines))
    assert current().settings.stop == lines
    current().configure({"stop": ()})
    assert form.value("stop") == ""


def test_the_environment_that_overrides_the_saved_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who saved another one would not understand the form."""
    profiles.save("default", {"base_url": "http://saved:1"})
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    output = FormView(Panel(current())).note("base_url")
    assert "→ used http://127.0.0.1:1" in output
    assert "from OLLAMA_HOST, overriding the saved http://saved:1" in output
    Widget.close_all()


# What the server says.


def test_a_picked_model_says_what_it_is_and_can(form: FormView) -> None:
    """Beside the fields, and at once against what the person chose."""
    form.type("model", "sandbox-vision")
    until(lambda: "detected: yes" in form.note("vision"))
    assert "8 kB · completion, vision" in form.note("model")
    assert "detected: no" in form.note("think")
    form.type("vision", "no")
    assert "set by you; the server says yes" in form.note("vision")
    form.type("context_length", "100k")
    assert "102400 tokens, sent as num_ctx · set by you · more than the model's maximum: 8\u202f192" in form.note(
        "context_length"
    )
    form.type("max_tokens", "200k")
    assert "more than the context (102\u202f400)" in form.note("max_tokens")


def test_a_picked_model_fills_the_type_and_gives_it_back(form: FormView) -> None:
    """It is marked as detected, also in the table of settings."""
    form.type("model", "sandbox-embed")
    until(lambda: form.value("model_type") == "embedding")
    assert current().settings.model_type == "embedding"
    until(lambda: "detected: embedding" in form.note("model_type"))
    assert "dimension 256" in form.note("model")
    assert ("model_type", "embedding", "detected") in list(current().described())
    form.type("model", "sandbox-chat")
    until(lambda: form.value("model_type") == "chat")


def test_what_a_person_typed_is_never_filled_over(form: FormView) -> None:
    """A type that cannot be is said to be wrong, and stays."""
    form.type("model_type", "completion")
    form.type("model", "sandbox-embed")
    until(lambda: "the server lists this model for: embedding" in form.note("model_type"))
    assert "set by you" in form.note("model_type")
    assert current().settings.model_type == "completion"


def test_the_installed_models_are_offered_with_what_is_known_of_them(form: FormView) -> None:
    """Plain names in the field, everything else in a folded list, of which a choice is the model."""
    assert form.field("model").options == tuple(sorted(MODELS))
    assert form.field("embedding_model").options == ("sandbox-embed",)
    assert form.models_button == "▸ Installed models (5)"
    assert form.models.value == "sandbox-chat"
    assert "sandbox-vision\u20038 kB · completion, vision" in dict(form.models.options)
    form.models.value = "sandbox-vision"
    assert current().settings.model == "sandbox-vision"
    assert form.value("model") == "sandbox-vision"


def test_a_click_on_a_list_that_has_changed_means_what_was_seen_there(form: FormView, stand_in: FakeServer) -> None:
    """The front end sends the place of it, at which another model may stand by now."""
    shown = form.models
    place = [name for _, name in shown.options].index("sandbox-think")
    copy(stand_in, "sandbox-chat", "first")
    form.type("connect_timeout", "3")
    until(lambda: [name for _, name in form.models.options][:1] == ["first"])
    shown.set_state({"index": place})
    assert current().settings.model == form.value("model") == form.models.value == "sandbox-think"


def test_the_list_does_not_follow_the_order_of_the_server(form: FormView, stand_in: FakeServer) -> None:
    """Ollama gives models of the same second in another order each time."""
    shown = form.models
    before = [one["name"] for one in httpx.get(f"{stand_in.url}/api/tags").json()["models"]]
    copy(stand_in, before[0], "other")
    for name in (before[0], "other"):
        httpx.request("DELETE", f"{stand_in.url}/api/delete", json={"model": name}).raise_for_status()
        if name != "other":
            copy(stand_in, "other", name)
    after = [one["name"] for one in httpx.get(f"{stand_in.url}/api/tags").json()["models"]]
    assert (after != before, sorted(after)) == (True, sorted(before))
    form.type("connect_timeout", "3")
    until(lambda: not any(thread.name == "ollama-panel" for thread in threading.enumerate()))
    assert form.models is shown


def test_a_model_that_is_not_installed_is_named_at_once(form: FormView) -> None:
    """Without a check."""
    form.type("model", "sandbox-chta")
    until(lambda: "not installed on this server" in form.note("model"))


def test_a_missing_model_can_be_downloaded(form: FormView, stand_in: FakeServer) -> None:
    """With a button that names it and goes when it is there; cancelled, it goes on later; a failure is shown."""
    assert form.beside("model") is form.beside("embedding_model") is None
    form.type("model", "sandbox-mini")
    until(lambda: form.beside("model"))
    stand_in.delay = 0.02
    form.beside("model").click()
    until(lambda: " of 250 MB" in form.progress("model"))
    assert form.beside("model") is None
    form.click("Cancel")
    until(lambda: "Cancelled" in form.progress("model"))
    assert not form.offers("Cancel")
    stand_in.delay = 0
    form.beside("model").click()
    until(lambda: "sandbox-mini is installed" in form.progress("model"))
    until(lambda: form.beside("model") is None)
    assert "sandbox-mini" not in form.field("model").options  # where something may be typed just now
    form.type("seed", "1")
    assert "sandbox-mini" in form.field("model").options
    pulled = [body for _, path, body in stand_in.requests if path == "/api/pull"]
    assert pulled == [{"model": "sandbox-mini"}] * 2

    form.type("embedding_model", "sandbox-none")
    until(lambda: form.beside("embedding_model"))
    assert (form.beside("embedding_model").description, form.beside("embedding_model").tooltip) == (
        "Pull",
        "Let the server download sandbox-none",
    )
    form.beside("embedding_model").click()
    until(lambda: "pull-unknown" in form.progress("embedding_model"))
    current().configure({"language": "zh"})
    assert form.beside("embedding_model").description == "下载"
    assert "服务器" in form.progress("embedding_model")
    form.type("embedding_model", "sandbox-other")
    assert form.progress("embedding_model") == ""


def test_a_download_ends_with_the_form(form: FormView, stand_in: FakeServer) -> None:
    """The server stops."""
    stand_in.delay = 0.05
    form.type("model", "sandbox-mini")
    until(lambda: form.beside("model"))
    form.beside("model").click()
    until(lambda: " of 250 MB" in form.progress("model"))
    current().close()
    until(lambda: not any(thread.name == "ollama-panel" for thread in threading.enumerate()))


def test_a_late_answer_for_an_earlier_pick_is_dropped(form: FormView, stand_in: FakeServer) -> None:
    """The form shows what is known of the model that stands in it."""
    with Gate(stand_in.url) as gate:
        gate.shut()
        form.type("base_url", gate.host)
        form.type("model", "sandbox-embed")
        late = {thread for thread in threading.enumerate() if thread.name == "ollama-panel"}
        form.type("base_url", stand_in.url)
        form.type("model", "sandbox-vision")
        until(lambda: "detected: yes" in form.note("vision"))
        gate.open()
        until(lambda: not any(thread.is_alive() for thread in late))
    assert current().settings.model_type == "chat"
    assert "vision" in form.note("model")


def test_a_server_that_is_gone_takes_its_remarks_with_it(form: FormView) -> None:
    """Nothing is known of what is not there."""
    form.type("base_url", "http://127.0.0.1:1")
    until(lambda: "not known" in form.models_button)
    assert "Nothing answers at http://127.0.0.1:1" in form.note("base_url")
    assert "auto: detected from the server" in form.note("vision")
    form.type("seed", "1")
    assert form.field("model").options == ()
