"""Every text exists in each language and names the same facts."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import ollama_magics
from ollama_magics import messages
from ollama_magics.server.address import ChangeReason
from ollama_magics.settings import form, values

PACKAGE = Path(ollama_magics.__file__).parent
TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "errors": messages._ERRORS,
    "phrases": messages._PHRASES,
    "labels": messages._LABELS,
}
# The English of these stands in the code: the reason in server/address.py, help and choices in settings/form.py.
ONLY_CHINESE = {
    *(f"why_{why.name.lower()}" for why in ChangeReason),
    *(f"help_{name}" for name in form.names()),
    *(f"word_{word}" for name in form.names() for word in form.words(name)),
}
CHINESE = re.compile("[\u4e00-\u9fff]")
WORDS = re.compile(r"(?<![{/])\b[a-z]{2,} [a-z]{2,}")


def fields(text: str | tuple[str, ...]) -> set[str]:
    """Return the names of the facts in a text, or in the three texts of an error."""
    parts = (text,) if isinstance(text, str) else text
    return {name for part in parts for _, name, _, _ in Formatter().parse(part) if name}


def test_reasons_for_changed_addresses_exist_in_chinese() -> None:
    """Apart from these, only help and choices of settings have no English in the tables."""
    only = set(messages._PHRASES["zh"]) - set(messages._PHRASES["en"])
    assert {f"why_{why.name.lower()}" for why in ChangeReason} <= only <= ONLY_CHINESE


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_no_text_is_missing_in_a_language(table: str, language: str) -> None:
    """No language falls back to English."""
    assert set(TABLES[table]["en"]) - set(TABLES[table][language]) == set()


@pytest.mark.parametrize("table", TABLES)
def test_both_languages_name_the_same_facts(table: str) -> None:
    """A fact that a translation leaves out is lost, and one that it adds is shown as three dots."""
    english, chinese = TABLES[table]["en"], TABLES[table]["zh"]
    differ = {key for key in english if key in chinese and fields(english[key]) != fields(chinese[key])}
    assert differ == set()


def test_chinese_texts_are_chinese() -> None:
    """A text without Chinese characters has only figures, commands and names."""
    for table in ("errors", "phrases"):
        for key, text in TABLES[table]["zh"].items():
            first = text if isinstance(text, str) else text[0]
            assert CHINESE.search(first) or not WORDS.search(first), key


def test_every_setting_has_a_label_in_each_language() -> None:
    """On the panel, in the table, in errors."""
    for language in messages.LANGUAGES:
        assert set(form.names()) <= set(messages._LABELS[language])


def test_facts_are_shown_in_the_language_of_the_error() -> None:
    """A label, a reason, and a list of them."""
    with pytest.raises(values.refused("x", "seed", "y", "z").__class__) as caught:
        values.count("-5", "context_length")
    error = caught.value
    assert str(error).startswith("'-5' is not a valid value for Context length.\nIt must be at least 1.\n")
    error.language = "zh"
    assert str(error).startswith("'-5' 不是“模型上下文长度”的有效值。\n不能小于 1。\n")


def test_a_sentence_of_others_does_not_end_twice() -> None:
    """What the system or a server says may have the full stop that the text has, too; an ellipsis stays."""
    for said, shown in (("No space.", "No space."), ("no space", "no space."), ("and so on...", "and so on....")):
        assert messages.phrase("system_says", said=said) == f"The system reports: {shown}"
    assert messages.phrase("system_says", "zh", said="没有空间。") == "系统报告：没有空间。"


LITERAL = re.compile(r"""(?:reason|value|known)=f?["'](?=[^"']*[a-z]{3} [a-z])""")
# Their errors are for programmers, or they have texts of their own.
NOT_YET = {"access.py", "distributed.py", "estimator.py", "wire", "embedding", "images", "fill.py"}


def test_no_reason_is_raised_as_an_english_sentence() -> None:
    """A fact that is a sentence is a phrase, so that it can be translated."""
    found = {
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in {*NOT_YET, "messages", "fake_server"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if LITERAL.search(line)
    }
    assert found == set()
