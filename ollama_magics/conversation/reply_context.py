"""What a reply knows besides its request: figures of the server, the expected type, the conversation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ollama_magics.conversation import schema
from ollama_magics.conversation.conversation import Conversation, Place, Turn
from ollama_magics.conversation.schema import Schema
from ollama_magics.conversation.tools import Toolbox
from ollama_magics.errors import AnswerCut, FormatProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.wire import Chunk

_NANO = 1e-9


@dataclass(frozen=True)
class Stats:
    """Counts in tokens, times in seconds; zero where the server did not say."""

    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    load_seconds: float = 0.0
    first_token_seconds: float = 0.0
    tokens_per_second: float = 0.0


@dataclass(frozen=True)
class ReplyContext:
    """What a reply must know besides its request: its conversation and place, the pictures, the context, the host.

    ``new``: the conversation starts afresh with this turn, once it has come. ``ahead``: the tokens of each earlier turn that goes
    out, the oldest first, and ``before`` those of the system prompt and of the functions; ``left_out``: how many turns were left
    out so that the prompt fits. ``strict``: nothing is left out, nor may the answer reach the end of the context. ``goes_on``:
    the cut turn that this answer goes on with. ``system`` was typed with the prompt. ``notes`` are facts to tell with the answer.
    ``stored`` returns the day on which the answer was given, where it was taken from the store, else an empty text. ``schema``:
    the answer is a value of that type; ``toolbox``: the functions that the model may call.
    """

    conversation: Conversation | None = None
    place: Place = field(default_factory=Place)
    images: tuple[Any, ...] = ()
    context: int = 0
    new: bool = False
    asked_context: int = 0
    remote_host: str = ""
    language: str = "en"
    ahead: tuple[int, ...] = ()
    before: int = 0
    left_out: int = 0
    strict: bool = False
    goes_on: Turn | None = None
    system: str | None = None
    notes: tuple[Phrase, ...] = ()
    digest: str = ""
    server_version: str = ""
    stored: Callable[[], str] = str
    schema: Schema | None = None
    toolbox: Toolbox | None = None


def stats_of(last: Chunk, seconds: float, first: float) -> Stats:
    """Return the figures of an answer: its last line, the seconds it took, and those to its first token."""
    writing = last.eval_duration * _NANO
    return Stats(
        prompt_tokens=last.prompt_eval_count,
        tokens=last.eval_count,
        seconds=seconds,
        load_seconds=last.load_duration * _NANO,
        first_token_seconds=first,
        tokens_per_second=last.eval_count / writing if writing else 0.0,
    )


class Value:
    """Reads one growing text; without a schema there is nothing to read."""

    def __init__(self, wanted: schema.Schema | None) -> None:
        self._wanted = wanted
        self._rows, self._read = schema.RowReader(), list[Any]()

    def decode(self, text: str, done_reason: str, stats: Stats) -> None:
        """Read the whole text; raises AnswerCut where it is cut, or no such object."""
        if self._wanted is None:
            return
        if done_reason == "length":
            raise AnswerCut("object-cut", most=stats.tokens, characters=len(text))
        try:
            self._read.append(self._wanted.decode(text))
        except schema.SchemaMismatchError as error:
            raise AnswerCut("object-invalid", reason=error) from None

    def get(self) -> Any:
        """Return the object; raises FormatProblem where there is none."""
        if not self._read:
            raise FormatProblem("object-missing")
        return self._read[0]

    def rows(self, text: str) -> list[dict[str, Any]]:
        """Return the rows that are complete so far, of a value that is a list of them; of any other, none."""
        if self._wanted is None or not self._wanted.is_list:
            return []
        return schema.records(self._read[0]) if self._read else self._rows.read(text)
