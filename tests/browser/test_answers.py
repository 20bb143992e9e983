"""Answers in a notebook: how they grow, how they look when they are done, saved and reopened."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from ollama_magics.fake_server.server import FakeServer

from .conftest import Opening
from .gate import Gate
from .lab_notebook import Notebook

ASK = "%%ollama -m sandbox-chat\n"
# Everything that the answer of a cell ever looked like, as the page itself saw it.
WATCH = """
cell => {
    window.seen = [];
    const look = () => {
        const text = cell.querySelector('.ollama-magics')?.innerText;
        if (text && text !== window.seen.at(-1)) window.seen.push(text);
    };
    new MutationObserver(look).observe(cell, {subtree: true, childList: true, characterData: true});
}
"""
FOOTER = re.compile(r"sandbox-chat · \d+ tokens · \d+ tok/s · \d+\.\d s · first after \d+\.\d s · context [\d\s]+ of 4\s096")
RICH = "repeat after me: ## A heading\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- *one* `two`\n\n```python\nx = 1  # a number\n```\n"


def markup(notebook: Notebook) -> str:
    """Return the HTML of the answer in cell 1, as the page holds it."""
    # JupyterLab's table of contents may put its numbers into headings
    return notebook.answer(1).inner_html().replace('<span class="numbering-entry"></span>', "")


def test_an_answer_grows_and_ends_complete(opened: Opening, server: FakeServer) -> None:
    """The page shows several states, each longer than the one before, and last the whole with its figures."""
    notebook = opened(f"{ASK}repeat after me: " + " ".join(f"word{number}" for number in range(60)))
    notebook.cell(1).evaluate(WATCH)
    server.delay = 0.02
    notebook.run(1)
    expect(notebook.answer(1)).to_contain_text(FOOTER)
    seen = [state for state in notebook.page.evaluate("window.seen") if "word" in state]
    assert len(seen) >= 3
    assert re.search(r"sandbox-chat · about \d+ tokens · \d+ tok/s$", seen[-2])
    assert [len(state) for state in seen] == sorted(len(state) for state in seen)
    assert re.findall(r"word(\d+)", seen[-1]) == [str(number) for number in range(60)]


def test_a_saved_answer_is_one_output_that_looks_the_same_when_reopened(opened: Opening) -> None:
    """The file holds the HTML and the text of the last state, and no trace of the states before; a click selects its code."""
    notebook = opened(f"{ASK}{RICH}")
    notebook.run(1)
    notebook.answer(1).get_by_title("select the code").click()
    assert notebook.page.evaluate("String(getSelection())") == "x = 1  # a number\n"
    live = markup(notebook)
    (output,) = notebook.save()["cells"][1]["outputs"]
    assert output["output_type"] == "display_data"
    assert set(output["data"]) == {"text/html", "text/plain"}
    assert output["data"]["text/plain"][0] == "## A heading\n"
    notebook.reopen()
    expect(notebook.answer(1)).to_have_count(1)
    assert markup(notebook) == live
    expect(notebook.answer(1).locator("h2, table, li code, pre")).to_have_count(4)


def test_a_line_says_that_an_answer_is_waited_for_until_it_comes(opened: Opening, gate: Gate) -> None:
    """The line ticks while the server is silent, and the first words take its place."""
    notebook = opened(f"%ollama_config --base-url {gate.host}", f"{ASK}hello", f"{ASK}repeat after me: here I am")
    notebook.run(1)
    notebook.run(2)  # from now on the model is known, so that the only request is the one for the answer
    gate.shut()
    notebook.cell(3).evaluate(WATCH)
    notebook.start(3)
    expect(notebook.answer(3)).to_have_text(re.compile(r"^sandbox-chat · waiting · \d+ s$"))
    gate.open()
    notebook.wait(3)
    expect(notebook.answer(3)).to_contain_text("here I am")
    expect(notebook.answer(3)).not_to_contain_text("waiting")
    assert notebook.page.evaluate("window.seen[0]") == "sandbox-chat · waiting"


def test_the_stop_button_keeps_the_text_so_far_and_stops_run_all(opened: Opening) -> None:
    """One line says so, without a traceback, and the cells below do not run."""
    notebook = opened(f"{ASK}never stop", "print('ran')")
    notebook.start_all()
    expect(notebook.answer(1)).to_contain_text("and on and on")
    notebook.interrupt()
    notebook.wait_all()
    answer, error = notebook.output(1).all_inner_texts()
    assert answer.startswith("and on and on")
    assert "the answer is not complete" in answer
    assert error.splitlines() == ["Interrupted; the text so far is in _ollama.  [interrupted-answer-kept]"]
    assert notebook.prompt(2) == "[ ]:"
    assert notebook.text(2) == ""


def test_an_unknown_model_is_an_error_of_three_short_lines(opened: Opening) -> None:
    """What is wrong, what there is, what to type; and Run All stops there."""
    notebook = opened("%%ollama -m nope\nhello", "print('ran')")
    notebook.start_all()
    notebook.wait_all()
    what, installed, remedy = notebook.text(1).strip().splitlines()  # of the waiting line an empty output is left
    assert what == "ModelProblem nope is not installed on 127.0.0.1."
    assert "sandbox-chat" in installed
    assert remedy.startswith("%ollama_pull nope")
    assert notebook.prompt(2) == "[ ]:"


def test_an_error_before_the_first_word_takes_the_place_of_the_waiting_line(opened: Opening) -> None:
    """Nothing but the error is left to read."""
    words = "far more words than the context can hold " * 60  # which a newer server makes at least 256 tokens long
    notebook = opened(f"%%ollama -m sandbox-chat --context 4\n{words}")
    notebook.run(1)
    lines = notebook.text(1).strip().splitlines()
    assert lines[0] == "PromptTooLong The prompt is longer than the context of sandbox-chat."
    assert lines[-1].endswith("[prompt-too-long]")
    assert not any("waiting" in line or "not complete" in line for line in lines)


def test_a_cell_that_runs_again_replaces_its_turn(opened: Opening) -> None:
    """Two cells are turns one and two; the first, run again, is turn one again and makes the second void."""
    notebook = opened(f"{ASK}first", f"{ASK}second")
    notebook.run(1)
    notebook.run(2)
    expect(notebook.answer(1)).to_contain_text("This is turn 1.")
    expect(notebook.answer(2)).to_contain_text("This is turn 2.")
    notebook.run(1)
    expect(notebook.answer(1)).to_contain_text("This is turn 1.")
    expect(notebook.answer(1)).to_contain_text("later turns of the conversation were removed (1)")
    notebook.run(2)
    expect(notebook.answer(2)).to_contain_text("This is turn 2.")


# The contrast of every text of an answer with what lies behind it, as WCAG 2 reckons it (1 to 21).
CONTRAST = """
answer => {
    const parse = colour => (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const over = ([r, g, b, a = 1], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
    const behind = element => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
        return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
    };
    const light = colour => {
        const [r, g, b] = colour.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = {};
    for (const element of answer.querySelectorAll('*')) {
        const own = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim()).join('');
        if (!own) continue;
        const back = behind(element), front = over(parse(getComputedStyle(element).color), back);
        const [low, high] = [light(front), light(back)].sort((a, b) => a - b);
        found[own] = (high + 0.05) / (low + 0.05);
    }
    return found;
}
"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_an_answer_can_be_read_in_both_themes(opened: Opening, theme: str) -> None:
    """Text, table, code and figures stand out from what lies behind them."""
    notebook = opened(f"{ASK}{RICH}")
    notebook.run(1)
    with notebook.theme(theme):
        contrasts = notebook.answer(1).evaluate(CONTRAST)
    assert len(contrasts) > 8
    assert {text: round(contrast, 1) for text, contrast in contrasts.items() if contrast < 3} == {}
