"""Check and Save without a front end: one check at a time, what a click repairs, and what is saved."""

from __future__ import annotations

import html

from ipywidgets import Button

from ollama_magics.fake_server.server import FakeServer
from ollama_magics.notebook.panel.form import Panel
from ollama_magics.session.session import current
from ollama_magics.settings import profiles
from tests.browser.gate import Gate

from .conftest import until

MARK = "never tested"


def offers(panel: Panel) -> dict[str, Button]:
    """Return the buttons under the report by their texts."""
    return {button.description: button for button in panel._checking.offers.children}


def ended(panel: Panel) -> bool:
    """Return whether no check is running."""
    return panel._checking._run is None and not panel._checking.check.disabled


def asked(server: FakeServer, path: str) -> int:
    """Return how often the server was asked for a path."""
    return [where for _, where, _ in server.requests].count(path)


def test_a_check_ends_before_the_model_is_asked_and_offers_to_go_on(panel: Panel, stand_in: FakeServer) -> None:
    """The button loads the model, has it answer and proves what it can."""
    panel._checking.check.click()
    until(lambda: offers(panel))
    assert "not asked yet" in panel._checking.report.value
    assert asked(stand_in, "/api/chat") == 0
    offers(panel)["Ask the model"].click()
    until(lambda: ended(panel) and "not asked yet" not in panel._checking.report.value)
    assert asked(stand_in, "/api/chat") > 0
    assert offers(panel) == {}


def test_saving_asks_the_model_first(panel: Panel, stand_in: FakeServer) -> None:
    """What passed is the profile default, and carries no mark."""
    panel._saving.save.click()
    until(lambda: "saved as" in panel._said.value)
    assert asked(stand_in, "/api/chat") > 0
    assert profiles.load("default")["model"] == "sandbox-chat"
    assert not profiles.is_unverified("default")
    assert (panel._saving.anyway.layout.display, panel._saving.mark.value) == ("none", "")


def test_a_refused_value_blocks_saving(panel: Panel, stand_in: FakeServer) -> None:
    """Until it is mended; nothing is asked meanwhile."""
    panel._rows["context_length"].field.value = "many"
    panel._saving.save.click()
    assert "Context length is invalid" in panel._said.value
    assert asked(stand_in, "/api/version") == 0
    assert profiles.names() == []
    panel._rows["context_length"].field.value = "2k"
    panel._rows["max_tokens"].field.value = "1k"
    panel._saving.save.click()
    until(lambda: "saved as" in panel._said.value)
    assert profiles.load("default")["context_length"] == 2048


def test_an_unreachable_server_is_saved_on_request_only_and_marked(panel: Panel, stand_in: FakeServer) -> None:
    """By a button that says what it does; a check that asks the model takes the mark off."""
    panel._rows["base_url"].field.value = "http://127.0.0.1:1"
    panel._saving.save.click()
    until(lambda: panel._saving.anyway.layout.display == "")
    assert profiles.names() == []
    assert panel._saving.anyway.description == "Save anyway (unverified)"
    panel._saving.anyway.click()
    until(lambda: MARK in panel._saving.mark.value)
    assert profiles.load("default")["base_url"] == "http://127.0.0.1:1"
    assert panel._saving.anyway.layout.display == "none"
    panel._rows["base_url"].field.value = stand_in.url
    panel._saving.save.click()
    until(lambda: panel._saving.mark.value == "")
    assert not profiles.is_unverified("default")


def test_a_stopped_save_is_kept_as_unverified_until_the_model_has_answered(panel: Panel, stand_in: FakeServer) -> None:
    """The stop button is there while a check runs."""
    with Gate(stand_in.url) as gate:
        panel._rows["base_url"].field.value = gate.host
        gate.shut()
        panel._saving.save.click()
        until(lambda: panel._checking.stop.layout.display == "")
        panel._checking.stop.click()
        until(lambda: MARK in panel._saving.mark.value)
        assert "stopped; saved without verification" in panel._said.value
        assert profiles.is_unverified("default")
        assert panel._checking.stop.layout.display == "none"
        gate.open()
        panel._checking.check.click()
        until(lambda: offers(panel))
        assert MARK in panel._saving.mark.value  # the model was not asked
        offers(panel)["Ask the model"].click()
        until(lambda: panel._saving.mark.value == "")
    assert not profiles.is_unverified("default")


def test_a_second_click_is_the_same_check(panel: Panel, stand_in: FakeServer) -> None:
    """Save during a check that asks the model waits for its end and saves."""
    with Gate(stand_in.url) as gate:
        panel._rows["base_url"].field.value = gate.host
        gate.shut()
        panel._checking.ask_model.click()
        panel._checking.check.click()
        panel._saving.save.click()
        gate.open()
        until(lambda: "saved as" in panel._said.value)
    assert asked(stand_in, "/api/version") == 1


def test_a_check_of_other_settings_is_dropped(panel: Panel, stand_in: FakeServer) -> None:
    """Its late report does not stand below a form that says something else, and nothing is saved."""
    with Gate(stand_in.url) as gate:
        panel._rows["base_url"].field.value = gate.host
        gate.shut()
        panel._saving.save.click()
        until(lambda: "✓" in panel._checking.report.value)
        panel._rows["base_url"].field.value = "http://127.0.0.1:1"
        assert panel._checking.report.value == ""
        assert "changed during the check; not saved" in panel._said.value
        gate.open()
        panel._checking.check.click()
        until(lambda: ended(panel) and "address-refused" in panel._checking.report.value)
    assert profiles.names() == []


def test_a_missing_model_is_mended_by_a_click_and_checked_again(panel: Panel) -> None:
    """The buttons name the nearest that are installed."""
    panel._rows["model"].field.value = "sandbox-vison"
    panel._checking.check.click()
    until(lambda: offers(panel))
    offers(panel)["Use sandbox-vision"].click()
    assert panel._rows["model"].field.value == current().settings.model == "sandbox-vision"
    until(lambda: "Ask the model" in offers(panel))


def test_an_address_that_has_answered_is_set_by_a_click(panel: Panel, stand_in: FakeServer) -> None:
    """The same port without TLS, for example; then the check is made anew."""
    panel._rows["base_url"].field.value = stand_in.url.replace("http", "https")
    panel._checking.check.click()
    until(lambda: offers(panel))
    assert list(offers(panel)) == [f"Use {stand_in.url}"]
    offers(panel)[f"Use {stand_in.url}"].click()
    until(lambda: "Ask the model" in offers(panel))
    assert current().address.url == stand_in.url


def test_a_key_that_is_not_there_is_told_in_the_place_of_the_report(panel: Panel) -> None:
    """The variable was named, and holds nothing."""
    panel._rows["api_key_env"].field.value = "NOT_SET_ANYWHERE"
    panel._checking.check.click()
    until(lambda: ended(panel) and "NOT_SET_ANYWHERE" in html.unescape(panel._checking.report.value))


def test_the_end_of_the_session_ends_a_check(panel: Panel, stand_in: FakeServer) -> None:
    """Its thread does not outlive it."""
    with Gate(stand_in.url) as gate:
        panel._rows["base_url"].field.value = gate.host
        gate.shut()
        panel._checking.check.click()
        until(lambda: "✓" in panel._checking.report.value)
        current().close()
        until(lambda: panel._checking._run is None)
