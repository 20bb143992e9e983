"""Send a batch, check the answer, and put the vectors into their rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from ollama_magics.embeddings.batcher import Batch, JobState
from ollama_magics.embeddings.decoding import Decoder, FlawedVectors, Vectors, mismatch
from ollama_magics.errors import Cancelled
from ollama_magics.jobs.queue import BatchFailure, Server
from ollama_magics.jobs.width import WidthSearch
from ollama_magics.messages import Phrase
from ollama_magics.server.wire import Body, EmbedRequest, embed_request

_NUMBER = 13  # bytes that a number of a vector has in JSON, with its comma, on average and a bit more
_LARGEST_BUFFER = 64 * 1024 * 1024  # bytes for an answer that are taken before it comes
_SLOW = 60.0  # seconds after which a batch was too large: one request must stay far below the longest wait for an answer
USUAL_WIDTH = 2  # requests in flight until they were measured: a server that has finished one begins with the next at once
_LEAST_BATCHES, _LEAST_SECONDS = 4, 1.0  # of a measurement: a job that is shorter keeps the usual width


def width_search(given: int | None) -> WidthSearch:
    """Return the search for the number of batches that one server has to compute at a time."""
    return WidthSearch(given, first=USUAL_WIDTH, least_answers=_LEAST_BATCHES, least_seconds=_LEAST_SECONDS)


class Worker:
    """Does the work of all threads of a job, under a lock for what they share; ``width`` is the expected one, or 0."""

    def __init__(self, state: JobState, width: int) -> None:
        self._state, self._width = state, width
        self._queue, self._output, self._stats, self._cache = state.queue, state.output, state.stats, state.cache
        self._decoder, self._lock = Decoder(), threading.Lock()
        self._searches: dict[Server[Batch], WidthSearch] = {}

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
                most = min(self._state.size.most, self._output.length or self._state.size.most)
                server.buffer = bytearray(min(most * self._width * _NUMBER, _LARGEST_BUFFER))
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
        self._measure(server, batch, started)

    def _measure(self, server: Server[Batch], batch: Batch, started: float) -> None:
        """Learn from a batch that went well how many texts, and how many batches at a time, the server should get."""
        now, count, size = time.monotonic(), len(batch.rows), self._state.size
        with self._lock:
            search = self._searches.setdefault(server, width_search(self._state.options.parallel))
            if 2 * count >= size.texts:  # small ones take longer for each text
                search.add(sum(map(len, batch.texts)), now)
                server.parallel = search.width
            size.measure(count, now - started)
            if now - started > _SLOW:
                size.shrink(batch)

    def _keep(self, batch: Batch, vectors: Vectors) -> None:
        if not batch.rows:
            return
        self._output.put(batch.rows, vectors.numbers)
        if self._cache:
            keys: Sequence[bytes] = batch.keys
            if batch.truncate:
                keys = [self._cache.truncated_key(text) for text in batch.texts]
            self._cache.keep(keys, np.ascontiguousarray(vectors.numbers, "<f4").data, self._output.width)
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
