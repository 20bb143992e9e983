"""Read texts from lists, columns, arrays, generators and files, and say which values are no texts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import Struct

from ollama_magics.errors import EmbeddingProblem
from ollama_magics.files import require_regular
from ollama_magics.messages import Joined, Phrase

MOST_NAMED = 10
EMPTY, HALVED = Phrase("row_empty"), Phrase("row_surrogate")
_MISSING = {"NAType": "row_na", "NaTType": "row_nat"}  # of pandas, which is not imported for this
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which UTF-8 cannot write


def flaw(value: Any) -> Phrase | None:
    """Return why the value cannot be embedded, such as ``is None``, or None where it can."""
    if isinstance(value, str):
        if not value or value.isspace() or (not value.isprintable() and all(map(_is_unseen, value))):
            return EMPTY
        return HALVED if not value.isascii() and _SURROGATE.search(value) else None
    if value is None or isinstance(value, (int, float)):
        return _cached_phrase("row_is", repr(value)[:40])
    kind = type(value).__name__
    return Phrase(_MISSING[kind]) if kind in _MISSING else _cached_phrase("row_is_a", kind)


def _is_unseen(character: str) -> bool:
    # zero-width characters and the like: models drop them, and give every such text one and the same vector
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")


@lru_cache(maxsize=64)  # a column of a million numbers that are missing has one phrase for all
def _cached_phrase(key: str, what: str) -> Phrase:
    return Phrase(key, what=what)


def named(flaws: Mapping[int, Phrase], most: int = MOST_NAMED) -> Phrase:
    """Return ``Row 3 is None, row 7 is empty and 12 more.`` for flaws by row."""
    first, *others = sorted(flaws)
    shown = [Phrase("first_row", row=first, flaw=flaws[first])]
    shown += [Phrase("next_row", row=row, flaw=flaws[row]) for row in others[: most - 1]]
    rest = Phrase("more_rows", count=len(flaws) - most) if len(flaws) > most else ""
    return Phrase("rows_named", rows=Joined(shown, Phrase("comma")), rest=rest)


_LIST_METHODS = ("to_pylist", "to_list", "tolist")  # pyarrow, pandas and polars, NumPy: each gives plain str
_STREAMED = 256  # values that are taken from a generator at a time
_Window = tuple[int, Sequence[Any]]


class Source(Struct, frozen=True, eq=False):
    """The values in order; ``length`` and ``index`` are None for a generator, whose values are never all in memory."""

    values: Iterable[Any]
    length: int | None = None
    index: Any = None

    def windows(self, size: int, pulling: Callable[[], AbstractContextManager[None]] = nullcontext) -> Iterator[_Window]:
        """Yield parts of the values with the position of their first; the code of a generator runs in a ``with pulling()``."""
        if isinstance(self.values, list):
            for start in range(0, len(self.values), size):
                yield start, self.values[start : start + size]
            return
        start, values = 0, iter(self.values)
        while True:
            with pulling():
                window = list(islice(values, _STREAMED))
            if not window:
                return
            yield start, window
            start += len(window)


def source_of(rows: Any) -> Source:
    """Return the unchecked values of a list, column, array, generator or string; EmbeddingProblem for other kinds."""
    if isinstance(rows, str):
        return Source([rows], 1, range(1))
    rows = _only_column(rows)
    _refuse_other_kinds(rows)
    if isinstance(rows, list):
        found = rows
    elif method := next((name for name in _LIST_METHODS if hasattr(rows, name)), None):
        found = list(getattr(rows, method)())
    elif hasattr(rows, "__len__"):
        found = list(rows)
    else:
        try:
            return Source(iter(rows))
        except TypeError:  # as the .str of a Series, which has the method to say so
            raise _not_texts(type(rows).__name__, Phrase("no_texts"), 'x = %embed ["a text", "another"]') from None

    index = getattr(rows, "index", None)
    return Source(found, len(found), range(len(found)) if index is None or callable(index) else index)


def texts_of(rows: Any) -> list[str]:
    """Return the texts in order; raises EmbeddingProblem for none, for rows that are no text, and for kinds without an order."""
    found = list(source_of(rows).values)
    if not found:
        raise EmbeddingProblem("texts-empty")
    try:
        require_texts(found)
    except EmbeddingProblem as error:
        raise error.with_advice(remedy=Phrase("fix_all")) from None  # nobody who asks for all texts may leave some out
    return found


def require_texts(values: Sequence[Any]) -> None:
    """Raise EmbeddingProblem with the rows that are no texts, if any."""
    wrong = {row: found for row, value in enumerate(values) if (found := flaw(value))}
    if wrong:
        raise EmbeddingProblem("rows-not-text", rows=tuple(wrong), found=named(wrong))


def _only_column(rows: Any) -> Any:
    """Return the column of a table or array that has one, as scikit-learn passes it; anything else as it is."""
    if type(rows).__name__ == "LazyFrame" or type(rows).__module__.startswith("dask"):
        return rows
    if hasattr(rows, "columns") and hasattr(rows, "shape"):
        names = list(getattr(rows, "column_names", rows.columns))
        return rows[names[0]] if len(names) == 1 else rows
    return rows[:, 0] if getattr(rows, "ndim", 1) == 2 and hasattr(rows, "tolist") and rows.shape[1] == 1 else rows


def lines_of(path: str | Path) -> Source:
    """Return the lines of a UTF-8 file, which is read as needed; raises EmbeddingProblem where there is none."""
    file = Path(path).expanduser()
    try:
        require_regular(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or Phrase("no_such_file")
        if isinstance(error, PermissionError):
            reason = error.strerror
        raise _not_texts(str(path), reason, Phrase("use_lines")) from None

    def lines() -> Iterator[str]:
        # as in a cell, \n and \r\n end a line, not a lone \r; what is no UTF-8 becomes a lone surrogate, which is reported
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as opened:
            yield from (line.removesuffix("\n").removesuffix("\r") for line in opened)

    return Source(lines())


_SAMPLED = 50  # values of a column


def _text_column(frame: Any) -> Any:
    """Return the name of the first column of a table with texts of several words, else with texts, else of the first."""
    names = list(getattr(frame, "column_names", frame.columns))  # pyarrow's columns are the arrays themselves
    if type(frame).__module__.startswith("dask"):  # whose values would be computed first
        return next((name for name in names if str(frame.dtypes[name]) in ("object", "string", "str")), next(iter(names), "text"))
    samples = {name: _sample(frame, name) for name in reversed(names)}
    texts = [name for name in names if samples[name] and all(isinstance(value, str) for value in samples[name])]
    # a text is told from a name or a number in quotes by its spaces, and without spaces, as in Chinese, by other letters
    prose = (name for name in texts if any(" " in value.strip() or not value.isascii() for value in samples[name]))
    return next(prose, next(iter(texts), next(iter(names), "text")))


def _sample(frame: Any, name: Any) -> list[Any]:
    """Return the first values of a column that are not missing."""
    try:
        column = frame[name]
        start = column.head(_SAMPLED) if hasattr(column, "head") else column[:_SAMPLED]
        method = next(getattr(start, method) for method in _LIST_METHODS if hasattr(start, method))
        return [value for value in method() if value is not None and value == value]  # noqa: PLR0124 - NaN is no equal of itself
    except (TypeError, ValueError, KeyError, IndexError, StopIteration):  # two columns of one name, or a table of another kind
        return []


def _refuse_other_kinds(rows: Any) -> None:
    kind = type(rows).__name__
    if kind == "LazyFrame":  # asking it for its columns would already compute something
        raise _not_texts(kind, Phrase("not_collected"), 'x = %embed frame.collect()["text"]')
    if hasattr(rows, "columns") and hasattr(rows, "shape"):
        raise _not_texts(kind, Phrase("several_columns"), Phrase("use_column", column=repr(_text_column(rows))))
    if isinstance(rows, Mapping):
        raise _not_texts(kind, Phrase("no_texts"), "x = %embed list(texts.values())")
    if kind == "Reply":  # it would give its text in the pieces in which it came
        raise _not_texts(kind, Phrase("no_texts"), "x = %embed [reply.text]")
    if rows is None or isinstance(rows, (bytes, bytearray, int, float)) or not hasattr(rows, "__iter__"):
        raise _not_texts(kind, Phrase("no_texts"), 'x = %embed ["a text", "another"]')
    if isinstance(rows, (set, frozenset)):
        raise _not_texts(kind, Phrase("no_order"), "x = %embed sorted(texts)")
    if not isinstance(rows, list) and getattr(rows, "ndim", 1) != 1:
        raise _not_texts(Phrase("array_of_texts"), Phrase("has_dimensions", count=rows.ndim), "x = %embed texts.ravel()")


def _not_texts(kind: str | Phrase, reason: str | Phrase, instead: str | Phrase) -> EmbeddingProblem:
    return EmbeddingProblem("input-not-texts", kind=kind, reason=reason, instead=instead)
