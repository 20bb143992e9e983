"""Make batches of the texts that must be embedded, and hold what all parts of a job share."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from ollama_magics.embeddings.decoding import flaws_of
from ollama_magics.embeddings.inputs import Source, flaw
from ollama_magics.embeddings.options import EmbedOptions
from ollama_magics.embeddings.output import JobCache, JobStats, OutputArray
from ollama_magics.errors import SettingError
from ollama_magics.jobs.queue import BatchQueue
from ollama_magics.messages import Phrase

_SEARCHING = "Represent this sentence for searching relevant passages: "

# part of a model's name: (before a query, before a document), as the model card of its authors says; the first that fits counts
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


def task_prefix(model: str, task: str) -> str:
    """Return the model's prefix for ``query`` or ``document``; raises SettingError (setting-invalid) where none is known."""
    if not task:
        return ""
    for pattern, (query, document) in _FAMILIES:
        if re.search(pattern, model.lower()):
            return query if task == "query" else document
    reason, example = Phrase("no_prefix", model=model, task=task), Phrase("own_prefix", task=task)
    raise SettingError("setting-invalid", value=f"--{task}", setting=model, reason=reason, example=example)


class Batch(Struct, frozen=True, eq=False):
    """Texts and the rows they belong to, ascending; ``keys`` are their names in the store.

    ``attempts`` counts how often the server was not available, ``crashes`` how often its runner crashed with these texts.
    ``had_flaws``: a first answer held vectors that cannot be used. ``exclusive``: nothing else may be sent to the server at the
    same time, so that a crash can be attributed. ``due``: not before this moment.
    """

    rows: Sequence[int]
    texts: tuple[str, ...]
    keys: tuple[bytes, ...] = ()
    truncate: bool = False
    attempts: int = 0
    crashes: int = 0
    had_flaws: bool = False
    exclusive: bool = False
    due: float = 0.0

    def part(self, positions: Sequence[int]) -> Batch:
        """Return some of its texts, given by their positions in it; rows still ascend."""
        chosen = sorted(positions)
        return replace(
            self,
            rows=[self.rows[position] for position in chosen],
            texts=tuple(self.texts[position] for position in chosen),
            keys=tuple(self.keys[position] for position in chosen) if self.keys else (),
        )


_FIRST_TEXTS, MOST_TEXTS = 16, 256  # in a batch
_BATCH_SECONDS = 1.0  # that a batch should take: worth a request, and soon seen, stored or stopped
_GROWTH = 4  # times as many texts as in the batch that was measured


