"""Run one embedding job: feed batches to the workers, decide about failures, and end the workers."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from ollama_magics.embeddings.batcher import Batch, Batcher, BatchSize, JobState
from ollama_magics.embeddings.inputs import Source
from ollama_magics.embeddings.options import EmbedOptions
from ollama_magics.embeddings.output import JobCache, JobStats, OutputArray
from ollama_magics.embeddings.retrier import BatchRetrier, SingleTexts
from ollama_magics.embeddings.servers import ServerPool
from ollama_magics.embeddings.worker import USUAL_WIDTH, Worker
from ollama_magics.errors import EmbeddingProblem
from ollama_magics.jobs.interrupt import DeferredInterrupt
from ollama_magics.jobs.progress import ProgressBar
from ollama_magics.jobs.queue import BatchQueue, RetryPolicy, Server, WorkerThreads
from ollama_magics.messages import Joined, Phrase

_LEAST_COSINE = 0.999  # of two vectors that are the same but for rounding
_RANDOM_TEXTS = 3  # of the spot check, besides the first and the last
_QUICK = 1.0  # seconds; a job of one batch that takes no longer has no bar
_CHECK_INTERVAL = 5.0  # seconds between two checks that the model was not replaced
_THREAD_NAME = "ollama-embed"


class SpotCheck:
    """The first text, the last, and some in between that each text had the same chance to be."""

    def __init__(self) -> None:
        self._seen = 0
        self._first: tuple[int, str] | None = None
        self._last: tuple[int, str] | None = None
        self._others: list[tuple[int, str]] = []

    def add(self, row: int, text: str) -> None:
        """Take a text into account."""
        self._last = (row, text)
        self._first = self._first or self._last
        self._seen += 1
        position = random.randrange(self._seen)  # noqa: S311 - a spot check, no secret
        if len(self._others) < _RANDOM_TEXTS:
            self._others.append(self._last)
        elif position < _RANDOM_TEXTS:
            self._others[position] = self._last

    def compare(self, output: OutputArray, stats: JobStats, embed_alone: Callable[[int, str], Any]) -> None:
        """Raise EmbeddingProblem (batch-differs) with the rows whose texts embed differently alone than in a batch."""
        texts = {entry for entry in (self._first, self._last, *self._others) if entry and entry[0] not in stats.flaws}
        cosines: dict[int, float] = {}
        for row, text in sorted(texts):
            batched, alone = np.frombuffer(output.bytes_of([row]), "<f4").astype(np.float64), embed_alone(row, text)
            cosines[row] = float(batched @ alone / (np.linalg.norm(batched) * np.linalg.norm(alone)))
        different = {row: cosine for row, cosine in cosines.items() if not cosine >= _LEAST_COSINE}
        if different:
            shown = Joined((Phrase("row_cosine", row=row, cosine=f"{cosine:.3f}") for row, cosine in different.items()), ", ")
            raise EmbeddingProblem("batch-differs", rows=tuple(different), shown=shown)


class Job:
    """Owns the array, the queue of batches, the threads with their connections, and their cancel flag."""

    def __init__(
        self, source: Source, options: EmbedOptions, pool: ServerPool, cache: JobCache | None, retry_policy: RetryPolicy
    ) -> None:
        self.stats, self.output = JobStats(notes=list(pool.notes)), OutputArray(source.length)
        self._options, self._cache = options, cache
        self._begun = self._model_checked = time.monotonic()
        self._length = source.length

        self._interrupt = DeferredInterrupt()
        clients = [endpoint.client for endpoint in pool.endpoints]
        self._threads = WorkerThreads(_THREAD_NAME, self._interrupt, lambda: any(client.is_cancelled for client in clients))
        self._servers: list[Server[Batch]] = [
            Server(endpoint.client.sibling(self._threads.cancelled), endpoint.url, options.parallel or USUAL_WIDTH)
            for endpoint in pool.endpoints
        ]
        self._started: Counter[Server[Batch]] = Counter()  # threads
        # checks of the model go over the connections of the batches
        checked = [replace(each, client=server.client) for each, server in zip(pool.endpoints, self._servers, strict=True)]
        self._pool = replace(pool, endpoints=checked)

        self._queue: BatchQueue[Batch] = BatchQueue()
        self._size = BatchSize(options.batch)
        state = JobState(pool.model, options, self._queue, self._size, self.output, self.stats, cache)
        self._progress = ProgressBar(source.length, "texts", hidden=any(client.is_recorded for client in clients))
        self._spot_check = SpotCheck() if options.verify else None
        on_text = self._spot_check.add if self._spot_check else None
        self._batcher = Batcher(source, state, self._interrupt.raising_at_once, on_text)
        self.width = options.dimensions or pool.width  # of a vector, as asked for or as the card has it; 0 where it is not known
        self._worker = Worker(state, self.width)
        self._single_texts = SingleTexts(self._worker.embed_alone, self._servers, self._threads, retry_policy)
        self._retrier = BatchRetrier(state, self._servers, retry_policy, self._single_texts)

    @property
    def keeps(self) -> bool:
        """Whether all that is finished is in the store."""
        return self._cache is not None and not self._cache.store.problem

    def run(self) -> None:
        """Embed all rows. Raises the error that ends the job; the flaws of single texts are in ``stats``."""
        batches = self._batcher.batches()
        is_fed = False
        with self._interrupt, self._running_workers():
            while not (is_fed and self._queue.is_empty()):
                # what ends or delays the job: an interrupt, another model, failures
                self._threads.check()
                self._start_workers()
                if time.monotonic() - self._model_checked > _CHECK_INTERVAL:
                    self._require_same_model()
                while failure := self._queue.next_failure():
                    self._retrier.decide(failure)

                if not self._queue.is_empty() and self._is_long():
                    self._progress.begin("no batch was finished yet")
                self._show_progress()

                # until the first answer only as many as are sent at once: the next ones may be larger
                ready = 2 * sum(server.parallel for server in self._servers) if self._size.is_known else 1
                if is_fed or not self._queue.has_room(ready):
                    self._queue.wait(0 if is_fed else ready)
                elif batch := next(batches, None):
                    self._queue.add(batch)
                else:
                    is_fed = True
            if self.stats.batches > 1:  # also where all were done between two checks
                self._progress.begin()
            self._show_progress()
            self._require_same_model()
            if self._spot_check:
                self._spot_check.compare(self.output, self.stats, self._single_texts.vector)

    @contextmanager
    def _running_workers(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._interrupt.defer()
            self._queue.close()
            self._threads.stop()
            for server in self._servers:
                server.client.close()
            if self._cache:  # the process may end at once, and what could not be kept is told with the array
                self._cache.store.finish_writing()
            self._progress.end()

    def _start_workers(self) -> None:
        """Start the threads that batches wait for; one of each server reads an answer while the others are computed."""
        waiting = self._queue.count_waiting()
        for server in self._servers:
            for _ in range(min(waiting, server.parallel + 1 - self._started[server])):
                self._started[server] += 1
                self._threads.start(partial(self._worker.serve, server))

    def _is_long(self) -> bool:
        """Whether the job is worth a bar: it has more than one batch, or its first one takes a while."""
        is_slow = time.monotonic() - self._begun > _QUICK
        return self.stats.batches > 0 or self._length is None or self._length > self._size.texts or is_slow

    def _show_progress(self) -> None:
        self._progress.update(self.stats.done, self.stats.reused)

    def _require_same_model(self) -> None:
        """Raise EmbeddingProblem (model-replaced) and take back what was stored since the model was last seen unchanged."""
        count = self._cache.count_unconfirmed() if self._cache else 0
        try:
            is_same = self._threads.call(self._pool.require_same)
        except EmbeddingProblem:
            if self._cache:
                self._cache.take_back()
            raise
        if self._cache and is_same:
            self._cache.confirm(count)
        self._model_checked = time.monotonic()
