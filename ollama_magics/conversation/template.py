"""Fill ``{{name}}`` in a prompt with values of the notebook, written as short text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Phrase

_LONGEST = 4000  # characters of one value that is no text
_MOST_ROWS, _MOST_COLUMNS = 20, 30
_MOST_NUMBERS = 1000  # of an array, as many as NumPy writes out
_LONGEST_CELL = 200  # characters


def as_text(value: Any) -> str:
    """Return the text itself, however long; for a table or array a Markdown table; for anything else what Python shows.

    Whatever is not text is cut at 4000 characters, and says so, as do rows and columns that are left out.
    """
    if isinstance(value, str):
        return value
    if hasattr(value, "shape") and hasattr(value, "head"):
        return _frame(value) if len(value.shape) > 1 else _series(value)
    if hasattr(value, "dtype") and getattr(value, "shape", None):  # NumPy's single numbers have an empty shape
        return _array(value)
    return _shortened(repr(value) if isinstance(value, (list, tuple, dict, set)) else str(value))


def is_picture(value: Any) -> bool:
    """Whether a value is a figure or a Pillow image, known by their nature."""
    if isinstance(value, type):
        return False
    return callable(getattr(value, "savefig", None)) or all(hasattr(value, name) for name in ("getpixel", "mode", "thumbnail"))


def _frame(frame: Any) -> str:
    names = [str(name) for name in frame.columns]
    kinds = ", ".join(f"{name} {kind}" for name, kind in list(zip(names, frame.dtypes, strict=False))[:_MOST_COLUMNS])
    cuts = [*_cut(frame.shape[0], _MOST_ROWS, "rows"), *_cut(len(names), _MOST_COLUMNS, "columns")]
    head = _head(type(frame).__name__, f"{frame.shape[0]} rows × {len(names)} columns", kinds, cuts)
    first = frame.head(_MOST_ROWS)
    if hasattr(first, "itertuples"):  # pandas has an index, which belongs to what a person sees
        return head + _table(["", *names], first.itertuples(name=None), _MOST_COLUMNS + 1)
    return head + (_table(names, first.rows(), _MOST_COLUMNS) if hasattr(first, "rows") else _shortened(str(first)))


def _series(series: Any) -> str:
    count = series.shape[0]
    head = _head(type(series).__name__, f"{count} values", str(series.dtype), _cut(count, _MOST_ROWS, "values"))
    first, name = series.head(_MOST_ROWS), str(series.name or "value")
    if hasattr(first, "items"):
        return head + _table(["", name], first.items(), 2)
    return head + _table([name], ((value,) for value in first), 1)


def _array(array: Any) -> str:
    shape = " × ".join(map(str, array.shape))
    if len(array.shape) == 2:
        rows, columns = array.shape
        cuts = [*_cut(rows, _MOST_ROWS, "rows"), *_cut(columns, _MOST_COLUMNS, "columns")]
        first = array[:_MOST_ROWS, :_MOST_COLUMNS].tolist()
        return _head("array", shape, str(array.dtype), cuts) + _table(list(range(columns)), first, _MOST_COLUMNS)
    is_line = len(array.shape) == 1
    cuts = list(_cut(array.size, _MOST_NUMBERS, "values")) if is_line else []
    cuts += ["the middle left out as ..."] if not is_line and array.size > _MOST_NUMBERS else []
    return _head("array", shape, str(array.dtype), cuts) + _shortened(str(array[:_MOST_NUMBERS] if is_line else array))


def _head(kind: str, shape: str, types: str, cuts: Iterable[str]) -> str:
    return f"{kind} of {shape} ({', '.join([types, *cuts])}):\n"


def _cut(count: Any, most: int, what: str) -> Iterator[str]:
    if not isinstance(count, int) or count > most:
        yield f"first {most} {what}"


def _table(names: Sequence[object], rows: Iterable[Sequence[Any]], most: int) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return _shortened("\n".join("| " + " | ".join(_cell(value) for value in list(line)[:most]) + " |" for line in lines))


def _cell(value: Any) -> str:
    # as many digits as a double surely holds: fewer would be another number than the person sees
    text = " ".join(f"{value:.15g}".split() if isinstance(value, float) else str(value).split())
    text = text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
    return text.replace("|", "\\|")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n(cut: {_LONGEST} of {len(text)} characters)"


# \{{name}} | {{ name }}, where the name is a Python identifier in any script
_PLACE = re.compile(r"(?P<kept>\\)?\{\{\s*(?P<name>[^\W\d]\w*)\s*\}\}")


def fill_template(template: str, values: Mapping[str, Any]) -> str:
    r"""Return the template with every ``{{name}}`` replaced by its value, in one pass; ``\{{name}}`` keeps its braces.

    Raises PromptProblem for a name that the values do not have, and for a picture, of which text would tell nothing.
    """

    def value(place: re.Match[str]) -> str:
        if place["kept"]:
            return place[0].removeprefix("\\")
        name = place["name"]
        if name not in values:
            raise _unknown(name, values)
        if is_picture(values[name]):
            raise PromptProblem("value-is-picture", name=name, kind=type(values[name]).__name__)
        return _text_of(name, values[name])

    return _PLACE.sub(value, template)


def _text_of(name: str, value: Any) -> str:
    try:
        return as_text(value)
    except Exception as error:  # noqa: BLE001 - a value of the notebook may raise anything as it writes itself
        kind, said = type(value).__name__, f"{type(error).__name__}: {error}"[:200]
        raise PromptProblem("value-unprintable", name=name, kind=kind, said=said) from None


def _unknown(name: str, values: Mapping[str, Any]) -> PromptProblem:
    known = [key for key in values if not key.startswith("_")]
    near = difflib.get_close_matches(name, known, n=1)
    return PromptProblem("name-unknown", name=name, nearest=Phrase("nearest_name", near=near[0]) if near else Phrase("none_near"))
