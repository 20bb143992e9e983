"""Answers are shown as JupyterLab shows Markdown, but for differences that are listed with their reason."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from .conftest import Opening
from .corpus import ANSWERS, INTENDED

SHOW = """from IPython.display import HTML, Markdown, display
from ollama_magics.render import answer, markdown
for text in texts:
    display(Markdown(text))
    display(HTML(answer.answer_html(markdown.to_html(text))))"""
STRUCTURE = """
shown => {
    const page = shown.cloneNode(true);
    const formulas = page.querySelectorAll('mjx-container').length;
    const errors = page.querySelectorAll('mjx-merror, [data-mjx-error], merror').length;
    for (const formula of page.querySelectorAll('mjx-container')) formula.replaceWith('∑');
    for (const added of page.querySelectorAll('.jp-InternalAnchorLink, small')) added.remove();
    const flat = text => text.replace(/\\s+/g, ' ').trim();
    const texts = names => [...page.querySelectorAll(names)].map(e => flat(e.textContent)).filter(text => text);
    const shape = list => list.localName[0] + '(' + [...list.children].map(
        item => '.' + [...item.querySelectorAll('ul, ol')]
            .filter(inner => inner.parentElement.closest('li') === item).map(shape).join('')
    ).join('') + ')';
    return {
        text: flat(page.innerText ?? page.textContent).replace(/ /g, ''),
        lists: [...page.querySelectorAll('ul, ol')].filter(list => !list.parentElement.closest('ul, ol')).map(shape),
        cells: [...page.querySelectorAll('tr')].map(
            row => [...row.children].map(cell => flat(cell.textContent).replace(/ /g, ''))
        ),
        strong: texts('strong, b'), emphasis: texts('em, i'), struck: texts('s, del'), code: texts('code'),
        scripts: texts('sub, sup, kbd, u, mark, summary'),
        breaks: page.querySelectorAll('br').length,
        links: [...page.querySelectorAll('a[href]')].map(link => link.href),
        formulas, errors,
    };
}
"""


@pytest.mark.finding("B1", "B2", "B3", "B4", "B5")
def test_answers_look_like_markdown_of_jupyterlab(opened: Opening, record_property: Any) -> None:
    """Never worse: each difference is intended, and no formula of ours is an error."""
    notebook = opened(f"texts = {list(ANSWERS.values())!r}", SHOW)
    notebook.run(1)
    notebook.run(2)
    outputs = notebook.cell(2).locator(".jp-OutputArea-output")
    expect(outputs).to_have_count(2 * len(ANSWERS))
    expect(outputs.locator("mjx-container").last).to_be_attached()
    notebook.settle()
    notebook.page.wait_for_timeout(1500)  # formulas that need a part of MathJax that is loaded late
    shown = [output.evaluate(STRUCTURE) for output in outputs.all()]

    errors, differences = {}, dict[tuple[str, str], tuple[Any, Any]]()
    for name, theirs, ours in zip(ANSWERS, shown[::2], shown[1::2], strict=True):
        if ours["errors"]:
            errors[name] = ours["text"]
        differences |= {(name, part): (ours[part], theirs[part]) for part in theirs if ours[part] != theirs[part]}
    for (name, part), (our, their) in differences.items():
        print(f"{name} · {part}\n    ours        {our}\n    JupyterLab  {their}")  # noqa: T201 - the table
    record_property("figure", f"{len(ANSWERS)} answers beside JupyterLab, {len(differences)} intended differences")
    assert errors == {}
    intended = {(name, part) for name, (parts, _) in INTENDED.items() for part in parts}
    assert {key: both for key, both in differences.items() if key not in intended} == {}
    assert intended <= set(differences)
