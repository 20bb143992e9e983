"""``{{name}}`` in a prompt: replaced once by a value of the notebook, never evaluated."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from ollama_magics.errors import PromptProblem

_LONGEST = 4000  # characters of one value that is no text
_MOST_ROWS = 20
# \{{name}} | {{ name }}, where the name is a Python identifier in any script
_PLACE = re.compile(r"(?P<kept>\\)?\{\{\s*(?P<name>[^\W\d]\w*)\s*\}\}")


def fill(template: str, values: Mapping[str, Any]) -> str:
    r"""Return the template with every ``{{name}}`` replaced by its value, in one pass; ``\{{name}}`` keeps its braces.

    Raises PromptProblem for a name that the values do not have.
    """

    def value(place: re.Match[str]) -> str:
        if place["kept"]:
            return place[0].removeprefix("\\")
        if place["name"] not in values:
            raise _unknown(place["name"], values)
        return as_text(values[place["name"]])

    return _PLACE.sub(value, template)


def as_text(value: Any) -> str:
    """Return the text that stands for a value: itself where it is text, otherwise a short one that says what was cut."""
    if isinstance(value, str):
        return value
    if hasattr(value, "shape") and hasattr(value, "head"):
        return _frame(value)
    text = repr(value) if isinstance(value, (list, tuple, dict, set)) else str(value)
    is_array = hasattr(value, "dtype") and getattr(value, "shape", None)  # NumPy's single numbers have an empty shape
    shape = f"array of shape {value.shape}, {value.dtype}:\n" if is_array else ""
    return shape + _shortened(text)


def _frame(frame: Any) -> str:
    shape = " × ".join(map(str, frame.shape))
    first = frame.head(_MOST_ROWS)
    text = first.to_string() if hasattr(first, "to_string") else str(first)
    cut = f", first {_MOST_ROWS} rows" if frame.shape[0] > _MOST_ROWS else ""
    return f"{type(frame).__name__} of {shape}{cut}:\n{_shortened(text)}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n(cut: {_LONGEST} of {len(text)} characters)"


def _unknown(name: str, values: Mapping[str, Any]) -> PromptProblem:
    known = [key for key in values if not key.startswith("_")]
    near = difflib.get_close_matches(name, known, n=1)
    return PromptProblem("OM-T02", name=name, nearest=f"The nearest name is {near[0]}." if near else "No name is near.")
