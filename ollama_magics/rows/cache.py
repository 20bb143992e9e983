"""Find and keep the answers of one job in the store, under the digest of the model and the request."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Protocol

import msgspec

from ollama_magics.rows.formats import Request, RowAnswer
from ollama_magics.server import wire

_KEY_SIZE = 16  # bytes
_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(RowAnswer)


class Store(Protocol):
    """Where answers are kept from one job to the next; ``problem`` says why some are not."""

    problem: str

    def keys(self, *, finished: bool) -> set[bytes]:
        """Return the keys of the rows whose job is not finished, or of all."""

    def find(self, key: bytes) -> bytes | None:
        """Return the answer of a key."""

    def put(self, key: bytes, answer: bytes) -> None:
        """Write an answer."""

    def finish(self, keys: list[bytes]) -> None:
        """Note that the job of these rows is finished."""

    def drop(self, keys: list[bytes]) -> None:
        """Remove these rows."""


class RowCache:
    """The stored answers to the rows of one job: those of jobs that did not finish, and with ``reuse`` of others, too."""

    def __init__(self, store: Store, digest: str, *, reuse: bool) -> None:
        self._store, self._digest = store, digest
        self._stored = store.keys(finished=reuse)
        self._count: Counter[bytes] = Counter()
        self._keys: list[bytes] = []

    def key(self, request: Request) -> bytes:
        """Return the key of the next row with this request: equal rows are asked one by one, and each has its own answer.

        Raises PromptProblem (character-invalid) for a text that UTF-8 cannot write.
        """
        # none of these changes an answer; the model is in the key by its digest
        sent = wire.encode(msgspec.structs.replace(request, model="", keep_alive=msgspec.UNSET, stream=False))
        request_hash = self._hash(type(request).__name__.encode() + b"\0" + sent)
        self._count[request_hash] += 1
        key = self._hash(request_hash + self._count[request_hash].to_bytes(8, "big"))
        self._keys.append(key)
        return key

    def find(self, key: bytes) -> RowAnswer | None:
        """Return the stored answer of a row."""
        found = self._store.find(key) if key in self._stored else None
        return None if found is None else _DECODER.decode(found)

    def keep(self, key: bytes, answer: RowAnswer) -> None:
        """Store the answer of a row."""
        self._store.put(key, _ENCODER.encode(answer))

    def finish(self) -> None:
        """Note that the job is finished: the next one asks anew."""
        self._store.finish(self._keys)

    def drop(self) -> None:
        """Remove the rows of the job, which another model may have answered."""
        self._store.drop(self._keys)

    @property
    def problem(self) -> str:
        """Why rows are not found or not kept, or an empty text."""
        return self._store.problem

    def take_problem(self) -> str:
        """Return the problem of the store, which is reported once."""
        found, self._store.problem = self._store.problem, ""
        return found

    def _hash(self, data: bytes) -> bytes:
        return hashlib.blake2b(self._digest.encode() + b"\0" + data, digest_size=_KEY_SIZE).digest()
