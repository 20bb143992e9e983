"""Send the requests of rows, decode the answers, and keep count of what became of the rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ollama_magics.conversation.exchange import Round, ToolLoop
from ollama_magics.conversation.history_window import was_cut
from ollama_magics.conversation.tools import Toolbox
from ollama_magics.errors import AnswerCut, Cancelled, OllamaMagicsError
from ollama_magics.jobs.queue import BatchFailure, BatchQueue, Server
from ollama_magics.jobs.width import WidthSearch
from ollama_magics.rows.cache import RowCache
from ollama_magics.rows.formats import Request, RowAnswer, RowFormat
from ollama_magics.server.client import Client
from ollama_magics.server.wire import ChatRequest, Message

_NANO = 1e-9
FIRST_ROWS = 20  # that are asked, whose failures are counted
_MOST_PROMPT_TIMES = 8
MOST_LATEST = 8  # rows that are shown while a job runs


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of one row: the values of the columns, or why there are none; of a cut text there are both."""

    values: Mapping[str, Any] = field(default_factory=dict)
    error: OllamaMagicsError | None = None
    seconds: float = 0.0
    tokens: int = 0
    is_reused: bool = False
    is_asked: bool = True  # False for a row whose error was found before it was sent

    @property
    def has_answer(self) -> bool:
        """Whether the row has values, also those of a cut text."""
        return self.error is None or bool(self.values)


@dataclass(frozen=True, eq=False)
class QueuedRow:
    """A row with its request, as it waits or is in flight."""

    row: int
    request: Request
    prompt: Request  # the request before the format has adapted it
    key: bytes = b""
    attempts: int = 0
    crashes: int = 0
    exclusive: bool = False
    due: float = 0.0


