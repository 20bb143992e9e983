"""Read the words of a magic line: quotes around a value go, quotes inside a Python expression stay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# a word: pieces without spaces, or with spaces in quotes; no escape characters, so that Windows paths survive
WORD = re.compile(r"""\s*((?:[^\s"']|"[^"]*"|'[^']*')+)""")
_QUOTED = re.compile(r"""(["'])(.*?)\1""", re.DOTALL)
_EXPRESSIONS = ("each", "format", "tools")  # options whose value is Python, in which quotes are part of it
_PIECE = re.compile(r"""(["'])(?:\\.|(?!\1)[^\\])*\1|.""", re.DOTALL)  # of Python: a text in quotes, or one character
_UNION = re.compile(r"\s*\|\s+(?=\S)")  # of types: int | None
_UP_TO_END = re.compile(r"\s*(.*)", re.DOTALL)
_LETTER = 2  # characters of an option that is one letter


def next_word(text: str, position: int, options: Mapping[str, Any], waiting: Any) -> re.Match[str] | None:
    """Return the next word of a line, in quotes still, as group 1; None at its end and at a quote that is not closed.

    ``waiting`` is the option whose value it is, if any, of ``options`` by their spellings. A Python expression goes on to the
    first space outside of brackets and quotes that is none beside a ``|``.
    """
    word = WORD.match(text, position)
    option, value = (waiting, word[1]) if word and waiting else attached(word[1], options) if word else (None, "")
    if word and option and _is_expression(option, value):
        end = _end_of_expression(text, word.start(1))
        return _UP_TO_END.match(text, position, end) if end else word
    return word


def attached(word: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the option of ``--name=value`` or ``-nVALUE`` and that value; None and an empty text for any other word."""
    name, equals, value = word.partition("=")
    if equals and name in options:
        return options[name], value
    is_letter = not word.startswith("--") and word[:_LETTER] in options and word not in options
    return (options[word[:_LETTER]], word[_LETTER:]) if is_letter else (None, "")


def unquoted(value: str, option: Any = None) -> str:
    """Return what was typed as the value of an option without its quotes; those inside a Python expression stay."""
    is_whole = re.fullmatch(r""""[^"]*"|'[^']*'""", value) is not None
    return value if option and _is_expression(option, value) and not is_whole else _QUOTED.sub(r"\2", value)


def is_collection(value: object) -> bool:
    """Return whether the value of an option is a list, tuple or dict of Python."""
    return isinstance(value, str) and value.startswith(("[", "(", "{"))


def _is_expression(option: Any, value: str) -> bool:
    """Return whether a value is Python: any after --each, -f and -t, a list or dict after --labels, NAME["key"] after -i."""
    if option.dest == "images":
        return "[" in value and value.partition("[")[0].isidentifier()
    return option.dest in _EXPRESSIONS or (option.dest == "labels" and is_collection(value))


def _end_of_expression(text: str, start: int) -> int:
    """Return where an expression ends, or 0 where one of its brackets or quotes is not closed."""
    depth, position = 0, start
    while piece := _PIECE.match(text, position):
        if piece[0].isspace() and not depth:
            if union := _UNION.match(text, position):
                position = union.end()
                continue
            break
        if piece[0] in "\"'":  # one that is not closed
            return 0
        depth += (piece[0] in "([{") - (piece[0] in ")]}")
        position = piece.end()
    return 0 if depth else position
