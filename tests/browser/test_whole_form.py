"""The whole form from the first field to Save: by mouse, by keyboard, in both languages, on the stand-in and a real Ollama."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, WebSocket, expect

from ollama_magics import messages
from ollama_magics.diagnosis.stages import DEEP_STAGES, PLAIN_STAGES
from ollama_magics.fake_server.server import FakeServer

from .conftest import Opening
from .lab_notebook import Notebook
from .lab_server import Lab
from .the_form import button, choose, field, fill, label, note, signs

CANARY = "sk-canary-5f1e"
RUN = {*PLAIN_STAGES, *DEEP_STAGES} - {"name", "proxy", "encryption"}
ALL_GOOD = ["✓"] * len(RUN)  # the model was loaded, has answered, and has proved what it can do


class Frames:
    """What goes one way between the browser and the kernels."""

    def __init__(self) -> None:
        self._seen: list[bytes] = []

    def take(self, frame: str | bytes) -> None:
        """Keep it."""
        self._seen.append(frame.encode() if isinstance(frame, str) else frame)

    def count(self, text: str) -> int:
        """Return how many of them hold a text."""
        return sum(text.encode() in frame for frame in self._seen)


@dataclass(frozen=True)
class FormInput:
    """What goes into the form, in which language."""

    language: str
    url: str
    model: str

    def label(self, setting: str) -> str:
        """Return the label of a field."""
        return label(setting, self.language)

    @property
    def yes(self) -> str:
        """The word that says so."""
        return "yes" if self.language == "en" else "是"

    def phrase(self, key: str) -> str:
        """Return what a button says."""
        return messages.phrase(key, self.language, count="")


@pytest.fixture(scope="module")
def notebook(shared: Opening) -> Notebook:
    """Give the notebook of this module."""
    return shared("%ollama_config", "%ollama_config --language zh")


@pytest.fixture
def saved(lab: Lab) -> Iterator[Callable[[], dict[str, Any]]]:
    """Give a function that reads the saved profile; it is gone in the end, as other notebooks would read it."""
    path = lab.profiles / "default.toml"
    yield lambda: tomllib.loads(path.read_text())
    path.unlink(missing_ok=True)


@pytest.fixture
def seeing(server: FakeServer, request: pytest.FixtureRequest) -> Callable[[str], tuple[str, str]]:
    """Give a function that returns the address of a server and a model of it that sees."""

    def chosen(where: str) -> tuple[str, str]:
        return (server.url, "sandbox-vision") if where == "stand-in" else (request.getfixturevalue("real_url"), "colours")

    return chosen


def by_mouse(form: Notebook, entries: FormInput) -> None:
    """Click into everything; the model is chosen in the list of what is installed."""
    type_at(form, "base_url", entries, entries.url)
    type_at(form, "api_key", entries, CANARY)
    form.cell(1).get_by_role("button", name=re.compile(entries.phrase("installed_models")[:6])).click()
    form.cell(1).locator("option", has_text=re.compile(rf"^{entries.model}\s")).click()
    type_at(form, "context_length", entries, "2k")
    type_at(form, "max_tokens", entries, "1,024")
    choose(form, entries.label("vision"), entries.yes)
    button(form, f"▸ {entries.phrase('more')}").click()
    type_at(form, "seed", entries, "7")
    button(form, entries.phrase("save")).click()


def type_at(form: Notebook, setting: str, entries: FormInput, text: str) -> None:
    """Click into a field, whose text is selected by that, and type."""
    field(form, entries.label(setting)).click(click_count=3)
    form.page.keyboard.type(text)


def by_keyboard(form: Notebook, entries: FormInput) -> None:
    """Touch nothing but the keyboard after the first field."""
    field(form, entries.label("model")).focus()
    form.page.keyboard.type(entries.model)
    walk(form, field(form, entries.label("base_url")), entries.url)
    walk(form, field(form, entries.label("api_key")), CANARY)
    walk(form, field(form, entries.label("context_length")), "2k")
    walk(form, field(form, entries.label("max_tokens")), "1,024")
    walk(form, form.cell(1).get_by_role("button", name=entries.yes, exact=True).first)
    form.page.keyboard.press("Space")
    walk(form, button(form, f"▸ {entries.phrase('more')}"))
    form.page.keyboard.press("Enter")
    expect(field(form, entries.label("seed"))).to_be_visible()
    walk(form, field(form, entries.label("seed")), "7")
    walk(form, button(form, entries.phrase("save")))
    form.page.keyboard.press("Space")


def walk(form: Notebook, goal: Locator, text: str = "") -> None:
    """Press Tab until the goal has the focus, and type over what is in it."""
    for _ in range(40):
        form.page.keyboard.press("Tab")
        if goal.evaluate("element => element === document.activeElement"):
            break
    else:
        pytest.fail(f"Tab does not lead to {goal}")
    if text:
        form.page.keyboard.press("Control+a")
        form.page.keyboard.type(text)


@pytest.mark.parametrize(
    ("fill_in", "case"),
    [
        (by_mouse, ("en", "stand-in")),
        (by_keyboard, ("zh", "stand-in")),
        (by_mouse, ("zh", "real")),
        (by_keyboard, ("en", "real")),
    ],
)
def test_the_form_is_filled_proved_and_saved(
    notebook: Notebook,
    saved: Callable[[], dict[str, Any]],
    seeing: Callable[[str], tuple[str, str]],
    fill_in: Callable[[Notebook, FormInput], None],
    case: tuple[str, str],
) -> None:
    """What was typed stands in the profile, but for the key; the model was asked, and the form says what it can."""
    language, where = case
    url, model = seeing(where)
    entries = FormInput(language, url, model)
    notebook.run(0)
    if language != "en":
        notebook.run(2)
    notebook.run(1)
    fill_in(notebook, entries)
    expect(signs(notebook)).to_have_text(ALL_GOOD)
    expect(notebook.output(1)).to_contain_text("default.toml")
    expect(note(notebook, entries.label("model"))).to_contain_text(messages.capability("vision", language))
    expect(note(notebook, entries.label("vision"))).to_have_text(entries.phrase("yours"))
    expect(field(notebook, entries.label("api_key"))).to_have_value("")
    found = saved()
    assert "unverified" not in found
    wanted = {"base_url": url, "model": model, "context_length": 2048, "max_tokens": 1024, "vision": "yes", "seed": 7}
    assert {name: value for name, value in found["settings"].items() if name != "language"} == wanted
    assert CANARY not in str(found)


def test_a_typed_secret_is_in_no_saved_notebook_and_in_no_message_of_the_kernel(page: Page, opened: Opening) -> None:
    """The browser sends it once; then it is in nothing that goes back, and in no widget, which the file holds all of."""
    sent, received = Frames(), Frames()

    def listen(socket: WebSocket) -> None:
        socket.on("framesent", sent.take)
        socket.on("framereceived", received.take)

    page.on("websocket", listen)
    form = opened("%ollama_config", "%ollama_config --show")
    form.run(1)
    fill(form, "API key (optional)", CANARY)
    expect(form.output(1)).to_contain_text("API key: set")
    expect(field(form, "API key (optional)")).to_have_value("")
    fill(form, "Base URL", f"http://me:{CANARY}@127.0.0.1:1")
    expect(field(form, "Base URL")).to_have_value("http://••••@127.0.0.1:1")
    button(form, "▸ More").click()
    fill(form, "Headers", f"X-Token: {CANARY}")
    expect(field(form, "Headers")).to_have_value("")
    button(form, "Check").click()
    expect(signs(form)).to_have_text(["✓", "✗", "–"])
    form.run(2)
    file = json.dumps(form.save(), ensure_ascii=False)
    page.remove_listener("websocket", listen)
    assert "PasswordModel" in file  # so the state of the widgets is in it
    assert "••••@127.0.0.1:1" in file
    assert CANARY not in file
    assert sent.count(CANARY) >= 3
    assert received.count("127.0.0.1:1") > 0
    assert received.count(CANARY) == 0
