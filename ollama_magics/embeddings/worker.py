"""Send a batch, check the answer, and put the vectors into their rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from ollama_magics.embeddings.batch import Batch, JobState
from ollama_magics.embeddings.decoding import Decoder, FlawedVectors, Vectors, flaws_of, mismatch
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.jobs.queue import BatchFailure, Server
from ollama_magics.jobs.retry import RetryPolicy
from ollama_magics.jobs.workers import WorkerThreads
from ollama_magics.messages import Phrase
from ollama_magics.server.failures import failure_kind
from ollama_magics.server.wire import Body, EmbedRequest, embed_request

_NUMBER = 13  # bytes that a number of a vector has in JSON, with its comma, on average and a bit more
_LARGEST_BUFFER = 64 * 1024 * 1024  # bytes for an answer that are taken before it comes
_SLOW = 60.0  # seconds after which a batch was too large: one request must stay far below the longest wait for an answer
_TEST_TEXT = "a"  # any model can embed it


class Worker:
    """Does the work of all threads of a job, under a lock wherever it changes something that they share.

    ``width`` is the expected number of components, or 0.
    """

    def __init__(self, state: JobState, width: int) -> None:
        self._state, self._width = state, width
        self._queue, self._output, self._stats, self._cache = state.queue, state.output, state.stats, state.cache
        self._decoder, self._lock = Decoder(), threading.Lock()

    def serve(self, server: Server[Batch]) -> None:
        """Send one batch after another to a server until the job is over."""
        while batch := self._queue.take(server):
            failure = None
            try:
                self._embed(server, batch)
            except Cancelled:
                self._queue.finish(server, batch)
                return
            except FlawedVectors as error:
                flawed = [position for position, row in enumerate(batch.rows) if row in error.flaws]
                failure = BatchFailure(server, batch.part(flawed), error)
            except BaseException as error:  # noqa: BLE001 - the main thread decides about it, or raises it
                failure = BatchFailure(server, batch, error)
            self._queue.finish(server, batch, failure)

    def embed_alone(self, server: Server[Batch], row: int, text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the vector of one text that is sent by itself."""
        request = self._request(Batch((row,), (text,), truncate=row in self._stats.truncated))
        vectors = server.client.embed(request, lambda body: self._decode(body, 1))
        self._output.require_width(row, vectors.numbers.shape[1])
        return np.array(vectors.numbers[0], np.float64)

    def _embed(self, server: Server[Batch], batch: Batch) -> None:
        started, count = time.monotonic(), len(batch.rows)
        with self._lock:
            # whole from the start: a buffer that grows leaves holes in the memory
            if not server.buffer:
                server.buffer = bytearray(min(self._state.options.batch * self._width * _NUMBER, _LARGEST_BUFFER))
        vectors = server.client.embed(
            self._request(batch),
            lambda body: self._decode(body, count),
            buffer=server.buffer,
            turn=self._queue.reading(server, batch),
        )

        wanted, width = self._state.options.dimensions, vectors.numbers.shape[1]
        if wanted and width != wanted:
            raise mismatch(Phrase("width_wanted", wanted=wanted, width=width))
        if vectors.flaws:
            sound = [position for position in range(count) if position not in vectors.flaws]
            self._keep(batch.part(sound), Vectors(vectors.numbers[sound]))
            raise FlawedVectors({batch.rows[position]: found for position, found in vectors.flaws.items()})
        self._keep(batch, vectors)
        if time.monotonic() - started > _SLOW:
            self._state.size.shrink(batch)

    def _keep(self, batch: Batch, vectors: Vectors) -> None:
        if not batch.rows:
            return
        self._output.put(batch.rows, vectors.numbers)
        if self._cache:
            keys: Sequence[bytes] = batch.keys
            if batch.truncate:
                keys = [self._cache.key(text, True) for text in batch.texts]  # noqa: FBT003 - truncated
            self._cache.keep(keys, self._output.bytes_of(batch.rows), self._output.width)
        with self._lock:
            self._stats.embedded += len(batch.rows)
            self._stats.batches += 1
            if batch.truncate:
                self._stats.truncated.update(batch.rows)

    def _decode(self, body: Body, count: int) -> Vectors:
        with memoryview(body) as view:
            return self._decoder.read(view, count, self._output.width)

    def _request(self, batch: Batch) -> EmbedRequest:
        return embed_request(
            self._state.model,
            batch.texts,
            truncate=batch.truncate,
            dimensions=self._state.options.dimensions,
            keep_alive=self._state.options.keep_alive,
            options=self._state.options.options,
        )


class SingleTexts:
    """Embeds single texts while the main thread waits: to compare vectors, and to tell a bad text from a bad server."""

    def __init__(
        self, worker: Worker, servers: Sequence[Server[Batch]], threads: WorkerThreads, retry_policy: RetryPolicy
    ) -> None:
        self._worker, self._servers, self._threads, self._retry_policy = worker, servers, threads, retry_policy

    def vector(self, row: int, text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the vector of a text from a server in use; temporary failures are retried."""
        for attempt in range(1, self._retry_policy.attempts):
            try:
                return self._threads.call(lambda: self._worker.embed_alone(self._server(), row, text))
            except OllamaMagicsError as error:
                if not failure_kind(error).is_temporary:
                    raise
            self._threads.pause(self._retry_policy.delay(attempt))
        return self._threads.call(lambda: self._worker.embed_alone(self._server(), row, text))

    def any_works(self) -> bool:
        """Whether a server in use can embed anything at all."""
        return self._works(self._server(), -1, _TEST_TEXT)

    def works_elsewhere(self, failure: BatchFailure[Batch]) -> bool:
        """Whether another server embeds the first text with which this one fails."""
        others = [server for server in self._servers if not (server.left_out or server is failure.server)]
        return bool(others) and self._works(others[0], failure.batch.rows[0], failure.batch.texts[0])

    def _works(self, server: Server[Batch], row: int, text: str) -> bool:
        try:
            vector = self._threads.call(lambda: self._worker.embed_alone(server, row, text))
        except OllamaMagicsError:
            return False
        return not flaws_of(vector[None])

    def _server(self) -> Server[Batch]:
        return next(server for server in self._servers if not server.left_out)
