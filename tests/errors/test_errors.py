"""The family of errors: every code is told whole, raised somewhere, and given the facts that its text needs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import ollama_magics
from ollama_magics import errors, messages
from ollama_magics.errors import EmbeddingProblem, Interrupted, OllamaMagicsError, PromptTooLong, RequestRefused

PACKAGE = Path(ollama_magics.__file__).parent
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CODES = list(messages._ERRORS["en"])
CODE = re.compile(f"[\"']({'|'.join(CODES)})[\"']")
SHOWN = [code for code in CODES if not code.startswith("interrupted-")]  # an interrupt is one line
NEVER_FACTS = {"debug", "rows"}  # arguments of the constructors that no text shows
# What some error classes and the reply add themselves; **facts holds these three.
ADDED = {
    code: {"characters"}
    for code in ("stream-incomplete", "model-stuck", "stream-error", "stream-stalled", "stream-unreadable", "context-full")
}
ADDED |= {code: {"tokens", "limit"} for code in ("prompt-too-long", "conversation-too-long")}
SPREAD = {name: {"url", "host", "port"} for name in ("facts", "context.facts")}


def fields(code: str, language: str = "en") -> set[str]:
    """Return the facts that the three texts of a code name."""
    parts = messages.error(code, language)
    return {name for part in parts for _, name, _, _ in Formatter().parse(part) if name}


def sample(code: str, fact: str = "x") -> OllamaMagicsError:
    """Return an error with a fact for every place."""
    return OllamaMagicsError(code, **dict.fromkeys(fields(code), fact))


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Yield (file and line, call, code) for every call in the package whose first argument is a code, or one of two."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                for code in CODE.findall(ast.unparse(node.args[0]) if not isinstance(node.args[0], ast.Call) else ""):
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node, code


def given_facts(call: ast.Call, code: str) -> set[str]:
    """Return the facts that a call supplies."""
    named = {keyword.arg for keyword in call.keywords if keyword.arg}
    spread = [keyword.value for keyword in call.keywords if keyword.arg is None]
    held = set().union(*(SPREAD[ast.unparse(value)] for value in spread))
    return (named | held | ADDED.get(code, set())) - NEVER_FACTS


CALLS = list(calls())


@pytest.mark.parametrize(("place", "call", "code"), CALLS, ids=[f"{code} {place}" for place, _, code in CALLS])
def test_an_error_gets_the_facts_that_its_text_needs(place: str, call: ast.Call, code: str) -> None:
    """A missing one would be shown as three dots."""
    assert fields(code) <= given_facts(call, code), place


def test_what_is_spread_into_errors_holds_what_it_should() -> None:
    """Each function ``facts`` in the package returns a dict with these keys."""
    found = [
        {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
        for path in PACKAGE.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and function.name in ("facts", "_facts")
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)
    ]
    assert len(found) == 2
    assert all(keys >= SPREAD["facts"] for keys in found)


def test_every_code_is_raised_and_every_raised_code_is_told() -> None:
    """No text is dead, and no error is without words."""
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.parent.name != "messages"]
    assert {code for source in sources for code in CODE.findall(source)} == set(CODES)


@pytest.mark.parametrize("code", SHOWN)
def test_every_code_has_three_texts(code: str) -> None:
    """What is wrong, how we know, and what to type."""
    for part in messages.error(code):
        assert part == part.strip()
        assert part
    assert messages.error(code)[0].endswith(".")


@pytest.mark.parametrize("language", messages.LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_a_translation_names_the_same_facts(code: str, language: str) -> None:
    """Nothing is lost on the way."""
    assert fields(code, language) == fields(code)


@pytest.mark.parametrize("language", messages.LANGUAGES)
@pytest.mark.parametrize("code", SHOWN)
def test_an_error_is_shown_in_three_to_seven_lines_that_end_in_its_code(code: str, language: str) -> None:
    """The class first, in every language, whatever the facts."""
    for fact in ("x", "{x} {0} %s {{"):
        error = sample(code, fact)
        error.language = language
        lines = [COLOUR.sub("", line) for line in error._render_traceback_()]
        assert 3 <= len(lines) <= 7
        assert lines[0].startswith("OllamaMagicsError ")
        assert lines[-1].endswith(f"  [{code}]")
        assert lines[0].removeprefix("OllamaMagicsError ") == str(error).splitlines()[0]
        assert "…" not in str(error).replace(" …", "")


def test_facts_go_in_once_and_as_they_are() -> None:
    """A fact that looks like a template is not filled, and a missing one is no second error."""
    assert sample("address-refused", "{url}").what == "Nothing answers at {url}."
    assert OllamaMagicsError("address-refused").what == "Nothing answers at …."


def test_facts_cannot_paint() -> None:
    """Escape sequences of a server never reach a terminal."""
    shown = str(sample("request-refused", "\x1b]0;title\x07\x9b31m\u202e"))
    assert not set(shown) & set("\x1b\x07\x9b\u202e")


def test_the_three_parts_can_be_asked_for() -> None:
    """By programs that show them in their own way."""
    error = sample("server-busy", "wait")
    assert (error.what, error.how_we_know) == ("The server is busy.", "It said: wait")
    assert error.remedy.startswith("wait for")
    assert str(error).splitlines() == [error.what, error.how_we_know, f"{error.remedy}  [server-busy]"]
    assert error.debug == ""


def test_some_classes_know_more() -> None:
    """As attributes, for programs."""
    assert RequestRefused("request-refused", status=503, said="x").status == 503
    assert EmbeddingProblem("texts-empty", rows=(1, 2)).rows == (1, 2)
    long = PromptTooLong("prompt-too-long", tokens=9, limit=8, model="m", said="x")
    assert (long.tokens, long.limit) == (9, 8)
    assert PromptTooLong("prompt-too-long", model="m", said="x").tokens is None


def family() -> set[str]:
    """Return the names of all subclasses in the room."""
    return {name for name, found in vars(errors).items() if isinstance(found, type) and issubclass(found, OllamaMagicsError)}


def test_every_class_stands_in_the_drawing_of_the_family() -> None:
    """In the comment at the top of the room, and in the package's public names."""
    drawing = re.findall(
        r"^# +(\w+) {2,}|^# (OllamaMagicsError)$", Path(errors.__file__).read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name for pair in drawing for name in pair if name} == family()
    assert family() <= set(ollama_magics.__all__)
    for name in family():
        assert getattr(ollama_magics, name).__doc__


def test_an_interrupt_is_one_line_outside_the_family() -> None:
    """So that ``except Exception`` does not swallow a press of the stop button."""
    for partial, code in (("so far", "interrupted-answer-kept"), (None, "interrupted-before-answer")):
        interrupted = Interrupted(partial)
        assert interrupted.partial == partial
        assert not isinstance(interrupted, Exception)
        assert interrupted._render_traceback_() == [str(interrupted)]
        assert str(interrupted).endswith(f"  [{code}]")
