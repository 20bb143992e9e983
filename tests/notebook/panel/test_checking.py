"""Check and Save without a front end: one check at a time, what a click repairs, and what is saved."""

from __future__ import annotations

import threading

import pytest
from ipywidgets import Widget

from ollama_magics.fake_server.server import FakeServer
from ollama_magics.notebook.panel import checking
from ollama_magics.notebook.panel.config_panel import Panel
from ollama_magics.secret import Secret
from ollama_magics.session.session import current
from ollama_magics.settings import profiles
from tests.browser.gate import Gate

from .conftest import until
from .form_view import FormView

MARK = "never tested"
ANYWAY = "Save anyway (unverified)"


def widgets() -> set[str]:
    """Return the names of all widgets of this process."""
    return set(Widget.get_manager_state()["state"])


def asked(server: FakeServer, path: str) -> int:
    """Return how often the server was asked for a path."""
    return [where for _, where, _ in server.requests].count(path)


def test_a_check_ends_before_the_model_is_asked_and_offers_to_go_on(form: FormView, stand_in: FakeServer) -> None:
    """The button loads the model, has it answer and proves what it can."""
    form.click("Check")
    until(lambda: form.repairs)
    assert "not asked yet" in form.report
    assert asked(stand_in, "/api/chat") == 0
    form.click("Ask the model")
    until(lambda: not form.is_checking and "not asked yet" not in form.report)
    assert asked(stand_in, "/api/chat") > 0
    assert form.repairs == []


def test_saving_asks_the_model_first(form: FormView, stand_in: FakeServer) -> None:
    """What passed is the profile default, and carries no mark."""
    form.click("Save")
    until(lambda: "saved as" in form.message)
    assert asked(stand_in, "/api/chat") > 0
    assert profiles.load("default")["model"] == "sandbox-chat"
    assert not profiles.is_unverified("default")
    assert (form.offers(ANYWAY), form.mark) == (False, "")


def test_a_refused_value_blocks_saving(form: FormView, stand_in: FakeServer) -> None:
    """Until it is mended; nothing is asked meanwhile."""
    form.type("context_length", "many")
    form.click("Save")
    assert "Context length is invalid" in form.message
    assert asked(stand_in, "/api/version") == 0
    assert profiles.names() == []
    form.type("context_length", "2k")
    form.type("max_tokens", "1k")
    form.click("Save")
    until(lambda: "saved as" in form.message)
    assert profiles.load("default")["context_length"] == 2048


def test_an_unreachable_server_has_no_suitable_model(form: FormView) -> None:
    """Whether one is named or not; what is said of a model comes from a server."""
    assert "the server has not listed" not in form.note("model")
    for model in ("sandbox-chat", ""):
        form.type("model", model)
        form.type("base_url", "http://127.0.0.1:1")
        until(lambda: form.note("model") == "the server has not listed its models")
        form.type("base_url", "http://127.0.0.1:2")


def test_an_unreachable_server_is_saved_on_request_only_and_marked(form: FormView, stand_in: FakeServer) -> None:
    """By a button that says what it does; a check that asks the model takes the mark off."""
    form.type("base_url", "http://127.0.0.1:1")
    form.click("Save")
    until(lambda: form.offers(ANYWAY))
    assert profiles.names() == []
    form.click(ANYWAY)
    until(lambda: MARK in form.mark)
    assert profiles.load("default")["base_url"] == "http://127.0.0.1:1"
    assert not form.offers(ANYWAY)
    form.type("base_url", stand_in.url)
    form.click("Save")
    until(lambda: form.mark == "")
    assert not profiles.is_unverified("default")


def test_a_stopped_save_is_kept_as_unverified_until_the_model_has_answered(form: FormView, stand_in: FakeServer) -> None:
    """The stop button is there while a check runs."""
    with Gate(stand_in.url) as gate:
        form.type("base_url", gate.host)
        gate.shut()
        form.click("Save")
        until(lambda: form.offers("Stop"))
        form.click("Stop")
        until(lambda: MARK in form.mark)
        assert "stopped; saved without verification" in form.message
        assert profiles.is_unverified("default")
        assert not form.offers("Stop")
        gate.open()
        form.click("Check")
        until(lambda: form.repairs)
        assert MARK in form.mark  # the model was not asked
        form.click("Ask the model")
        until(lambda: form.mark == "")
    assert not profiles.is_unverified("default")


