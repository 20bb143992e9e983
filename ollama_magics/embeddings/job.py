"""One embedding job: feed batches to the workers, decide about failures, and end the workers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ollama_magics.embeddings.batcher import Batcher, prefix
from ollama_magics.embeddings.decoding import flaws_of
from ollama_magics.embeddings.inputs import Source
from ollama_magics.embeddings.interrupt import StopButton
from ollama_magics.embeddings.options import EmbedOptions
from ollama_magics.embeddings.output import JobCache, Matrix
from ollama_magics.embeddings.progress import Progress
from ollama_magics.embeddings.queue import SLICE, BatchFailure, BatchQueue, Server
from ollama_magics.embeddings.report import JobStats
from ollama_magics.embeddings.retry import Judge, RetryPolicy
from ollama_magics.embeddings.servers import ServerPool
from ollama_magics.embeddings.worker import Worker
from ollama_magics.errors import Cancelled, EmbeddingProblem, OllamaMagicsError
from ollama_magics.messages import Joined, Phrase
from ollama_magics.server.failures import failure_kind

_LEAST = 0.999  # cosine of two vectors that are the same but for rounding
_RANDOM = 3  # texts besides the first and the last


class Sample:
    """The first text, the last, and some in between that each text had the same chance to be."""

    def __init__(self) -> None:
        self._seen = 0
        self._first: tuple[int, str] | None = None
        self._last: tuple[int, str] | None = None
        self._others: list[tuple[int, str]] = []

    def look_at(self, row: int, text: str) -> None:
        """Take a text into account."""
        self._last = (row, text)
        self._first = self._first or self._last
        self._seen += 1
        place = random.randrange(self._seen)  # noqa: S311 - a spot check, no secret
        if len(self._others) < _RANDOM:
            self._others.append(self._last)
        elif place < _RANDOM:
            self._others[place] = self._last

    def compare(self, matrix: Matrix, ledger: JobStats, ask: Callable[[int, str], Any]) -> None:
        """Raise EmbeddingProblem with the rows whose vectors differ from those that the texts have alone."""
        chosen = {found for found in (self._first, self._last, *self._others) if found and found[0] not in ledger.flaws}
        different = {}
        for row, text in sorted(chosen):
            cosine = _cosine(np.frombuffer(matrix.taken([row]), "<f4").astype(np.float64), ask(row, text))
            if not cosine >= _LEAST:
                different[row] = cosine
        if different:
            shown = Joined((Phrase("row_cosine", row=row, cosine=f"{cosine:.3f}") for row, cosine in different.items()), ", ")
            raise EmbeddingProblem("batch-differs", rows=tuple(different), shown=shown)


def _cosine(one: Any, other: Any) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


_LOOK = 5.0  # seconds between two looks at whether the model is still the same
_PROBE = "a"  # a text that any model can embed
_ENDING = 1.0  # seconds that the threads have to end


class Job:
    """Owns the frozen wish, the array, the line of batches, the threads with their connections, and their cancel flag."""

    def __init__(
        self, source: Source, wish: EmbedOptions, choice: ServerPool, shelf: JobCache | None, patience: RetryPolicy
    ) -> None:
        self.ledger = JobStats(notes=list(choice.notes))
        self.matrix = Matrix(source.length)
        self._wish, self._shelf, self._patience = wish, shelf, patience
        self._seen_same = time.monotonic()
        self._button, self._cancelled = StopButton(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._session = [place.client for place in choice.places]
        self._servers = [Server(place.client.sibling(self._cancelled), place.url, wish.parallel) for place in choice.places]
        # looks at the model have connections of their own: those of the batches may all be taken
        self._choice = replace(
            choice, places=[replace(each, client=each.client.sibling(self._cancelled)) for each in choice.places]
        )
        self._line = BatchQueue()
        self._progress = Progress(self.ledger, source.length)
        self._feed = Batcher(source, prefix(choice.model, wish.task), wish.batch, self.matrix, self.ledger)
        self._feed.shelf, self._feed.reuses_truncated, self._feed.pulling = shelf, wish.truncate, self._button.raising
        self._judge = Judge(self._line, self.ledger, self._servers, patience)
        self._judge.truncates, self._judge.shrink, self._judge.is_sound = wish.truncate, self._shrink, self._is_sound
        self._judge.is_sound_elsewhere = self._is_sound_elsewhere
        self._asker = Worker(choice, wish, self._line, self.matrix, self.ledger)
        self._asker.shelf, self._asker.shrink = shelf, self._shrink
        self._sample = Sample() if wish.verify else None
        if self._sample:
            self._feed.looks_at = self._sample.look_at

    @property
    def keeps(self) -> bool:
        """Whether all that is finished is in the store."""
        return self._shelf is not None and not self._shelf.store.problem

    def work(self) -> None:
        """Embed all rows; raises the error after which no more can be. What single texts failed with is in the ledger."""
        batches = self._feed.batches()
        most = 2 * len(self._servers) * self._wish.parallel
        with self._button, self._at_work():
            while most or not self._line.is_empty():
                self._look()
                if not self._line.has_room(most):
                    self._line.wait(most)
                elif batch := next(batches, None):
                    self._line.add(batch)
                else:
                    most = 0
            if self.ledger.batches > 1:  # also where all were done between two looks
                self._progress.begin()
            self._progress.show()
            self._require_same()
            if self._sample:
                self._apart(partial(self._sample.compare, self.matrix, self.ledger, self._alone))

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        try:
            for server in self._servers:
                for _ in range(server.parallel + 1):  # one of them reads an answer while the others are computed
                    self._start(partial(self._asker.serve, server))
            yield
        finally:
            self._button.defer()
            self._end()

    def _start(self, work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work, daemon=True, name="ollama-embed")
        thread.start()
        self._threads.append(thread)

    def _end(self) -> None:
        self._cancelled.set()
        self._line.end()
        deadline = time.monotonic() + _ENDING
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for client in [server.client for server in self._servers] + [place.client for place in self._choice.places]:
            client.close()
        self._progress.end()

    def _apart(self, ask: Callable[[], object]) -> None:
        """Ask a server in a thread; this one waits, so that the stop button works and no connection is left half used."""
        done: Future[None] = Future()
        self._start(partial(_settle, done, ask))
        while not wait([done], SLICE).done:
            self._look_at_ends()
        done.result()

    def _alone(self, row: int, text: str) -> Any:
        for attempt in range(1, self._patience.attempts):
            try:
                return self._asker.alone(self._alive(), row, text)
            except OllamaMagicsError as error:
                if not failure_kind(error).is_temporary:
                    raise
            self._cancelled.wait(self._patience.delay(attempt))
        return self._asker.alone(self._alive(), row, text)

    def _alive(self) -> Server:
        return next(server for server in self._servers if not server.left_out)

    def _is_sound(self) -> bool:
        """Whether the server can embed anything."""
        return self._embeds(self._alive(), -1, _PROBE)

    def _is_sound_elsewhere(self, trouble: BatchFailure) -> bool:
        """Whether another server embeds the first text with which this one fails."""
        others = [server for server in self._servers if not (server.left_out or server is trouble.server)]
        return bool(others) and self._embeds(others[0], trouble.batch.rows[0], trouble.batch.texts[0])

    def _embeds(self, server: Server, row: int, text: str) -> bool:
        found: list[Any] = []
        try:
            self._apart(lambda: found.append(self._asker.alone(server, row, text)))
        except OllamaMagicsError:
            return False
        return not flaws_of(found[0][None])

    def _look(self) -> None:
        self._look_at_ends()
        if time.monotonic() - self._seen_same > _LOOK:
            self._require_same()
        while trouble := self._line.trouble():
            self._judge.judge(trouble)
        if self.ledger.batches and not self._line.is_empty():
            self._progress.begin()
        self._progress.show()

    def _look_at_ends(self) -> None:
        self._button.look()
        if any(client.is_cancelled for client in self._session):
            raise Cancelled

    def _require_same(self) -> None:
        """Raise EmbeddingProblem if the model was replaced, and take back what was stored since it was seen to be the same."""
        count = self._shelf.doubtful() if self._shelf else 0
        try:
            self._apart(self._choice.require_same)
        except EmbeddingProblem:
            if self._shelf:
                self._shelf.take_back()
            raise
        if self._shelf:
            self._shelf.trust(count)
        self._seen_same = time.monotonic()

    def _shrink(self, size: int) -> None:
        self._feed.size = min(self._feed.size, size)


def _settle(done: Future[None], ask: Callable[[], object]) -> None:
    try:
        ask()
    except BaseException as error:  # noqa: BLE001 - the main thread raises it
        done.set_exception(error)
    else:
        done.set_result(None)
