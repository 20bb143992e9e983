"""Texts in any notebook form -> one checked (n, d) float32 array, in batches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ollama_magics.client import Client
from ollama_magics.errors import EmbeddingProblem, PromptTooLong
from ollama_magics.wire import EmbedRequest

BATCH = 256
_MOST_NAMED = 10
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which UTF-8 cannot write
_LISTS = ("to_pylist", "to_list", "tolist")  # pyarrow, pandas and polars, NumPy: each gives plain str


def texts_of(rows: Any) -> list[str]:
    """Return the texts of a list, tuple, Series, array, generator or single string, in order.

    Raises EmbeddingProblem for no rows, for rows that are no text (``rows`` names them), and for kinds without an order.
    """
    if isinstance(rows, str):
        rows = [rows]
    _refuse_kinds(rows)
    found = _listed(rows)
    wrong = [position for position, text in enumerate(found) if not _is_text(text)]
    if wrong:
        raise EmbeddingProblem("OM-E02", rows=tuple(wrong), found=_named(found, wrong))
    if not found:
        raise EmbeddingProblem("OM-E01")
    return found


def embed(client: Client, model: str, texts: Sequence[str], *, batch: int = BATCH) -> np.ndarray[Any, Any]:
    """Return the float32 array of shape ``(len(texts), d)``, C-contiguous; raises EmbeddingProblem."""
    vectors: np.ndarray[Any, Any] | None = None
    for start in _progress(range(0, len(texts), batch), len(texts), batch):
        part = _batch(client, model, texts[start : start + batch], start)
        if vectors is None:
            vectors = np.empty((len(texts), part.shape[1]), np.float32)
        if part.shape[1] != vectors.shape[1]:
            raise _misfit(f"The first vectors have {vectors.shape[1]} numbers, those from row {start} on {part.shape[1]}.")
        vectors[start : start + len(part)] = part
    if vectors is None:
        raise EmbeddingProblem("OM-E01")
    return vectors


def _batch(client: Client, model: str, texts: Sequence[str], start: int) -> np.ndarray[Any, Any]:
    try:
        answer = client.embed(EmbedRequest(model=model, input=tuple(texts)))
    except PromptTooLong as error:
        rows = tuple(range(start, start + len(texts)))
        last, said = rows[-1], error.facts["said"]
        raise EmbeddingProblem("OM-E05", rows=rows, model=model, first=start, last=last, said=said) from None
    return _checked(answer, len(texts), start)


def _checked(answer: list[list[float]], count: int, start: int) -> np.ndarray[Any, Any]:
    if len(answer) != count:
        raise _misfit(f"It holds {len(answer)} vectors for {count} texts.")
    sizes = {len(vector) for vector in answer}
    if len(sizes) != 1 or sizes == {0}:
        raise _misfit(f"Its vectors have {' and '.join(map(str, sorted(sizes)))} numbers.")
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, and is refused below
        part = np.asarray(answer, np.float32)
    broken = np.flatnonzero(~np.isfinite(part).all(axis=1))
    if broken.size:
        rows = tuple(int(row) + start for row in broken)
        raise _misfit(f"The vector of row {rows[0]} holds a value that is no finite number.", rows)
    return part


def _misfit(reason: str, rows: tuple[int, ...] = ()) -> EmbeddingProblem:
    return EmbeddingProblem("OM-E04", rows=rows, reason=reason)


def _progress(starts: range, total: int, batch: int) -> Iterable[int]:
    if len(starts) < 2:
        yield from starts
        return
    from tqdm.auto import tqdm  # noqa: PLC0415 - brings in ipywidgets in a notebook

    with tqdm(total=total, unit=" texts") as bar:
        for start in starts:
            yield start
            bar.update(min(batch, total - start))


def _refuse_kinds(rows: Any) -> None:
    kind = type(rows).__name__
    if rows is None or isinstance(rows, (bytes, int, float, dict)) or not hasattr(rows, "__iter__"):
        raise _no_rows(kind, "It is no list of texts.", 'x = %embed ["a text", "another"]')
    if isinstance(rows, (set, frozenset)):
        raise _no_rows(kind, "A set has no order, so no row would belong to a text.", "x = %embed sorted(texts)")
    if hasattr(rows, "columns") and hasattr(rows, "shape"):
        column = next(iter(rows.columns), "text")
        raise _no_rows(kind, "It has several columns.", f"name the column of texts: x = %embed df[{str(column)!r}]")


def _no_rows(kind: str, reason: str, instead: str) -> EmbeddingProblem:
    return EmbeddingProblem("OM-E03", kind=kind, reason=reason, instead=instead)


def _listed(rows: Any) -> list[Any]:
    if isinstance(rows, (list, tuple)):
        return list(rows)
    if hasattr(rows, "ndim") and rows.ndim != 1:
        raise _no_rows("An array of texts", f"It has {rows.ndim} dimensions.", "x = %embed texts.ravel()")
    for name in _LISTS:
        if hasattr(rows, name):
            return list(getattr(rows, name)())
    return list(rows)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not _SURROGATE.search(value)


def _named(found: Sequence[Any], wrong: Sequence[int]) -> str:
    shown = ", ".join(f"row {position} is {_described(found[position])}" for position in wrong[:_MOST_NAMED])
    rest = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    return f"R{shown.removeprefix('r')}{rest}."


def _described(value: Any) -> str:
    if isinstance(value, str):
        return "no valid Unicode (a lone surrogate)" if value.strip() else "empty"
    return repr(value)[:40] if value is None or isinstance(value, (int, float)) else f"a {type(value).__name__}"
