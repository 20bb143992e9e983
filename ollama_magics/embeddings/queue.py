"""The queue of batches between the thread that makes them and the workers."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ollama_magics.messages import Phrase
from ollama_magics.server.client import Client

SLICE = 0.2  # seconds that one wait lasts at the most, so that an interrupt lands on every system


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Texts and the rows they belong to, ascending.

    ``attempts`` counts how often the server was away, ``crashes`` how often what computes died with these texts;
    ``alone``: nothing else may be asked of the server at the same time, so that a death has one suspect.
    """

    rows: Sequence[int]
    texts: tuple[str, ...]
    keys: tuple[bytes, ...] = ()
    truncate: bool = False
    attempts: int = 0
    crashes: int = 0
    flawed: bool = False
    alone: bool = False
    due: float = 0.0

    def part(self, places: Sequence[int]) -> Batch:
        """Return some of its texts, given by their places in it; rows still ascend."""
        chosen = sorted(places)
        return replace(
            self,
            rows=[self.rows[place] for place in chosen],
            texts=tuple(self.texts[place] for place in chosen),
            keys=tuple(self.keys[place] for place in chosen) if self.keys else (),
        )


class Flawed(Exception):
    """Some vectors of an answer must not be used; ``flaws`` names them by row."""

    def __init__(self, flaws: dict[int, Phrase]) -> None:
        super().__init__(flaws)
        self.flaws = flaws


@dataclass(eq=False)
class Server:
    """One server of a job with what is on its way there; changed under the lock of the line only."""

    client: Client
    url: str = ""
    parallel: int = 2  # batches that it may have to compute at a time
    # Bodies are received and read one at a time: two at once would be done at the same moment, and so would be the answers to
    # their successors. The batch whose answer is read is not among those that the server has to compute: where reading takes
    # about as long as computing, it would stand still for every delay here.
    turn: threading.Lock = field(default_factory=threading.Lock)
    kept: bytearray = field(default_factory=bytearray)  # takes one body after another, for who has the turn
    asked: set[Batch] = field(default_factory=set)  # those whose answers have not begun
    flying: int = 0
    troubles: int = 0
    alone: bool = False
    judged: bool = True
    rests_until: float = 0.0
    left_out: bool = False

    def is_free(self, now: float) -> bool:
        """Whether it may be asked for a batch now."""
        rested = now >= self.rests_until
        return rested and self.judged and not self.alone and not self.left_out and len(self.asked) < self.parallel


@dataclass(frozen=True)
class BatchFailure:
    """A batch that failed, and where."""

    server: Server
    batch: Batch
    error: BaseException


@dataclass
class BatchQueue:
    """Batches that are ready, batches that wait for their time, and failures that wait for a judgement."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    flying: int = 0
    ended: bool = False

    def __post_init__(self) -> None:
        self._ready: deque[Batch] = deque()
        self._later: list[tuple[float, int, Batch]] = []
        self._troubles: deque[BatchFailure] = deque()
        self._order = itertools.count(0, -1)  # of those due at once the youngest comes first: one bisection after another

    def add(self, batch: Batch) -> None:
        """Let a new batch wait for a server."""
        with self.changed:
            self._ready.append(batch)
            self.changed.notify_all()

    def again(self, batch: Batch) -> None:
        """Let a batch wait for its time; those come before new ones."""
        with self.changed:
            heapq.heappush(self._later, (batch.due, next(self._order), batch))
            self.changed.notify_all()

    def has_room(self, most: int) -> bool:
        """Whether fewer than so many batches are ready."""
        return len(self._ready) < most

    def trouble(self) -> BatchFailure | None:
        """Return a failure that has not been judged."""
        with self.changed:
            return self._troubles.popleft() if self._troubles else None

    def judged(self, server: Server, *, rest: float = 0.0) -> None:
        """Let a server go on after a failure, in ``rest`` seconds."""
        with self.changed:
            server.judged = True
            server.rests_until = max(server.rests_until, time.monotonic() + rest)
            self.changed.notify_all()

    def is_empty(self) -> bool:
        """Whether nothing is ready, waits or flies."""
        with self.changed:
            return not (self._ready or self._later or self._troubles or self.flying)

    def wait(self, most: int) -> None:
        """Wait at most a slice for something to judge, for room for new batches, or for the end of all."""
        with self.changed:
            self.changed.wait_for(lambda: self._troubles or self.has_room(most) or self.is_empty(), SLICE)

    def end(self) -> None:
        """Send the threads home."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    # For the threads that ask.

    def take(self, server: Server) -> Batch | None:
        """Return the next batch for a server when there is one, or None when the job is over."""
        with self.changed:
            while not self.ended and not server.left_out:
                now = time.monotonic()
                batch = self._next(server, now)
                if batch is not None:
                    server.flying, self.flying = server.flying + 1, self.flying + 1
                    server.asked.add(batch)
                    server.alone = batch.alone
                    self.changed.notify_all()
                    return batch
                self.changed.wait(self._pause(server, now))
        return None

    @contextmanager
    def turn(self, server: Server, batch: Batch) -> Iterator[None]:
        """Wait for the turn to receive and read an answer that has begun: from then on the server has room for another batch."""
        with self.changed:
            server.asked.discard(batch)
            self.changed.notify_all()
        with server.turn:
            yield

    def landed(self, server: Server, batch: Batch, trouble: BatchFailure | None = None) -> None:
        """Say that a batch is done, or what went wrong with it; then the server waits for a judgement."""
        with self.changed:
            server.asked.discard(batch)
            server.flying, self.flying = server.flying - 1, self.flying - 1
            server.alone = False
            if trouble is None:
                server.troubles = 0
            else:
                server.judged = False
                self._troubles.append(trouble)
            self.changed.notify_all()

    def _next(self, server: Server, now: float) -> Batch | None:
        if not server.is_free(now):
            return None
        if self._later and self._later[0][0] <= now:
            if self._later[0][2].alone and server.flying:
                return None
            return heapq.heappop(self._later)[2]
        return self._ready.popleft() if self._ready else None

    def _pause(self, server: Server, now: float) -> float:
        due = [moment for moment in (server.rests_until, self._later[0][0] if self._later else 0.0) if moment > now]
        return min([SLICE, *(moment - now for moment in due)])
