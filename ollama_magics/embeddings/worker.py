"""Send a batch, check the answer, and put the vectors into their rows."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from ollama_magics.embeddings.decoding import Decoder, Vectors, misfit
from ollama_magics.embeddings.options import EmbedOptions
from ollama_magics.embeddings.output import JobCache, Matrix
from ollama_magics.embeddings.queue import Batch, BatchFailure, BatchQueue, Flawed, Server
from ollama_magics.embeddings.report import JobStats
from ollama_magics.embeddings.servers import ServerPool
from ollama_magics.errors import Cancelled
from ollama_magics.messages import Phrase
from ollama_magics.server.wire import Body, EmbedRequest, embed_request

_NUMBER = 13  # bytes that a number of a vector has in JSON, with its comma, on average and a bit more
_MOST_KEPT = 64 * 1024 * 1024  # bytes of an answer for which memory is taken before it comes
_SLOW = 60.0  # seconds after which a batch was too large: one request must stay far below the longest wait for an answer


class Worker:
    """Shared by the threads of a job: all that it changes is locked."""

    def __init__(self, choice: ServerPool, wish: EmbedOptions, line: BatchQueue, matrix: Matrix, ledger: JobStats) -> None:
        self.shelf: JobCache | None = None
        self.shrink: Callable[[int], object] = int
        self._model, self._width, self._wish = choice.model, wish.dimensions or choice.width, wish
        self._line, self._matrix, self._ledger = line, matrix, ledger
        self._decoder = Decoder()

    def serve(self, server: Server) -> None:
        """Ask a server for one batch after another until the job is over."""
        while batch := self._line.take(server):
            trouble = None
            try:
                self._embed(server, batch)
            except Cancelled:
                self._line.landed(server, batch)
                return
            except Flawed as error:
                trouble = BatchFailure(server, batch.part([at for at, row in enumerate(batch.rows) if row in error.flaws]), error)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the main thread judges it or raises it
                trouble = BatchFailure(server, batch, error)
            self._line.landed(server, batch, trouble)

    def alone(self, server: Server, row: int, text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the vector of one text that is asked for by itself."""
        request = self._request(Batch((row,), (text,), truncate=row in self._ledger.truncated))
        vectors = server.client.embed(request, lambda body: self._read(body, 1))
        self._matrix.require_width(row, vectors.numbers.shape[1])
        return np.array(vectors.numbers[0], np.float64)

    def _kept(self, server: Server) -> bytearray:
        """Return what takes the bodies of a server, in one piece from the start: what grows leaves holes behind that stay."""
        with self._line.changed:
            server.kept = server.kept or bytearray(min(self._wish.batch * self._width * _NUMBER, _MOST_KEPT))
            return server.kept

    def _read(self, body: Body, count: int) -> Vectors:
        with memoryview(body) as view:
            return self._decoder.read(view, count, self._matrix.width)

    def _embed(self, server: Server, batch: Batch) -> None:
        started = time.monotonic()
        request, count = self._request(batch), len(batch.rows)
        kept, turn = self._kept(server), self._line.turn(server, batch)
        vectors = server.client.embed(request, lambda body: self._read(body, count), buffer=kept, turn=turn)
        self._require_width(vectors)
        sound = [place for place in range(len(batch.rows)) if place not in vectors.flaws]
        if vectors.flaws:
            self._keep(batch.part(sound), Vectors(vectors.numbers[sound]))
            raise Flawed({batch.rows[place]: found for place, found in vectors.flaws.items()})
        self._keep(batch, vectors)
        if time.monotonic() - started > _SLOW:
            self.shrink(max(1, len(batch.rows) // 2))

    def _keep(self, batch: Batch, vectors: Vectors) -> None:
        if not batch.rows:
            return
        self._matrix.put(batch.rows, vectors.numbers)
        if self.shelf:
            keys = [self.shelf.key(text, True) for text in batch.texts] if batch.truncate else batch.keys  # noqa: FBT003 - cut
            self.shelf.keep(keys, self._matrix.taken(batch.rows), self._matrix.width)
        with self._line.changed:
            self._ledger.embedded += len(batch.rows)
            self._ledger.batches += 1
            if batch.truncate:
                self._ledger.truncated.update(batch.rows)

    def _require_width(self, vectors: Vectors) -> None:
        wanted, width = self._wish.dimensions, vectors.numbers.shape[1]
        if wanted and width != wanted:
            raise misfit(Phrase("width_wanted", wanted=wanted, width=width))

    def _request(self, batch: Batch) -> EmbedRequest:
        return embed_request(
            self._model,
            batch.texts,
            truncate=batch.truncate,
            dimensions=self._wish.dimensions,
            keep_alive=self._wish.keep_alive,
            options=self._wish.options,
        )
