"""The reply to one prompt, as data and as something that shows itself."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Self

from ollama_magics import messages
from ollama_magics.conversation.exchange import Exchange, ReplyContext, Round
from ollama_magics.conversation.rendered_prompt import RenderedPrompt, render_prompt
from ollama_magics.conversation.sounds import Sound
from ollama_magics.conversation.tools import ToolCall
from ollama_magics.conversation.turns import Stats, message_dict
from ollama_magics.errors import AnswerCut, FormatProblem, Interrupted, ToolProblem, in_language
from ollama_magics.jobs.unused import Unused
from ollama_magics.messages import python_words
from ollama_magics.render.answer import AnswerView, CallView, Output, RoundView, answer_output
from ollama_magics.render.shown_once import ShownOnce
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest, Message

_MOST_THUMBNAILS = 12
_MOST_NOTES = 4  # lines of notes under an answer


class Reply(ShownOnce, Unused):
    """The answer to one prompt; the request is sent at the first iteration, or where the reply is shown or the answer is needed.

    ``text``, ``value``, ``stats`` and whatever else the answer decides need it; while it is read they are what there is so far.

    Iterating yields the text in pieces as they come, always from its start; ``chunks()`` yields what the server sends.
    ``str(reply)``, ``len(reply)`` and ``"word" in reply`` are those of the text; a reply is true, also an empty one. A ``with``
    block closes the connection. Once the answer has ended, the reply is data: it can be pickled and copied, if its ``value``
    can. What is pickled holds the request with its pictures, but no client, key or function.

    Raises AnswerCut where the answer ends early, FormatProblem where it does not fit ``format`` (both with the reply as
    ``.partial``), Interrupted where the user stops it, and ToolProblem where the functions that the model calls may not be run.

    Example::

        reply = om.chat("Name three colours.")
        for piece in reply:
            print(piece, end="")
        reply.stats.tokens_per_second
    """

    def __init__(
        self,
        request: ChatRequest | GenerateRequest,
        send: Callable[[Any], Iterator[Chunk]],
        context: ReplyContext | None = None,
    ) -> None:
        self._exchange = Exchange(request, send, context or ReplyContext())

    def __getstate__(self) -> dict[str, Any]:
        self._is_used = True
        return {"_exchange": self._exchange}  # not whether this cell has shown it

    # What was sent.

    @property
    def request(self) -> ChatRequest | GenerateRequest:
        """The request as it goes out; once sent, with fewer of the oldest turns where the server refused it as too long."""
        self._is_used = True  # it was made to be looked at
        return self._exchange.request

    def rendered_prompt(self) -> RenderedPrompt:
        """Return the text that the server would give to the model, by the model's own template; the model is not asked.

        The server loads the model for it. Raises as the class says.

        Example: ``print(om.chat("Hello", system="Be kind.").rendered_prompt())``
        """
        sender, context, self._is_used = self._exchange.sender, self._exchange.context, True
        with in_language(lambda: context.language):
            return render_prompt(sender, asks=context.renders, notes=self.notes, language=context.language)

    @property
    def model(self) -> str:
        """The name of the model, as it was sent."""
        return self.request.model

    @property
    def images(self) -> tuple[Any, ...]:
        """What the model gets: pictures (``data``, ``width``, ``height``), and sounds (``data``, ``kind``, ``seconds``)."""
        self._is_used = True
        return self._exchange.context.images

    @property
    def left_out(self) -> int:
        """The number of turns at the start of the conversation that did not go out because they did not fit."""
        return self._exchange.left_out

    @property
    def notes(self) -> list[str]:
        """What was left out, converted or ignored on the way to the model, one sentence each."""
        self._is_used = True
        return [_text(self._exchange, note.phrase) for note in self._exchange.notes]

    # What came back.

    @property
    def text(self) -> str:
        """The answer; sends the request if that has not happened yet.

        While the answer is read, and after an interrupt, this is the text so far. Raises as the class says.
        """
        return self._answered().partial_text

    @property
    def thinking(self) -> str:
        """The thoughts of the model; empty where it had none or was not asked to think. Sends the request as ``text`` does."""
        return self._answered().thinking

    @property
    def value(self) -> Any:
        """The answer as an object of the type given as ``format``; sends the request if that has not happened yet.

        Raises FormatProblem where there is none (``object-missing``) and at the end of an answer that is no such object
        (``object-invalid``), and AnswerCut where it was cut (``object-cut``).
        """
        with in_language(lambda: self._exchange.context.language):
            return self._answered().value.get()

    @property
    def frame(self) -> Any:
        """The value as a pandas DataFrame: a row for each element of a list, or one for an object. Raises as ``value`` does."""
        self.value  # noqa: B018 - asks, and raises what it raises
        return self._exchange.value.frame()

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The functions that the model called, in order, each with ``name``, ``arguments``, and ``result`` or ``error``."""
        return self._answered().tool_loop.calls

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All messages of the request and the answer, as dicts with ``role`` and ``content``; pictures are left out."""
        exchange, request = self._answered(), self.request
        sent = request.messages if isinstance(request, ChatRequest) else (Message("user", request.prompt),)
        sent = sent[:-1] if sent[-1].role == "assistant" else sent  # the beginning of the answer that is continued
        return [message_dict(one) for one in (*sent, *exchange.tool_loop.between, Message("assistant", exchange.partial_text))]

    @property
    def logprobs(self) -> list[dict[str, Any]]:
        """The log probabilities of the tokens as the server sent them; empty where they were not asked for.

        With a ``format`` they are those of the model without it: a token that only the format allows has a low one.
        """
        return self._answered().logprobs

    # How it ended.

    @property
    def stats(self) -> Stats:
        """Token counts, seconds and rates over all rounds of the turn; zeros while the first round is read."""
        return self._answered().stats

    @property
    def done_reason(self) -> str:
        """Why the server ended the answer, such as ``stop`` or ``length``; empty while it is read."""
        return self._answered().done_reason

    @property
    def complete(self) -> bool:
        """Whether the server ended the answer; asks nothing. With ``done_reason`` ``length`` the max tokens still cut it."""
        return self._exchange.complete

    @property
    def shifted(self) -> bool:
        """Whether the answer ran past the context, so that the model forgot the beginning while it wrote."""
        return self._answered().shifted

    @property
    def stored(self) -> str:
        """The day of the answer, such as ``2026-11-22``, where ``--reuse`` took it from the store; else empty."""
        return self._answered().stored

    # The stream.

    def __iter__(self) -> Iterator[str]:
        """Yield the text in pieces: those that are there, then the others as they come.

        With functions that the model calls, these are the texts of all rounds; ``text`` is the last of them.
        """
        loop, ended, known = self._exchange.tool_loop, 0, 0
        for _ in chain((None,), self.chunks()):
            while ended < len(loop.ended):
                yield from loop.ended[ended].pieces_after(known)[0]
                ended, known = ended + 1, 0
            pieces, known = loop.now.pieces_after(known)
            yield from pieces

    def chunks(self) -> Iterator[Chunk]:
        """Yield what the server sends and has not been read yet: pieces of text or thoughts, calls, and at last the counts."""
        self._is_used = True
        try:
            with in_language(lambda: self._exchange.context.language):
                yield from self._exchange.stream()
        except GeneratorExit:  # it may be read on
            raise
        except BaseException as error:
            if isinstance(error, (AnswerCut, FormatProblem, ToolProblem)):
                error.partial = self
                error.facts["characters"] = str(len(self._exchange.partial_text))
            self.__exit__(type(error), error, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        try:
            self.close()
        except KeyboardInterrupt:
            interrupted = True
        if interrupted and not isinstance(error, Interrupted):
            with in_language(lambda: self._exchange.context.language):
                raise Interrupted(self if self._exchange.begun else None) from None

    def close(self) -> None:
        """Close the connection, so that the server stops writing; a partial turn stays in the conversation, marked as cut."""
        self._is_used = True
        self._exchange.close()

    def _answered(self) -> Exchange:
        """Return the exchange; sends the request first, and reads the answer, if that has not happened yet."""
        if not self._exchange.is_sent:
            with self:
                deque(self.chunks(), maxlen=0)
        return self._exchange

    def __str__(self) -> str:
        return self.text

    def __format__(self, spec: str) -> str:
        return format(self.text, spec)

    def __contains__(self, part: str) -> bool:
        return part in self.text

    def __len__(self) -> int:
        return len(self.text)

    def __bool__(self) -> bool:
        return True  # asks nothing, as len() would

    def __repr__(self) -> str:
        state = "complete" if self.complete else "not complete" if self._exchange.is_sent else "not asked yet"
        return f"<Reply of {self.model}, {len(self._exchange.partial_text)} characters, {state}>"

    def _repr_mimebundle_(self, **_: object) -> Output:
        str(self)  # asks, if that has not happened yet
        return answer_output(answer_view(self))


def exchange_of(reply: Reply) -> Exchange:
    """Return what this package and the display need to know of a reply, and a user does not."""
    return reply._exchange  # noqa: SLF001 - kept out of what a user sees of a reply


def answer_view(reply: Reply, *, times: bool = True, streaming: bool = False, in_column: bool = False) -> AnswerView:
    """Return what is shown of a reply.

    Without ``times`` it is the same in every run. While it is ``streaming``, thoughts are unfolded until the text begins, and the
    figures are the model, about how many tokens have come, and their speed.
    ``in_column``: beside the answers of other models, with the figures that compare them.
    """
    exchange = exchange_of(reply)
    context, loop = exchange.context, exchange.tool_loop
    is_thinking = streaming and not exchange.partial_text
    title = _phrase(exchange, "thinking" if is_thinking else "thoughts")
    if times and exchange.thought_seconds and not is_thinking:
        title = _phrase(exchange, "thought_for", seconds=f"{exchange.thought_seconds:.1f}")
    sent = (*context.images, *(one for call in loop.calls for one in call.images))
    pictures = tuple(one for one in sent if not isinstance(one, Sound))
    more = len(pictures) - _MOST_THUMBNAILS
    figures = live_figures(exchange, in_column=in_column)
    if not streaming:
        figures = [*_footer_parts(exchange, times=times, in_column=in_column), *_footer_parts_of_request(exchange)]
    return AnswerView(
        model=reply.model,
        text=exchange.shown_text,
        language=context.language,
        thinking=exchange.thinking,
        thinking_title=title,
        is_thinking=is_thinking,
        earlier=[round_view(one) for one in loop.ended],
        calls=round_view(loop.now).calls,
        is_data=exchange.value.is_expected,
        rows=exchange.value.rows(exchange.partial_text),
        pictures=pictures[:_MOST_THUMBNAILS],
        more_pictures=_phrase(exchange, "more_pictures", count=more) if more > 0 else "",
        figures=figures,
        warnings=_warnings(exchange),
        provenance=_provenance(reply, times=times),
    )


def round_view(one: Round) -> RoundView:
    """Return what is shown of a text and of the calls in which it ended."""
    calls = [CallView(str(call), call.outcome if call.has_ended else None, call.error is not None) for call in one.calls]
    return RoundView(one.text, calls)


def _phrase(exchange: Exchange, key: str, **facts: object) -> str:
    return _text(exchange, messages.Phrase(key, **facts))


def _text(exchange: Exchange, phrase: messages.Phrase) -> str:
    text = phrase.text(exchange.context.language)
    return python_words.in_python(text) if exchange.context.in_python else text


def live_figures(exchange: Exchange, *, in_column: bool = False) -> list[str]:
    """Return the model, about how many tokens have come, and their speed, while an answer is read: a piece is about a token."""
    stats, now = exchange.stats, exchange.tool_loop.now
    if now.begun_at:
        stats += Stats(tokens=len(now.pieces) + len(now.thoughts), writing_seconds=time.monotonic() - now.begun_at)
    figures = [] if in_column else [exchange.request.model]
    if stats.tokens:
        figures.append(_phrase(exchange, "tokens_so_far", count=messages.group_digits(stats.tokens)))
    if stats.tokens_per_second:
        figures.append(_phrase(exchange, "speed", rate=f"{stats.tokens_per_second:.0f}"))
    return figures


def _footer_parts(exchange: Exchange, *, times: bool, in_column: bool) -> list[str]:
    stats, context_length = exchange.stats, exchange.context.context_length
    figures = [] if in_column else [exchange.request.model]
    if exchange.stored and not in_column:
        figures.append(_phrase(exchange, "stored_on", day=exchange.stored) if times else _phrase(exchange, "stored"))
        times = False  # they were those of another day
    if stats.tokens:
        figures.append(_phrase(exchange, "tokens", count=messages.group_digits(stats.tokens)))
    if times and stats.tokens_per_second:
        figures.append(_phrase(exchange, "speed", rate=f"{stats.tokens_per_second:.0f}"))
    if times and stats.seconds:
        figures.append(_phrase(exchange, "seconds", seconds=f"{stats.seconds:.1f}"))
    if in_column:
        return figures
    if times and exchange.first_token_seconds:
        figures.append(_phrase(exchange, "first", seconds=f"{exchange.first_token_seconds:.1f}"))
    if exchange.last_round.prompt_tokens and context_length:
        used, size = map(messages.group_digits, (exchange.used_tokens, context_length))
        figures.append(_phrase(exchange, "context", used=used, size=size))
    return figures


def _footer_parts_of_request(exchange: Exchange) -> list[str]:
    """Return where the prompt was sent, if not to this machine, and what was converted without loss."""
    host, proxy, notes = exchange.context.remote_host, exchange.context.proxy, _shown_notes(exchange, loses=False)
    return [_phrase(exchange, "remote_proxy" if proxy else "remote", host=host, proxy=proxy), *notes] if host else notes


def _shown_notes(exchange: Exchange, *, loses: bool) -> list[str]:
    """Return the notes that do or do not lose anything: equal ones once, with their number, and only the first few."""
    texts = Counter(_text(exchange, note.phrase) for note in exchange.notes if note.loses == loses)
    shown = [text if count == 1 else _phrase(exchange, "several_times", text=text, count=count) for text, count in texts.items()]
    rest = [_phrase(exchange, "more_notes", count=len(shown) - _MOST_NOTES)] if len(shown) > _MOST_NOTES else []
    return shown[:_MOST_NOTES] + rest


def _warnings(exchange: Exchange) -> list[str]:
    """Return what keeps the answer from being whole and plain, one sentence each."""
    request, text = exchange.request, exchange.partial_text
    at_limit = exchange.complete and exchange.done_reason == "length"
    checks = (
        ("cut", at_limit and text, request.options.get("num_predict", "")),
        ("only_thoughts", at_limit and not text, ""),
        ("shifted", exchange.shifted, ""),
        ("prompt_cut", exchange.prompt_cut, messages.group_digits(exchange.last_round.prompt_tokens)),
        ("incomplete", exchange.closed and not exchange.complete, ""),
        ("dropped", exchange.dropped, exchange.dropped),
        ("no_logprobs", exchange.complete and request.logprobs is True and not exchange.logprobs, ""),
    )
    warnings = [_phrase(exchange, key, count=count) for key, is_true, count in checks if is_true]
    return warnings + _shown_notes(exchange, loses=True)


def _provenance(reply: Reply, *, times: bool) -> dict[str, Any]:
    """Return model, digest, the server's version, options, seed, time (UTC), files and notes of the request, as far as known."""
    exchange = exchange_of(reply)
    context, options = exchange.context, dict(exchange.request.options)
    asked_at = datetime.fromtimestamp(exchange.asked_at, UTC)
    facts = {
        "model": exchange.request.model,
        "digest": context.digest,
        "server": f"Ollama {context.server_version}" if context.server_version else "",
        "options": options,
        "seed": options.get("seed"),
        "time": asked_at.isoformat(timespec="seconds") if times and exchange.asked_at else "",
        "files": [{"name": file.name, "sha256": file.sha256} for file in context.files],
        "notes": reply.notes,
    }
    return {name: fact for name, fact in facts.items() if fact not in ("", None, [])}
