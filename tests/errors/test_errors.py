"""Every error code has its texts, is raised somewhere, and gets the facts that its texts need."""

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
CUTS = (
    "answer-endless",
    "stream-incomplete",
    "model-stuck",
    "stream-error",
    "stream-stalled",
    "stream-unreadable",
    "context-full",
)
ADDED = {code: {"characters"} for code in CUTS}
ADDED |= {code: {"tokens", "limit"} for code in ("prompt-too-long", "conversation-too-long")}
SPREAD = {name: {"url", "host", "port"} for name in ("facts", "context.facts")}
SPREAD["error.facts"] = {"name", "nearest"}  # of a name in a template that is unknown


def fields(code: str, language: str = "en") -> set[str]:
    """Return the names of the facts in the three texts of a code."""
    parts = messages.error(code, language)
    return {name for part in parts for _, name, _, _ in Formatter().parse(part) if name}


def sample(code: str, fact: str = "x") -> OllamaMagicsError:
    """Return an error with a value for every fact."""
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


def test_an_error_gets_the_facts_that_its_text_needs() -> None:
    """A missing one would be shown as three dots."""
    missing = {f"{place}: {code}": fields(code) - given_facts(call, code) for place, call, code in calls()}
    assert missing
    assert {place: facts for place, facts in missing.items() if facts} == {}


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


def test_every_code_is_raised_and_every_raised_code_has_texts() -> None:
    """No text is unused, and no error is without a text."""
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.parent.name != "messages"]
    assert {code for source in sources for code in CODE.findall(source)} == set(CODES)


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_every_code_has_three_texts(language: str) -> None:
    """What is wrong, how we know, and what to type."""
    end = {"en": ".", "zh": "。"}[language]
    texts = {code: messages.error(code, language) for code in SHOWN}
    assert [code for code, parts in texts.items() if any(not part or part != part.strip() for part in parts)] == []
    assert [code for code, parts in texts.items() if not parts[0].endswith(end)] == []


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_a_translation_names_the_same_facts(language: str) -> None:
    """A translation loses and adds no fact."""
    assert [code for code in CODES if fields(code, language) != fields(code)] == []


@pytest.mark.parametrize("language", messages.LANGUAGES)
@pytest.mark.parametrize("fact", ["x", "{x} {0} %s {{"])
def test_an_error_is_shown_in_three_to_seven_lines_that_end_in_its_code(fact: str, language: str) -> None:
    """The first line begins with the class, in every language and with any facts."""
    for code in SHOWN:
        error = sample(code, fact)
        error.language = language
        lines = [COLOUR.sub("", line) for line in error._render_traceback_()]
        assert 3 <= len(lines) <= 7
        assert lines[0].startswith("OllamaMagicsError ")
        assert lines[-1].endswith(f"  [{code}]")
        assert lines[0].removeprefix("OllamaMagicsError ") == str(error).splitlines()[0]
        assert "…" not in str(error).replace(" …", "")


def test_facts_are_filled_in_once() -> None:
    """A fact that looks like a template is not filled, and a missing one raises nothing."""
    assert sample("address-refused", "{url}").what == "Nothing answers at {url}."
    assert OllamaMagicsError("address-refused").what == "Nothing answers at …."


def test_facts_cannot_control_the_terminal() -> None:
    """Escape sequences of a server are removed."""
    shown = str(sample("request-refused", "\x1b]0;title\x07\x9b31m\u202e"))
    assert not set(shown) & set("\x1b\x07\x9b\u202e")


def test_the_three_parts_are_attributes() -> None:
    """Programs can show them in their own way."""
    error = sample("server-busy", "wait")
    assert (error.what, error.how_we_know) == ("The server is busy.", "It said: wait")
    assert error.remedy.startswith("wait for")
    assert str(error).splitlines() == [error.what, error.how_we_know, f"{error.remedy}  [server-busy]"]
    assert error.debug == ""


def test_some_classes_have_more_attributes() -> None:
    """Status, rows, tokens and limit."""
    assert RequestRefused("request-refused", status=503, said="x").status == 503
    assert EmbeddingProblem("texts-empty", rows=(1, 2)).rows == (1, 2)
    long = PromptTooLong("prompt-too-long", tokens=9, limit=8, model="m", said="x")
    assert (long.tokens, long.limit) == (9, 8)
    assert PromptTooLong("prompt-too-long", model="m", said="x").tokens is None


def family() -> set[str]:
    """Return the names of all subclasses in the module."""
    return {name for name, found in vars(errors).items() if isinstance(found, type) and issubclass(found, OllamaMagicsError)}


def test_every_class_is_listed() -> None:
    """In the comment at the top of the module, and in the public names of the package."""
    listed = re.findall(
        r"^# +(\w+) {2,}|^# (OllamaMagicsError)$", Path(errors.__file__).read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name for pair in listed for name in pair if name} == family()
    assert family() <= set(ollama_magics.__all__)
    for name in family():
        assert getattr(ollama_magics, name).__doc__


def test_an_interrupt_is_one_line_outside_the_family() -> None:
    """``except Exception`` must not catch the stop button."""
    for partial, code in (("so far", "interrupted-answer-kept"), (None, "interrupted-before-answer")):
        interrupted = Interrupted(partial)
        assert interrupted.partial == partial
        assert not isinstance(interrupted, Exception)
        assert interrupted._render_traceback_() == [str(interrupted)]
        assert str(interrupted).endswith(f"  [{code}]")