class BatchSize:
    """The number of texts in the next batch: what the user ``chose``, or as many as a server embeds in about a second.

    Without a choice the first batches are small, since a large one takes 20 seconds on a slow machine, and grow as measured.
    """

    def __init__(self, chosen: int | None) -> None:
        self.texts, self.most = chosen or _FIRST_TEXTS, chosen or MOST_TEXTS
        self.is_known = self._is_chosen = chosen is not None

    def measure(self, count: int, seconds: float) -> None:
        """Learn from a batch of so many texts that took this long, waiting for its turn included."""
        if not self._is_chosen:
            in_time = int(count * _BATCH_SECONDS / max(seconds, 1e-9))
            self.texts = max(1, min(in_time, _GROWTH * count, self.most))
            self.is_known = True

    def shrink(self, batch: Batch) -> None:
        """Make new batches at most half as large as this one, which was too large for the server."""
        self.most = min(self.most, max(1, len(batch.rows) // 2))
        self.texts = min(self.texts, self.most)


class JobState(Struct, eq=False):
    """What the parts of a job work on; ``cache`` is None where nothing is stored."""

    model: str
    options: EmbedOptions
    queue: BatchQueue[Batch]
    size: BatchSize
    output: OutputArray
    stats: JobStats
    cache: JobCache | None


_KeyedText = tuple[int, str, bytes]  # row, text, and its name in the store, or nothing without one
_WINDOW = 100_000  # texts of a generator among which duplicates are found
_MOST_CHARACTERS = 256 * 1024  # in one batch, unless one text alone has more
_LOOKED_UP = 1024  # texts that are looked up in the store at a time
_LIST_SECONDS = 1.0  # between two readings of what other processes store; no text of a job is looked up twice


class Batcher:
    """Makes batches of the texts that are sound, are not the same as an earlier one, and are not in the cache.

    Code of the user that gives the texts runs within ``pulling()``. ``on_text`` is called with each row and text that needs a
    vector, whether or not the cache has it.
    """

    def __init__(
        self,
        source: Source,
        state: JobState,
        pulling: Callable[[], AbstractContextManager[None]],
        on_text: Callable[[int, str], None] | None,
    ) -> None:
        self._source, self._state, self._pulling, self._on_text = source, state, pulling, on_text
        self._output, self._stats = state.output, state.stats
        self._prefix = task_prefix(state.model, state.options.task)
        self._originals = _Originals(keeps_all=source.length is not None)

    def batches(self) -> Iterator[Batch]:
        """Yield the batches in order; raises what a generator raises."""
        waiting: list[_KeyedText] = []
        characters = 0
        for row, text, key in self._texts_to_embed():
            if waiting and characters + len(text) > _MOST_CHARACTERS:
                yield _batch(waiting)
                waiting, characters = [], 0
            waiting.append((row, text, key))
            characters += len(text)
            if len(waiting) >= self._state.size.texts:
                yield _batch(waiting)
                waiting, characters = [], 0
        if waiting:
            yield _batch(waiting)

    def _texts_to_embed(self) -> Iterator[_KeyedText]:
        cache = self._state.cache
        key = cache.key if cache else _no_key
        for start, values in self._source.windows(_LOOKED_UP, self._pulling):
            rows = enumerate(values, start)
            missing = [(row, text, key(text)) for row, value in rows if (text := self._original_text(row, value))]
            self._stats.seen = start + len(values)
            if cache is None:
                yield from missing
                continue
            max_age = _LIST_SECONDS if start else 0.0
            missing = self._reuse(cache, missing, max_age)
            if self._state.options.truncate:
                truncated = [(row, text, cache.truncated_key(text)) for row, text, _ in missing]
                left = {row for row, _, _ in self._reuse(cache, truncated, max_age)}
                self._stats.truncated.update(row for row, _, _ in missing if row not in left)
                missing = [keyed for keyed in missing if keyed[0] in left]
            yield from missing

    def _original_text(self, row: int, value: Any) -> str:
        """Return the text with its prefix, or nothing for a value that is no text or a copy, which is noted."""
        if found := flaw(value):
            self._stats.flaws[row] = found
            return ""
        text = self._prefix + value if self._prefix else str.__str__(value)  # NumPy's texts are a kind of str
        original = self._originals.find(text, row)
        if original != row:
            self._stats.copies.append(row)
            self._stats.originals.append(original)
            return ""
        if self._on_text:
            self._on_text(row, text)
        return text

    def _reuse(self, cache: JobCache, keyed: Sequence[_KeyedText], max_age: float) -> list[_KeyedText]:
        """Copy the rows that the cache has into the array; return the others."""
        found = cache.store.find([key for _, _, key in keyed], max_age=max_age)
        if not found:
            return list(keyed)
        width = self._output.width or next((len(row) // 4 for row in found.values()), 0)
        fitting = [entry for entry in keyed if len(found.get(entry[2], b"")) == 4 * width > 0]
        if not fitting:
            return list(keyed)

        numbers = np.frombuffer(b"".join(found[key] for _, _, key in fitting), "<f4").reshape(-1, width)
        broken = flaws_of(numbers)
        if broken:
            fitting = [entry for position, entry in enumerate(fitting) if position not in broken]
            numbers = np.delete(numbers, list(broken), axis=0)

        rows = [row for row, _, _ in fitting]
        if rows:
            self._output.put(rows, numbers)
        self._stats.reused += len(rows)
        reused = set(rows)
        return [entry for entry in keyed if entry[0] not in reused]


class _Originals:
    """The first row of each text; unless it ``keeps_all``, hashes of the last hundred thousand texts."""

    def __init__(self, *, keeps_all: bool) -> None:
        self._rows: dict[str | bytes, int] = {}
        self._recent: deque[bytes] | None = None if keeps_all else deque()

    def find(self, text: str, row: int) -> int:
        """Return the first row with this text, which may be this one."""
        if self._recent is None:
            return self._rows.setdefault(text, row)
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        original = self._rows.setdefault(digest, row)
        if original == row:
            self._recent.append(digest)
            if len(self._recent) > _WINDOW:
                del self._rows[self._recent.popleft()]
        return original


def _no_key(_: str) -> bytes:
    return b""


def _batch(entries: Sequence[_KeyedText]) -> Batch:
    rows, texts, keys = zip(*entries, strict=True)
    return Batch(rows, texts, keys if keys[0] else ())
