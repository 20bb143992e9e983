"""One turn with a model: send the request, run the functions that it calls, and collect the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from ollama_magics.conversation import records
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.history_window import Sender, was_cut
from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.prompt_file import PromptFile
from ollama_magics.conversation.schema import Schema
from ollama_magics.conversation.thoughts import Split, ThoughtSplitter
from ollama_magics.conversation.tools import Toolbox, ToolCall
from ollama_magics.conversation.turns import Place, Stats, Turn
from ollama_magics.errors import AnswerCut, ToolProblem
from ollama_magics.jobs.interrupt import defer_interrupt
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest, Message

MOST_ROUNDS = 8  # answers of one turn that may end in calls of functions
_NANO = 1e-9


class ReplyContext(Struct, frozen=True):
    """What a reply knows besides its request; lengths and sizes are in tokens."""

    conversation: Conversation | None = None  # keeps the turn
    place: Place = field(default_factory=Place)
    known: tuple[Turn, ...] | None = None  # the turns of the conversation when the request was built
    new: bool = False  # the earlier turns are dropped first
    system: str | None = None  # typed with the prompt
    continues: Turn | None = None  # the cut turn that this answer continues
    images: tuple[Any, ...] = ()  # sent with the prompt
    schema: Schema | None = None  # the type of the answer
    toolbox: Toolbox | None = None  # the functions that the model may call
    context_length: int = 0  # of the model in use
    history: tuple[int, ...] = ()  # sizes of the earlier turns that are sent, the oldest first
    fixed_tokens: int = 0  # size of the system prompt and of the functions
    left_out: int = 0  # number of earlier turns that did not fit
    strict: bool = False  # an error, instead of leaving out turns or reaching the end of the context
    files: tuple[PromptFile, ...] = ()  # that the prompt was read from
    notes: tuple[Note, ...] = ()  # what was left out or changed on the way to the model
    stored: Callable[[], str] | None = None  # returns the day of an answer that came from the store, else an empty text
    store_problem: Callable[[], str] | None = None  # returns why no answer could be found or kept there, else an empty text
    remote_host: str = ""
    renders: bool = True  # the server can tell how it renders the prompt
    secrets: tuple[Secret, ...] = ()  # that the request was sent with
    proxy: str = ""  # through which the request goes, without its password
    digest: str = ""
    server_version: str = ""
    language: str = "en"
    in_python: bool = False  # the prompt came from Python: what is shown names what to type there


class Round(Struct):
    """One answer of the model: its text, its thoughts and the calls in which it ends."""

    pieces: list[str] = field(default_factory=list)  # of the text
    thoughts: list[str] = field(default_factory=list)  # in pieces, too
    calls: list[ToolCall] = field(default_factory=list)
    late_thoughts: int = 0  # number of pieces that were taken for text first
    is_thinking: bool = False  # the last piece was thoughts
    begun_at: float = 0.0  # when the first piece came, on the monotonic clock; 0 again once the server has given its figures
    _splitter: ThoughtSplitter = field(default_factory=ThoughtSplitter)

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self.pieces)

    @property
    def thinking(self) -> str:
        """The thoughts so far."""
        return "".join(self.thoughts)

    def add(self, chunk: Chunk) -> None:
        """Add one piece of the answer; thoughts inside the text become thoughts."""
        text, thinking = chunk.text, chunk.thinking  # this runs for each token
        if self.begun_at and not thinking and self._splitter.takes_whole(text):
            self.pieces.append(text)
            self.is_thinking = False
        elif text or thinking:
            self._take(self._splitter.feed(text), thinking)
        if calls := chunk.tool_calls:
            self.calls += map(ToolCall.from_wire, calls)
        if chunk.done or calls:
            self.end()
        if chunk.done:
            self.begun_at = 0.0

    def end(self) -> None:
        """Add what was held back of the text and is part of it now."""
        self._take(self._splitter.end())

    def _take(self, split: Split, thinking: str = "") -> None:
        if split.is_late:
            split = split._replace(thoughts="".join((*self.pieces, split.thoughts)).rstrip())
            self.late_thoughts += len(self.pieces)
            self.pieces.clear()
        thoughts = [part for part in (thinking, split.thoughts) if part]
        self.thoughts += thoughts
        self.pieces += [split.text] if split.text else []
        if thoughts or split.text:
            self.is_thinking = not split.text
            self.begun_at = self.begun_at or time.monotonic()

    def pieces_after(self, known: int) -> tuple[list[str], int]:
        """Return the pieces of the text after the first ``known`` ones, and the number of pieces now.

        The number never falls, although pieces may turn out to be thoughts.
        """
        return self.pieces[max(0, known - self.late_thoughts) :], self.late_thoughts + len(self.pieces)

    def messages(self) -> Iterator[Message]:
        """Yield the answer and the results as the next request repeats them."""
        calls = tuple(call.to_wire() for call in self.calls)
        yield Message("assistant", self.text, thinking=self.thinking, tool_calls=calls)
        for call in self.calls:
            pictures = tuple(picture.base64 for picture in call.images)
            yield Message("tool", call.outcome, pictures, tool_name=call.name, tool_call_id=call.id)


class ToolLoop:
    """All answers of one turn as one stream; without a toolbox there is one round, even if the server writes calls."""

    def __init__(self, send: Callable[[tuple[Message, ...]], Iterator[Chunk]], toolbox: Toolbox | None, start: Round) -> None:
        self._send, self._toolbox = send, toolbox
        self.ended: list[Round] = []  # the rounds before now
        self.now = start
        self.between: tuple[Message, ...] = ()  # the messages between the prompt and the answer, which are sent with each round

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_send": None, "_toolbox": None}

    @property
    def calls(self) -> list[ToolCall]:
        """Every call so far, in order."""
        return [call for one in (*self.ended, self.now) for call in one.calls]

    @property
    def continues(self) -> bool:
        """Whether the last answer ends in calls, after which the model is asked again."""
        return self._toolbox is not None and bool(self.now.calls)

    def stream(self) -> Iterator[Chunk]:
        """Yield the chunks of every round, and an empty one after calls were run; raises ToolProblem."""
        while True:
            chunks = self._send(self.between)
            try:
                for chunk in chunks:
                    self.now.add(chunk)
                    yield chunk
            finally:
                self.now.end()
                if close := getattr(chunks, "close", None):
                    close()
            if self._toolbox is None or not self.now.calls:
                return
            if len(self.ended) == MOST_ROUNDS:
                raise ToolProblem("tool-rounds-too-many", most=MOST_ROUNDS)
            self._toolbox.run(self.now.calls)
            self.between += tuple(self.now.messages())
            self.ended.append(self.now)
            self.now = Round()
            yield Chunk()


class Exchange:
    """Sends the request when ``stream()`` is first read, collects the answer, and puts the turn into the conversation."""

    def __init__(
        self, request: ChatRequest | GenerateRequest, send: Callable[[Any], Iterator[Chunk]], context: ReplyContext
    ) -> None:
        self.context = context
        self.sender = Sender(request, send, context.history, context.context_length, strict=context.strict)
        start = Round([context.continues.answer.content] if context.continues else [])
        self.tool_loop = ToolLoop(self.sender, context.toolbox, start)
        self.value = records.Value(context.schema)
        self.stats = context.continues.stats if context.continues else Stats()
        self.last_round = Stats()  # whose prompt holds everything before it
        self.done_reason = ""
        self.logprobs: list[dict[str, Any]] = []
        self.asked_at = self.first_token_seconds = self.thought_seconds = 0.0  # asked_at is counted from 1970
        self.complete = self.closed = False  # the server has ended the answer; nothing more will come
        self.dropped = 0  # number of later turns that this one replaced
        self.missed = 0  # number of turns that came into the conversation meanwhile
        self._chunks: Iterator[Chunk] | None = None
        self._has_content = False
        self._started = self._counted_until = self._thinking_since = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Return the data of an answer that has ended: no client, conversation or function of the notebook."""
        if not (self.complete or self.closed):
            state = "still being read" if self.is_sent else "not asked yet"
            raise TypeError(f"a reply that is {state} cannot be pickled: read its .text first")
        notes = (*self._store_notes(), *self.context.notes)
        context = replace(
            self.context,
            conversation=None,
            known=None,
            schema=None,
            toolbox=None,
            secrets=(),
            stored=partial(str, self.stored),
            store_problem=None,
            notes=notes,
        )
        return vars(self) | {"context": context, "sender": replace(self.sender, send=_nothing), "_chunks": iter(())}

    @property
    def request(self) -> ChatRequest | GenerateRequest:
        """The request as it went out: with fewer of the oldest turns where the server refused it as too long."""
        return self.sender.request

    @property
    def left_out(self) -> int:
        """How many of the oldest turns did not go out because they did not fit."""
        return self.context.left_out + self.sender.left_out

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was left out or changed on the way to the model, the oldest turns and results of functions included."""
        turns = (Note(Phrase("left_out", count=self.left_out)),) if self.left_out else ()
        missed = (Note(Phrase("turns_missed", count=self.missed)),) if self.missed else ()
        return (
            *turns,
            *missed,
            *self._store_notes(),
            *self.context.notes,
            *(note for call in self.tool_loop.calls for note in call.notes),
        )

    def _store_notes(self) -> tuple[Note, ...]:
        problem = self.context.store_problem() if self.context.store_problem else ""
        return (Note(Phrase("store_problem", reason=problem), loses=False),) if problem else ()

    @property
    def stored(self) -> str:
        """The day on which a stored answer was given, else an empty text."""
        return self.context.stored() if self.context.stored else ""

    @property
    def is_sent(self) -> bool:
        """Whether the answer has been asked for."""
        return self._chunks is not None

    @property
    def begun(self) -> bool:
        """Whether there is anything of an answer to show."""
        return bool(self.tool_loop.now.pieces or self.tool_loop.now.thoughts or self.tool_loop.calls)

    @property
    def partial_text(self) -> str:
        """The answer so far; after calls of functions, what the model wrote since."""
        return self.tool_loop.now.text

    @property
    def shown_text(self) -> str:
        """The answer so far; once it is a whole JSON document, in lines with indents."""
        text = self.partial_text
        return records.indent_json(text) if self.value.is_expected and self.complete else text

    @property
    def thinking(self) -> str:
        """The thoughts so far."""
        return "".join(one.thinking for one in (*self.tool_loop.ended, self.tool_loop.now))

    @property
    def shifted(self) -> bool:
        """Whether the answer ran past the context, so that the model forgot the beginning while it wrote."""
        # with shift=False a server ends the answer at the last token of the context, or one later
        limit = self.context.context_length + (self.request.shift is False)
        return bool(self.context.context_length) and self.used_tokens > limit

    @property
    def prompt_cut(self) -> bool:
        """Whether the server counted so few tokens for the prompt that it must have cut it."""
        return was_cut(self.request, self.last_round.prompt_tokens, self.context.context_length)

    @property
    def used_tokens(self) -> int:
        """The tokens of the context that the last prompt and its answer take up."""
        return self.last_round.prompt_tokens + self.last_round.tokens

    @property
    def _is_full(self) -> bool:
        context = self.context
        used = self.used_tokens + (self.done_reason == "length")
        return context.strict and bool(context.context_length) and used > context.context_length

    def stream(self) -> Iterator[Chunk]:
        """Yield the chunks that have not come yet; raises AnswerCut or FormatProblem where the answer is not the whole object."""
        if self._chunks is None:
            self._chunks, self.asked_at = self.tool_loop.stream(), time.time()
            self._started = self._counted_until = time.monotonic()
        for chunk in self._chunks:
            self._add(chunk)
            yield chunk
        if self._is_full and not self.complete:
            raise AnswerCut("context-full", used=self.used_tokens, limit=self.context.context_length)

    def close(self) -> None:
        """Close the connection, so that the server stops; a partial turn is kept as cut."""
        if self._chunks is None or self.closed:
            return
        with defer_interrupt():
            self.closed = True
            if close := getattr(self._chunks, "close", None):
                close()
            if self._has_content and not self.complete:
                self._keep(complete=False)

    def _add(self, chunk: Chunk) -> None:
        thinks = self._thinking_since or self.tool_loop.now.is_thinking
        if self._has_content and not (thinks or chunk.done or chunk.logprobs or chunk.tool_calls):
            return  # one more piece of the text, as almost all chunks are
        now = time.monotonic()
        has_content = bool(chunk.text or chunk.thinking or chunk.tool_calls)
        if not self._has_content and (has_content or chunk.done):
            self.first_token_seconds = now - self._started
        self._has_content = self._has_content or has_content

        is_thinking = self.tool_loop.now.is_thinking
        if is_thinking and not self._thinking_since:
            self._thinking_since = now
        if self._thinking_since and (not is_thinking or chunk.tool_calls or chunk.done):
            self.thought_seconds += now - self._thinking_since
            self._thinking_since = 0.0

        self.logprobs += chunk.logprobs or ()
        if not chunk.done:
            return

        self.done_reason = chunk.done_reason or ""
        self.last_round = Stats(
            prompt_tokens=chunk.prompt_eval_count,
            tokens=chunk.eval_count,
            seconds=now - self._counted_until,
            load_seconds=chunk.load_duration * _NANO,
            first_token_seconds=self.first_token_seconds,
            writing_seconds=chunk.eval_duration * _NANO,
        )
        self.stats, self._counted_until = self.stats + self.last_round, now
        if self._is_full or self.tool_loop.continues:
            return
        self.value.decode(self.partial_text, self.tool_loop.now.thinking, self.done_reason, chunk.eval_count)
        with defer_interrupt():
            self.complete = True
            # an answer that ended inside its thoughts has no text that could be sent again
            self._keep(complete=bool(self.partial_text or self.tool_loop.now.calls) or self.done_reason != "length")
        self.value.require_match()

    def _keep(self, *, complete: bool) -> None:
        context, request, text = self.context, self.request, self.partial_text
        if context.conversation is None or not isinstance(request, ChatRequest):
            return
        if context.known is not None:
            known = set(map(id, context.known))
            self.missed = sum(id(turn) not in known for turn in context.conversation.turns)
        if context.new:
            context.conversation.clear()
        if not context.continues:
            self.dropped = context.conversation.dropped_by(context.place)

        # the server counts everything so far, calls of functions too: what was there before this turn was counted with the
        # earlier ones, and thoughts are not sent again
        tokens = 0
        if self.last_round.prompt_tokens:
            written = len(text) / (len(text) + len(self.tool_loop.now.thinking) or 1)
            earlier = context.fixed_tokens + sum(self.sender.history)
            tokens = max(0, self.last_round.prompt_tokens + round(self.last_round.tokens * written) - earlier)

        turn = Turn(
            prompt=next(message for message in reversed(request.messages) if message.role == "user"),
            answer=Message("assistant", text),
            place=context.place,
            complete=complete,
            model=request.model,
            system=context.system,
            at_limit=complete and self.done_reason == "length",
            tokens=tokens,
            stats=self.stats,
            between=(*(context.continues.between if context.continues else ()), *self.tool_loop.between),
        )
        context.conversation.keep(turn, instead=context.continues, secrets=context.secrets)


def _nothing(_: object) -> Iterator[Chunk]:
    """Send nothing: the answer has ended."""
    return iter(())
