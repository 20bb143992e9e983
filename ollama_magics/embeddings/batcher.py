"""Make batches of the texts that must be embedded."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ollama_magics.embeddings.decoding import flaws_of
from ollama_magics.embeddings.inputs import Source, flaw
from ollama_magics.embeddings.output import JobCache, Matrix
from ollama_magics.embeddings.queue import Batch
from ollama_magics.embeddings.report import JobStats
from ollama_magics.errors import SettingError

_SEARCHING = "Represent this sentence for searching relevant passages: "

# what the name of a model holds: (before a query, before a document), each as its authors' model card says; the first that fits
_FAMILIES: tuple[tuple[str, tuple[str, str]], ...] = (
    ("nomic-embed-text", ("search_query: ", "search_document: ")),  # huggingface.co/nomic-ai/nomic-embed-text-v1.5
    ("mxbai-embed-large", (_SEARCHING, "")),  # huggingface.co/mixedbread-ai/mxbai-embed-large-v1
    (r"snowflake-arctic-embed(2|.*-v2)", ("query: ", "")),  # huggingface.co/Snowflake/snowflake-arctic-embed-l-v2.0
    ("snowflake-arctic-embed", (_SEARCHING, "")),  # huggingface.co/Snowflake/snowflake-arctic-embed-l
    ("bge-m3", ("", "")),  # huggingface.co/BAAI/bge-m3: "no longer requires adding instructions"
    (r"bge-(small|base|large)-zh", ("为这个句子生成表示以用于检索相关文章：", "")),  # huggingface.co/BAAI/bge-large-zh-v1.5
    (r"bge-(small|base|large)", (_SEARCHING, "")),  # huggingface.co/BAAI/bge-large-en-v1.5
    (r"(^|[-/])e5-(?!.*instruct)", ("query: ", "passage: ")),  # huggingface.co/intfloat/multilingual-e5-large
)


def prefix(model: str, task: str) -> str:
    """Return what goes before each text for the task, ``query``, ``document`` or none.

    Raises SettingError for a model of which no such words are known.
    """
    if not task:
        return ""
    for pattern, (query, document) in _FAMILIES:
        if re.search(pattern, model.lower()):
            return query if task == "query" else document
    reason = "No words that it expects there are known."
    example = f"write them into the texts: x = %embed ['{task}: ' + text for text in texts]"
    raise SettingError("setting-invalid", value=f"--{task}", setting=model, reason=reason, example=example)


_WINDOW = 100_000  # texts of a generator among which duplicates are found
_MOST_CHARACTERS = 256 * 1024  # in one batch, unless one text alone has more
_LOOKED_UP = 1024  # texts that are looked up in the store at a time


class Batcher:
    """Makes batches of what is neither flawed, nor the same as an earlier text, nor in the store."""

    def __init__(self, source: Source, prefix: str, size: int, matrix: Matrix, ledger: JobStats) -> None:
        self.size = size
        self.shelf: JobCache | None = None
        self.reuses_truncated = False
        self.looks_at: Callable[[int, str], None] = _nothing
        self.pulling: Callable[[], AbstractContextManager[None]] = nullcontext
        self._source, self._prefix, self._matrix, self._ledger = source, prefix, matrix, ledger
        self._first = _First() if source.length is None else _FirstOfAll()

    def batches(self) -> Iterator[Batch]:
        """Yield the batches in order; raises what a generator raises."""
        waiting: list[tuple[int, str, bytes]] = []
        characters = 0
        for row, text, key in self._missing():
            if waiting and characters + len(text) > _MOST_CHARACTERS:
                yield _batch(waiting)
                waiting, characters = [], 0
            waiting.append((row, text, key))
            characters += len(text)
            if len(waiting) >= self.size:
                yield _batch(waiting)
                waiting, characters = [], 0
        if waiting:
            yield _batch(waiting)

    def _missing(self) -> Iterator[tuple[int, str, bytes]]:
        for start, values in self._source.windows(_LOOKED_UP, self.pulling):
            fresh = [(row, text) for row, value in enumerate(values, start) if (text := self._fresh(row, value))]
            self._ledger.seen = start + len(values)
            if self.shelf is None:
                yield from ((row, text, b"") for row, text in fresh)
            else:
                yield from self._not_stored(self.shelf, fresh)

    def _fresh(self, row: int, value: Any) -> str:
        if found := flaw(value):
            self._ledger.flaws[row] = found
            return ""
        text = self._prefix + value if self._prefix else str.__str__(value)  # NumPy's texts are a kind of str
        original = self._first.of(text, row)
        if original == row:
            self.looks_at(row, text)
            return text
        self._ledger.copies.append(row)
        self._ledger.originals.append(original)
        return ""

    def _not_stored(self, shelf: JobCache, fresh: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str, bytes]]:
        keyed = [(row, text, shelf.key(text, False)) for row, text in fresh]  # noqa: FBT003 - not cut
        missing = self._reused(shelf, keyed)
        if not self.reuses_truncated:
            yield from missing
            return
        cut = [(row, text, shelf.key(text, True)) for row, text, _ in missing]  # noqa: FBT003 - cut
        left = {row for row, _, _ in self._reused(shelf, cut)}
        self._ledger.truncated.update(row for row, _, _ in missing if row not in left)
        yield from (item for item in missing if item[0] in left)

    def _reused(self, shelf: JobCache, keyed: Sequence[tuple[int, str, bytes]]) -> list[tuple[int, str, bytes]]:
        """Take the rows that the store has into the array; return the others."""
        found = shelf.store.find([key for _, _, key in keyed])
        width = self._matrix.width or next((len(row) // 4 for row in found.values()), 0)
        fitting = [item for item in keyed if len(found.get(item[2], b"")) == 4 * width > 0]
        if not fitting:
            return list(keyed)
        numbers = np.frombuffer(b"".join(found[key] for _, _, key in fitting), "<f4").reshape(-1, width)
        broken = flaws_of(numbers)
        if broken:
            fitting = [item for at, item in enumerate(fitting) if at not in broken]
            numbers = np.delete(numbers, list(broken), axis=0)
        rows = [row for row, _, _ in fitting]
        if rows:
            self._matrix.put(rows, numbers)
        self._ledger.reused += len(rows)
        had = set(rows)
        return [item for item in keyed if item[0] not in had]


class _FirstOfAll:
    """The first row of each text among all."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}

    def of(self, text: str, row: int) -> int:
        return self._rows.setdefault(text, row)


class _First:
    """The first row of each text among the last hundred thousand, of which only a hash is kept."""

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self._order: deque[bytes] = deque()

    def of(self, text: str, row: int) -> int:
        name = hashlib.blake2b(text.encode(), digest_size=16).digest()
        found = self._rows.setdefault(name, row)
        if found == row:
            self._order.append(name)
            if len(self._order) > _WINDOW:
                del self._rows[self._order.popleft()]
        return found


def _nothing(_row: int, _text: str) -> None:
    """Look at nothing."""


def _batch(items: Sequence[tuple[int, str, bytes]]) -> Batch:
    rows, texts, keys = zip(*items, strict=True)
    return Batch(rows, texts, keys if keys[0] else ())
