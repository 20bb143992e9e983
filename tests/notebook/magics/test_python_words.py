"""The same trouble in a magic and in Python: each names what to type there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import LINES, Close, FaultServer, Lines, Send, fine

if TYPE_CHECKING:
    from tests.notebook.magics.conftest import Shell

CASES = {
    "cut": (
        "%ollama -f json --max-tokens 2 Ada",
        "om.chat('Ada', format='json', max_tokens=2).text",
        "max_tokens",
        "--max-tokens",
    ),
    "no model": ("%ollama -m nope hi", "om.chat('hi', model='nope')", "nope", "nope"),
    "empty": ("%ollama --new", "om.chat(' ')", 'om.chat("What is Python?")', "%ollama What is Python?"),
    "nothing to continue": (
        "%ollama --chat a --continue",
        "om.chat('', conversation='a', go_on=True)",
        "go_on=True",
        "--continue",
    ),
    "no value": ("%ollama --once --quiet hi\n_ollama.value", "om.chat('hi').value", 'format="json"', 'format="json"'),
}


@pytest.mark.finding("B13")
@pytest.mark.parametrize(("magic", "python", "there", "here"), CASES.values(), ids=CASES)
def test_an_error_names_what_to_type_where_it_is_raised(shell: Shell, magic: str, python: str, there: str, here: str) -> None:
    """In a magic an option, in Python a parameter; a reply of a magic is Python's as well."""
    shell.run("import ollama_magics as om")
    for source, words, others in ((python, there, ("_ollama", "--", "%ollama")), (magic, here, ("error.partial",))):
        error, shown = shell.fail(source)
        assert words in str(error)
        assert words in shown.replace("\x1b", "")
        assert not [other for other in others if other in str(error) and other not in words]


@pytest.mark.finding("B13")
def test_the_kept_text_is_named_in_both(shell: Shell) -> None:
    """And is there."""
    with FaultServer(fine(chat=[Send(LINES), Lines(3), Close()])) as server:
        shell.run(f"import ollama_magics as om\n%ollama_config --base-url {server.url}")
        error, _ = shell.fail("%ollama hello")
        assert "the text so far is in _ollama.text; run the cell again" in str(error)
        assert shell.names["_ollama"].text == "0 1 2 "
        error, _ = shell.fail("om.chat('hello').text")
        assert "the text so far is in error.partial.text; run it again" in str(error)
        assert error.partial.text == "0 1 2 "  # type: ignore[attr-defined]


@pytest.mark.finding("B13")
def test_the_line_under_an_answer_does_so_too(shell: Shell) -> None:
    """A cut answer of om.chat is shown with the parameter."""
    shell.run("import ollama_magics as om")
    assert "raise with --max-tokens" in shell.run("%ollama --max-tokens 2 Tell me more")
    shell.run("reply = om.chat('Tell me more', max_tokens=2)")
    html = shell.names["reply"]._repr_mimebundle_()[0]["text/html"]
    assert "raise with max_tokens=" in html
    assert "--" not in html.partition("raise with")[2][:40]