def test_a_second_click_is_the_same_check(form: FormView, stand_in: FakeServer) -> None:
    """Save during a check that asks the model waits for its end and saves."""
    with Gate(stand_in.url) as gate:
        form.type("base_url", gate.host)
        form.click("Check")
        until(lambda: form.repairs)
        before = asked(stand_in, "/api/version")
        gate.shut()
        form.click("Ask the model")
        form.click("Check")
        form.click("Save")
        gate.open()
        until(lambda: "saved as" in form.message)
    assert asked(stand_in, "/api/version") == before + 1


def test_a_check_of_other_settings_is_dropped(form: FormView, stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its late report does not stand below a form that says something else, and nothing is saved."""
    monkeypatch.setattr(checking, "_HELD_BACK", 0)
    with Gate(stand_in.url) as gate:
        form.type("base_url", gate.host)
        gate.shut()
        form.click("Save")
        until(lambda: "✓" in form.report)
        form.type("base_url", "http://127.0.0.1:1")
        assert form.report == ""
        assert "changed during the check; not saved" in form.message
        gate.open()
        form.click("Check")
        until(lambda: not form.is_checking and "address-refused" in form.report)
    assert profiles.names() == []


def test_a_missing_model_is_mended_by_a_click_and_checked_again(form: FormView) -> None:
    """The buttons name the nearest that are installed."""
    form.type("model", "sandbox-vison")
    form.click("Check")
    until(lambda: form.repairs)
    form.click("Use sandbox-vision")
    assert form.value("model") == current().settings.model == "sandbox-vision"
    until(lambda: "Ask the model" in form.repairs)


def test_an_address_that_has_answered_is_set_by_a_click(form: FormView, stand_in: FakeServer) -> None:
    """The same port without TLS, for example; then the check is made anew."""
    form.type("base_url", stand_in.url.replace("http", "https"))
    form.click("Check")
    until(lambda: form.repairs)
    assert form.repairs == [f"Use {stand_in.url}"]
    form.click(f"Use {stand_in.url}")
    until(lambda: "Ask the model" in form.repairs)
    assert current().address.url == stand_in.url


def test_a_key_that_is_not_there_is_told_in_the_place_of_the_report(form: FormView) -> None:
    """The variable was named, and holds nothing."""
    form.type("api_key_env", "NOT_SET_ANYWHERE")
    form.click("Check")
    until(lambda: not form.is_checking and "NOT_SET_ANYWHERE" in form.report)


def test_the_end_of_the_session_ends_a_check(form: FormView, stand_in: FakeServer) -> None:
    """Its thread does not outlive it."""
    with Gate(stand_in.url) as gate:
        form.type("base_url", gate.host)
        gate.shut()
        form.click("Check")
        until(lambda: "✓" in form.report)
        current().close()
        until(lambda: not form.is_checking)
        until(lambda: not any(thread.name == "ollama-panel" for thread in threading.enumerate()))


# What arrives after the click was typed before it.


@pytest.mark.finding("C12")
def test_a_click_waits_for_the_fields(form: FormView, stand_in: FakeServer) -> None:
    """A text that the front end held back is checked and saved, too; one that is refused is not saved over."""
    with Gate(stand_in.url) as gate:
        form.type("base_url", gate.host)
        gate.shut()
        form.click("Save")
        form.type("context_length", "2k")
        form.type("max_tokens", "1k")
        gate.open()
        until(lambda: "saved as" in form.message)
        assert (profiles.load("default")["context_length"], profiles.load("default")["max_tokens"]) == (2048, 1024)
        gate.shut()
        form.click("Save")
        form.type("context_length", "many")
        gate.open()
        until(lambda: "Context length is invalid" in form.message)
    assert profiles.load("default")["context_length"] == 2048


@pytest.mark.finding("C12")
def test_a_click_waits_for_the_key(form: FormView, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its store takes."""
    begun, may_end = threading.Event(), threading.Event()
    hold = current().resolved.secrets.hold_key

    def slowly(key: Secret | None) -> None:
        begun.set()
        may_end.wait(20)
        hold(key)

    monkeypatch.setattr(current().resolved.secrets, "hold_key", slowly)
    monkeypatch.setattr(checking, "_HELD_BACK", 0)
    form.key.value = "sk-typed"
    assert begun.wait(20)
    form.click("Save")
    may_end.set()
    until(lambda: "saved as" in form.message)
    assert "key or password sent" in form.report


# The profile.


@pytest.mark.finding("A11")
def test_the_profile_in_use_is_shown_and_written(form: FormView, stand_in: FakeServer) -> None:
    """The others are offered, and a new name is one that Save writes."""
    profiles.save("gpu", {"base_url": stand_in.url, "model": "sandbox-vision", "seed": 5})
    current().resolved.unset(["base_url", "model"])
    assert form.profile.value == "default"
    form.profile.value = "gpu"
    until(lambda: form.value("seed") == "5")
    assert form.profile.options == ("gpu",)
    form.type("top_k", "7")
    form.click("Save")
    until(lambda: "gpu.toml" in form.message)
    assert profiles.load("gpu") == {"base_url": stand_in.url, "model": "sandbox-vision", "seed": 5, "top_k": 7}
    form.profile.value = "new"
    assert "Save writes it" in form.profile_note
    form.click("Save")
    until(lambda: "new.toml" in form.message)
    assert profiles.load("new") == profiles.load("gpu")
    assert profiles.names() == ["gpu", "new"]
    assert form.profile.options == ("gpu", "new")
    assert current().resolved.profile == form.profile.value == "new"


@pytest.mark.finding("A12")
def test_a_broken_profile_is_shown_in_red_and_stops_the_check(form: FormView, stand_in: FakeServer) -> None:
    """Until another one is chosen."""
    path, _ = profiles.save("gpu", {})
    path.write_text("broken")
    before = len(stand_in.requests)
    form.profile.value = "gpu"
    assert "could not be read" in form.profile_note
    form.click("Check")
    until(lambda: "profile-unreadable" in form.report)
    form.click("Save")
    until(lambda: form.offers(ANYWAY))
    assert len(stand_in.requests) == before
    path.unlink()
    form.click("Check")
    until(lambda: form.offers("Ask the model"))


@pytest.mark.finding("A13")
def test_the_address_of_a_sandbox_is_not_saved_by_the_form(form: FormView, stand_in: FakeServer) -> None:
    """It says so, and the profile is unverified."""
    current().resolved.sandboxes.add(stand_in.url)
    form.type("seed", "5")
    form.click("Save")
    until(lambda: "sandbox were not saved" in form.message)
    assert profiles.load("default") == {"seed": 5}
    until(lambda: MARK in form.mark)


# One form in a kernel.


@pytest.mark.finding("E8")
def test_a_frozen_form_leaves_no_widget_and_answers_nothing(stand_in: FakeServer) -> None:
    """Nor does a check leave the buttons of the check before it."""
    current().configure({"base_url": stand_in.url, "model": "sandbox-vison"})
    before = widgets()
    panel = Panel(current())
    view = FormView(panel)
    until(lambda: "not installed" in view.note("model"))
    sizes = set()
    for _ in range(3):
        view.click("Check")
        until(lambda: not view.is_checking and view.repairs)
        sizes.add(len(widgets()))
    assert len(sizes) == 1
    panel.freeze()
    panel.freeze()
    asked_before = len(stand_in.requests)
    current().configure({"model": "sandbox-chat", "base_url": f"{stand_in.url}/"})
    until(lambda: not any(thread.name == "ollama-panel" for thread in threading.enumerate()))
    assert len(stand_in.requests) == asked_before
    assert widgets() == before


@pytest.mark.finding("C19")
@pytest.mark.parametrize(
    ("address", "said"),
    [("http://127.0.0.1:1", "Nothing answers at http://127.0.0.1:1"), ("http://nowhere.invalid", "nowhere.invalid")],
)
def test_the_form_says_in_red_that_nobody_is_there(form: FormView, address: str, said: str) -> None:
    """Without a click, and no longer once somebody is."""
    good = form.value("base_url")
    form.type("base_url", address)
    until(lambda: form.is_red("base_url"))
    assert said in form.note("base_url")
    form.type("base_url", good)
    until(lambda: "Installed models (5)" in form.models_button)
    assert not form.is_red("base_url")


@pytest.mark.finding("C20")
def test_an_address_that_nobody_typed_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the field, in the table and in the check."""
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    view = FormView(Panel(current()))
    assert view.note("base_url").startswith("http://127.0.0.1:11434, the default")
    assert {name: source for name, _, source in current().described()}["base_url"] == "default"
    assert current().check_request().source == "default"
    Widget.close_all()
