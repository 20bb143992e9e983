"""In Python, errors and notes name what to type in Python."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable

import pytest

import ollama_magics as om
from ollama_magics import messages
from ollama_magics.errors import AnswerCut, Interrupted, OllamaMagicsError, in_language
from ollama_magics.messages import errors_en, phrases_en
from ollama_magics.messages.python_words import in_python
from ollama_magics.settings import form

MAGIC = re.compile(r"_ollama\b|(?<!in a notebook: )(?<!在笔记本中：)%%?(?!eth)[a-z_]+|(?m:^!)")
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*)|(?<![\w-])(?<!python )-[fimst](?![\w-])")
CALL = re.compile(r"om\.(\w+)(\([^()\n]*(?:\([^()]*\)[^()\n]*)*\))")
PARAMETER = re.compile(r"(?<![\w.(])([a-z_]+)=(?=[\s\"NT1c;,，；]|$)")
# these are about lines of a notebook, or about what only a notebook has
ONLY_THERE = {"secret-on-line", "picture-is-url", "variable-unknown", "tool-unconfirmed", "explain_ours", "explain_needs_ask"}
OURS = {form.flag(name).removeprefix("--") for name in form.names()} | {"strict", "new", "continue", "yes", "no-fill", "truncate"}
OURS |= {"on-error", "batch", "chat", "tool", "format", "image", "generate", "labels", "sample", "logprobs", "dimensions"}
VALUES = {
    "url": "http://h:1",
    "model": "m",
    "first": "m",
    "limit": "512",
    "loaded": "512",
    "setting": "vision",
    "name": "x",
    "port": "1",
}


def texts() -> dict[str, str]:
    """Return every text of the catalogue in both languages, with facts in it."""
    found = {}
    for language in messages.LANGUAGES:
        for code in errors_en.ERRORS:
            found[f"{language} {code}"] = messages.fill("\n".join(messages.error(code, language)), VALUES)
        for key in phrases_en.PHRASES:
            if not key.startswith(("help_", "word_")):
                found[f"{language} {key}"] = messages.phrase(key, language, **VALUES)
    return found


@pytest.mark.finding("B13")
def test_no_text_names_a_magic_or_an_option_in_python(record_property: Callable[[str, object], None]) -> None:
    """Each error and each phrase, in both languages; what only a notebook has says so."""
    wrong, changed = {}, 0
    for name, text in texts().items():
        shown = in_python(text)
        changed += shown != text
        if name.split()[1] in ONLY_THERE:
            continue
        if re.search(r"notebook:? in a notebook|笔记本中?[^\n]*：在笔记本中|[Rr]un all cells|运行所有单元格", shown):
            wrong[name] = shown
        flags = [match[0] for match in FLAG.finditer(shown) if match[1] in OURS or not match[1]]
        lines = [line for line in shown.splitlines() if not re.search("in a notebook: |在笔记本中：", line)]
        flags = [flag for flag in flags if any(flag in line for line in lines)]
        if MAGIC.search(shown) or flags:
            wrong[name] = shown
    assert wrong == {}
    record_property("figure", f"{changed} texts")


@pytest.mark.finding("B13")
def test_what_is_named_in_python_exists_there() -> None:
    """Calls have parameters of these names, and can be read as Python."""
    known = {
        name
        for function in (om.chat, om.embed, om.configure, om.map, om.experiment)
        for name in inspect.signature(function).parameters
    }
    wrong = []
    for name, text in texts().items():
        if (shown := in_python(text)) == text:
            continue
        for function, arguments in CALL.findall(shown):
            called = getattr(om, function, None)
            try:
                node = ast.parse(f"f{arguments}".replace("…", "x"), mode="eval").body
            except SyntaxError:
                wrong.append((name, f"om.{function}{arguments}"))
                continue
            assert isinstance(node, ast.Call)
            names = {keyword.arg for keyword in node.keywords}
            if called is None or not names <= set(inspect.signature(called).parameters):
                wrong.append((name, f"om.{function}{arguments}"))
        wrong += [(name, word) for word in PARAMETER.findall(shown) if word not in known and word not in ("x", "proxy", "url")]
    assert wrong == []


def test_words_of_options_are_texts_in_python_and_nothing_is_said_twice() -> None:
    """As an option and a parameter of one name are the same there."""
    assert in_python("%embed --on-error nan …") == 'on_error="nan" …'
    assert in_python("%embed --on-error nan or skip") == 'on_error="nan" or "skip"'
    assert in_python("--sample 20   ·   sample=20") == "sample=20"


@pytest.mark.finding("B13")
def test_texts_of_others_stay_as_they_are() -> None:
    """Programs that are not ours have options, too."""
    for text in (
        "docker run --add-host=host.docker.internal:host-gateway …",
        "Start it with `--embeddings`",
        "python -m ollama_magics sandbox",
        "journalctl -u ollama -n 50",
        "ssh -N -L 11434:127.0.0.1:11434 USER@SERVER",
        "ollama pull llama3.2",
        "50 % of the rows",
    ):
        assert in_python(text) == text


def leaving(error: BaseException) -> BaseException:
    """Return the error as it leaves for Python."""
    with pytest.raises(type(error)), in_language(lambda: "en"):
        raise error
    return error


@pytest.mark.finding("B13")
def test_errors_leave_in_the_words_of_the_place() -> None:
    """A magic catches and shows them in its own."""
    cut = AnswerCut("object-cut", most=3, characters=7)
    assert "_ollama.text; raise --max-tokens" in cut.remedy
    assert "error.partial.text; raise max_tokens=" in str(leaving(cut))
    assert "the text so far is in error.partial " in str(leaving(Interrupted(object()))).replace(".  ", " ")
    about = OllamaMagicsError("address-unusable", typed="--max-tokens", reason="x")
    assert leaving(about).remedy == 'om.configure(base_url="http://127.0.0.1:11434")'  # type: ignore[attr-defined]
