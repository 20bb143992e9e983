"""The form in a notebook, clicked and typed into."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from ollama_magics import messages
from ollama_magics.diagnosis.stages import DEEP_STAGES, PLAIN_STAGES
from ollama_magics.fake_server.server import FakeServer

from .conftest import Opening
from .gate import Gate
from .lab_notebook import Notebook
from .the_form import button, choose, chosen, field, fill, note, signs

RUN = [messages.label(f"stage_{name}") for name in PLAIN_STAGES if name not in ("name", "proxy", "encryption")]
STAGES = [*RUN, ", ".join(messages.label(f"stage_{name}") for name in DEEP_STAGES).capitalize()]
GOOD = [*["✓"] * len(RUN), "–"]  # a plain check ends before the model is loaded
# The pixels that each label lacks for its text.
MISSING = "labels => labels.map(label => label.scrollWidth - label.clientWidth)"
# A cell that keeps the kernel busy until the test lets it go: nobody has to guess how long a check takes.
BUSY = """
import pathlib, time
print('busy')
while not pathlib.Path('go').exists(): time.sleep(0.01)
"""


def check_button(notebook: Notebook) -> Locator:
    """Return the button of the form that starts a check."""
    return button(notebook, "Check")


@pytest.fixture(scope="module")
def notebook(shared: Opening) -> Notebook:
    """Give the notebook of this module."""
    return shared("%ollama_config", "%ollama_config --show", BUSY, "%ollama_config --model sandbox-vision --context 2k")


@pytest.fixture
def form(notebook: Notebook) -> Notebook:
    """Give the notebook with a new form in cell 1 and default settings."""
    notebook.run(0)
    notebook.run(1)
    return notebook


def test_the_form_shows_its_fields_and_its_button(form: Notebook) -> None:
    """Every setting of the form has a field with its whole name, and the check a button."""
    for label in [
        "Model name",
        "Base URL",
        "API key (optional)",
        "Context length",
        "Upper bound for max tokens",
        "Embedding model",
    ]:
        expect(field(form, label)).to_be_visible()
    for label, word in {
        "Model type": "Chat",
        "Vision support": "auto",
        "Function call support": "auto",
        "Language": "auto",
    }.items():
        expect(chosen(form, label)).to_have_text(word)
    expect(field(form, "Context length")).to_have_value("4096")
    expect(check_button(form)).to_be_enabled()
    assert set(form.cell(1).locator(".widget-label").evaluate_all(MISSING)) == {0}


def test_the_check_goes_green_while_a_cell_keeps_the_kernel_busy(form: Notebook, gate: Gate) -> None:
    """A check that was clicked before the cell paints its report while that cell still runs."""
    fill(form, "Model name", "sandbox-chat")
    fill(form, "Base URL", gate.host)
    expect(note(form, "Base URL")).to_contain_text("used")
    gate.shut()
    (form.folder / "go").unlink(missing_ok=True)
    check_button(form).click()
    expect(signs(form).nth(1)).to_have_text("✓")  # the connection stands, and the server does not answer yet
    form.start(3)
    expect(form.output(3)).to_have_text("busy")
    gate.open()
    expect(signs(form)).to_have_text(GOOD)
    assert form.prompt(3) == "[*]:"
    (form.folder / "go").touch()
    form.wait(3)


def test_a_click_while_a_cell_runs_is_neither_lost_nor_doubled(form: Notebook, server: FakeServer) -> None:
    """It takes effect when the kernel next reads its messages, at once or after the cell."""
    (form.folder / "go").unlink(missing_ok=True)
    fill(form, "Model name", "sandbox-chat")
    expect(note(form, "Model name")).to_contain_text("completion")
    before = len(server.requests)
    form.start(3)
    expect(form.output(3)).to_have_text("busy")
    check_button(form).click()
    (form.folder / "go").touch()
    form.wait(3)
    expect(signs(form)).to_have_text(GOOD)
    assert [path for _, path, _ in server.requests[before:]].count("/api/version") == 1


def test_the_stages_are_named_and_timed(form: Notebook) -> None:
    """Each row of the report has its name, and its milliseconds in the last column."""
    fill(form, "Model name", "sandbox-chat")
    check_button(form).click()
    expect(signs(form)).to_have_text(GOOD)
    expect(form.cell(1).locator("tr > td:nth-child(2)")).to_have_text(STAGES)
    expect(form.cell(1).locator("tr > td:last-child")).to_have_text([*[re.compile(r"^\d+ ms$")] * len(RUN), ""])


def test_a_second_click_during_a_check_starts_no_second_one(form: Notebook, gate: Gate, server: FakeServer) -> None:
    """However often the button is pressed, the server is asked once."""
    fill(form, "Model name", "sandbox-chat")
    fill(form, "Base URL", gate.host)
    expect(note(form, "Base URL")).to_contain_text("used")
    before = len(server.requests)
    gate.shut()
    check_button(form).evaluate("button => { button.click(); button.click(); }")
    form.run(2)  # behind both clicks in the queue of the kernel
    gate.open()
    expect(signs(form)).to_have_text(GOOD)
    expect(check_button(form)).to_be_enabled()
    assert [path for _, path, _ in server.requests[before:]].count("/api/version") == 1


def test_a_check_that_fails_says_what_to_type(form: Notebook) -> None:
    """Where nothing listens, the report has its cross, the stages after it, a command and a code."""
    fill(form, "Base URL", "127.0.0.1:1")
    expect(note(form, "Base URL")).to_contain_text("127.0.0.1:1")
    check_button(form).click()
    expect(signs(form)).to_have_text(["✓", "✗", "–"])
    expect(form.output(1)).to_contain_text("Nothing answers at http://127.0.0.1:1.")
    expect(form.output(1)).to_contain_text("ollama serve")
    expect(form.output(1)).to_contain_text("address-refused")


def test_a_wrong_number_is_refused_beside_its_field(form: Notebook) -> None:
    """The reason stands in the same row, and the setting stays what it was."""
    fill(form, "Context length", "many")
    expect(note(form, "Context length")).to_contain_text("'many' is not a valid value")
    expect(note(form, "Context length")).to_contain_text("A whole number of tokens is needed")
    form.run(2)
    assert re.search(r"Context length\s+4096\s", form.text(2))


def test_a_number_of_tokens_is_explained_beside_its_field(form: Notebook) -> None:
    """8k is 8192, and the person sees it."""
    fill(form, "Context length", "8k")
    expect(note(form, "Context length")).to_contain_text("8192 tokens, sent as num_ctx")
    form.run(2)
    assert re.search(r"Context length\s+8192\s", form.text(2))


def test_an_address_is_explained_beside_its_field(form: Notebook) -> None:
    """What was typed, what is used instead, and why."""
    fill(form, "Base URL", "localhost:11434/v1/")
    expect(note(form, "Base URL")).to_contain_text("typed localhost:11434/v1/ → used http://localhost:11434")


def test_an_address_that_cannot_be_used_is_refused_beside_its_field(form: Notebook) -> None:
    """The reason stands in the same row."""
    fill(form, "Base URL", "localhost:99999")
    expect(note(form, "Base URL")).to_contain_text("99999 is not a port number.")


def test_the_form_follows_a_setting_that_a_line_of_the_notebook_changes(form: Notebook) -> None:
    """A form that showed one model while another is in force would lie."""
    form.run(4)
    expect(field(form, "Model name")).to_have_value("sandbox-vision")
    expect(field(form, "Context length")).to_have_value("2048")
    expect(note(form, "Context length")).to_contain_text("2048 tokens, sent as num_ctx")


def test_the_form_speaks_the_language_that_is_chosen_in_it(form: Notebook) -> None:
    """Labels change at once, and back."""
    choose(form, "Language", "中文")
    expect(field(form, "模型名称")).to_be_visible()
    expect(chosen(form, "模型类型")).to_have_text("对话")
    expect(note(form, "模型上下文长度")).to_contain_text("作为 num_ctx 发送")
    button(form, "检查").click()
    expect(form.output(1)).to_contain_text("尚未检查")
    choose(form, "语言", "English")
    expect(field(form, "Model name")).to_be_visible()