@dataclass
class JobState:
    """How far a job is; ``outcomes`` has a place for each row."""

    outcomes: list[RowOutcome | None]
    search: WidthSearch
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    done: int = 0
    failed: int = 0
    reused: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    retries: int = 0
    answered: int = 0  # rows that were asked and have values
    first_asked: int = 0  # of the first 20 rows that were asked
    first_failed: int = 0  # of these
    ended_early: OllamaMagicsError | None = None  # why the rest of the rows was not asked
    left_out: list[str] = field(default_factory=list)  # addresses of servers that failed too often
    latest: list[int] = field(default_factory=list)  # rows in the order in which they were finished, the last few
    prompt_seconds: list[float] = field(default_factory=list)  # that the first prompts took to be read

    def add(self, row: int, outcome: RowOutcome) -> None:
        """Put the outcome of a row into its place."""
        self.outcomes[row] = outcome
        self.done += 1
        self.failed += outcome.error is not None
        self.reused += outcome.is_reused
        self.tokens += outcome.tokens
        self.latest = [*self.latest[1 - MOST_LATEST :], row]
        if not outcome.is_asked or outcome.is_reused:
            return
        self.answered += outcome.has_answer
        if self.first_asked < FIRST_ROWS:
            self.first_asked += 1
            self.first_failed += not outcome.has_answer

    @property
    def seconds(self) -> float:
        """How long the job has run."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def is_finished(self) -> bool:
        """Whether each row has an outcome that was asked for."""
        return self.done == len(self.outcomes) and self.ended_early is None


class RowWorker:
    """Sends the requests of all threads of a job, and puts each answer into the store and its place."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a job is made of
        self,
        queue: BatchQueue[QueuedRow],
        state: JobState,
        form: RowFormat,
        cache: RowCache | None,
        toolbox: Toolbox | None,
        context_length: int,
    ) -> None:
        self._queue, self._state, self._form, self._cache, self._toolbox = queue, state, form, cache, toolbox
        self._context_length = context_length
        self._lock = threading.Lock()

    def serve(self, server: Server[QueuedRow]) -> None:
        """Send one request after another to a server until the job is over."""
        while queued := self._queue.take(server):
            failure = None
            try:
                self.finish(queued, self._ask(server.client, queued))
            except Cancelled:
                self._queue.finish(server, queued)
                return
            except BaseException as error:  # noqa: BLE001 - the main thread decides about it, or raises it
                failure = BatchFailure(server, queued, error)
            self._queue.finish(server, queued, failure)

    def _ask(self, client: Client, queued: QueuedRow) -> RowAnswer:
        answer = ask(client, queued.request, self._toolbox)
        while request := self._form.next_request(queued.prompt, answer):
            answer = answer.followed_by(ask(client, request, self._toolbox))
        return answer

    def finish(self, queued: QueuedRow, answer: RowAnswer, *, is_reused: bool = False) -> None:
        """Decode an answer, keep it if it is what was asked for, and put it into its place."""
        outcome = self._outcome(queued.request, answer, is_reused=is_reused)
        if self._cache and outcome.has_answer and not is_reused:
            self._cache.keep(queued.key, answer)
        with self._lock:
            self._state.add(queued.row, outcome)
            if not is_reused:
                self._state.prompt_tokens += answer.prompt_tokens
                if len(self._state.prompt_seconds) < _MOST_PROMPT_TIMES:
                    self._state.prompt_seconds.append(answer.prompt_seconds)
                self._state.search.add(answer.tokens, time.monotonic())

    def fail(self, row: int, error: OllamaMagicsError, *, is_asked: bool) -> None:
        """Put an error into the place of a row."""
        error = error.with_traceback(None)  # which holds the request
        with self._lock:
            self._state.add(row, RowOutcome(error=error, is_asked=is_asked))

    def _outcome(self, request: Request, answer: RowAnswer, *, is_reused: bool) -> RowOutcome:
        found = RowOutcome(seconds=answer.seconds, tokens=answer.tokens, is_reused=is_reused)
        try:
            self._require_whole_prompt(request, answer)
            return replace(found, values=self._form.decode(answer))
        except AnswerCut as cut:
            return replace(found, error=cut, values=cut.partial or {})
        except OllamaMagicsError as error:
            return replace(found, error=error)

    def _require_whole_prompt(self, request: Request, answer: RowAnswer) -> None:
        limit = self._context_length
        if 0 < limit < answer.used_tokens:
            raise AnswerCut("row-past-context", used=answer.used_tokens, limit=limit)
        if was_cut(request, answer.prompt_tokens, limit):
            raise AnswerCut("row-prompt-cut", used=answer.prompt_tokens, limit=limit)


def ask(client: Client, request: Request, toolbox: Toolbox | None = None) -> RowAnswer:
    """Return the answer to a request, after the functions that the model calls have run."""
    started = time.monotonic()

    def send(between: tuple[Message, ...]) -> Iterator[Any]:
        if between and isinstance(request, ChatRequest):
            return client.chat(msgspec.structs.replace(request, messages=(*request.messages, *between)))
        return client.chat(request)

    loop = ToolLoop(send, toolbox, Round())
    answer, logprobs, recorded = RowAnswer(), list[dict[str, Any]](), 0.0
    try:
        for chunk in loop.stream():
            logprobs += chunk.logprobs or ()
            if chunk.done:
                recorded += chunk.total_duration * _NANO
                answer = RowAnswer(
                    done_reason=chunk.done_reason or "",
                    tokens=answer.tokens + chunk.eval_count,
                    prompt_tokens=answer.prompt_tokens + chunk.prompt_eval_count,
                    used_tokens=max(answer.used_tokens, chunk.prompt_eval_count + chunk.eval_count),
                    prompt_seconds=answer.prompt_seconds + chunk.prompt_eval_duration * _NANO,
                )
    except AnswerCut as cut:
        cut.facts.setdefault("characters", len(loop.now.text))
        raise
    # a recording has the server's time only, and a replay must give the same
    seconds = recorded if client.is_recorded else time.monotonic() - started
    return msgspec.structs.replace(answer, text=loop.now.text, logprobs=tuple(logprobs), seconds=seconds)
