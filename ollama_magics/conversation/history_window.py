"""Choose the earlier turns that fit into the context, and send fewer where the server refuses them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Struct, field

from ollama_magics.conversation import sounds
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.turns import Place, Turn, system_of
from ollama_magics.errors import PromptProblem, PromptTooLong
from ollama_magics.messages import Phrase
from ollama_magics.server.failures import quote
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest, Message

# Earlier turns are known to the token: prompt_eval_count and eval_count of an answer cover everything until then. Only what
# is new is estimated, and rather too low: after a refusal the server is asked again with fewer turns.
_PER_MESSAGE = 4  # tokens that a template puts around a message
_PER_PICTURE = 256  # tokens, for the models that need few
_ASCII_PER_TOKEN = 4  # characters, on average of the usual vocabularies; other characters are about one token each
_LEAST, _MOST = 0.5, 8.0  # bounds of what a model needs for one estimated token: 8 where it reads byte by byte
# No text has so many characters for each token, except for what repeats itself.
_MOST_PER_TOKEN, _REPEATED = 8, re.compile(r"(.{1,4}?)\1{3,}", re.DOTALL)
_LONGEST_NAME = 60  # characters of the prompt that names a turn
_ANSWER_SHARE = 4  # at most a quarter of the context is left free for the answer


class Ruler(Struct, frozen=True):
    """Estimates the tokens of texts for a model; ``scale`` is what earlier texts needed for one token of the plain estimate."""

    model: str
    scale: float = 1.0

    def text(self, text: str) -> int:
        """Return the estimated tokens of a text."""
        return math.ceil(_plain_estimate(text) * self.scale)

    def messages(self, messages: Iterable[Message]) -> int:
        """Return the estimated tokens of messages, pictures included."""
        return sum(self.text(_counted_text(one)) + _PER_MESSAGE + _PER_PICTURE * len(one.images) for one in messages)

    def functions(self, request: ChatRequest) -> int:
        """Return the estimated tokens of the descriptions of the functions that may be called."""
        return self.text(_json(request.tools)) if request.tools else 0

    def turn(self, turn: Turn) -> int:
        """Return the tokens of a turn: as the server counted them for this model, else estimated."""
        return turn.tokens if turn.tokens and turn.model == self.model else self.messages(turn.messages)


def ruler_of(model: str, turns: Iterable[Turn]) -> Ruler:
    """Return the ruler of a model, scaled by the turns that it has counted."""
    counted = [turn for turn in turns if turn.tokens and turn.model == model]
    sent = [message for turn in counted for message in turn.messages]
    estimate = sum(_plain_estimate(_counted_text(message)) for message in sent)
    if not estimate:
        return Ruler(model)
    needed = sum(turn.tokens for turn in counted) - len(sent) * _PER_MESSAGE
    return Ruler(model, min(_MOST, max(_LEAST, needed / estimate)))


def left_out(sizes: Sequence[int], limit: int) -> int:
    """Return how many of the oldest turns, of these sizes in tokens, to leave out so that the others fit into the limit."""
    total = sum(sizes)
    for count, size in enumerate(sizes):
        if total <= limit:
            return count
        total -= size
    return len(sizes)


def free_for_answer(context: int, most_tokens: int) -> int:
    """Return the tokens that are kept free for the answer, so that the model does not forget while it writes."""
    longest = context // _ANSWER_SHARE
    return min(most_tokens, longest) if most_tokens > 0 else longest


def fewer(sizes: Sequence[int], error: PromptTooLong, refusals: int) -> int:
    """Return how many more of the oldest turns to leave out after a refusal."""
    if error.tokens and error.limit:
        return max(1, left_out(sizes, sum(sizes) - (error.tokens - error.limit)))
    # without the server's numbers a quarter of what is left, then half, then three quarters, then all
    return max(1, math.ceil(len(sizes) * min(4, refusals) / 4))


def without_oldest(request: ChatRequest, turns: int) -> ChatRequest:
    """Return the request without so many of its oldest turns, each of which begins with a message of the user."""
    begins = [place for place, message in enumerate(request.messages) if message.role == "user"]
    kept = (*request.messages[: begins[0]], *request.messages[begins[turns] :])
    return msgspec.structs.replace(request, messages=kept)


def was_cut(request: ChatRequest | GenerateRequest, counted: int, context: int) -> bool:
    """Return whether the server cut the prompt, although it was told not to: it counted too few tokens for so much text.

    What is left of a cut prompt fills half of the context or more.
    """
    if not 0 < context // 2 <= counted:
        return False
    texts = [message.content for message in request.messages] if isinstance(request, ChatRequest) else [request.prompt]
    most = _MOST_PER_TOKEN * counted
    return sum(map(len, texts)) > most and sum(len(_REPEATED.sub(r"\1", text)) for text in texts) > most


def _counted_text(message: Message) -> str:
    # without thoughts: most templates leave them out of earlier turns
    return message.content + (_json(message.tool_calls) if message.tool_calls else "")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _plain_estimate(text: str) -> float:
    ascii_count = len(text.encode("ascii", "ignore"))
    return ascii_count / _ASCII_PER_TOKEN + (len(text) - ascii_count)


class HistoryWindow(Struct, frozen=True):
    """What is sent with a prompt: earlier turns, and the system prompt that was typed with them."""

    conversation: Conversation | None = None
    place: Place = field(default_factory=Place)
    turns: tuple[Turn, ...] = ()
    system: str | None = None
    continues: Turn | None = None  # the cut turn that is sent instead of a prompt
    sizes: tuple[int, ...] = ()  # tokens of the turns
    fixed_tokens: int = 0  # of the system prompt and of the functions that may be called
    left_out: int = 0  # number of turns that do not fit
    notes: tuple[Note, ...] = ()  # what of the turns the model cannot read

    def messages(self, text: str, pictures: tuple[str, ...]) -> tuple[Message, ...]:
        """Return the turns, then the new prompt, or the cut answer as the last message."""
        turns = (message for turn in self.turns for message in turn.messages)
        if self.continues is None:
            return (*turns, Message("user", text, pictures))
        begun = (self.continues.answer,) if self.continues.answer.content else ()
        return (*turns, self.continues.prompt, *self.continues.between, *begun)


def recall(conversation: Conversation | None, place: Place, *, new: bool = False, go_on: bool = False) -> HistoryWindow:
    """Return all earlier turns of a prompt, or with ``go_on`` the cut turn; raises PromptProblem where none was cut."""
    if not go_on:
        earlier = () if conversation is None or new else conversation.history(place)
        return HistoryWindow(conversation, place, _complete(earlier), system_of(earlier))

    turns = conversation.turns if conversation else ()
    last = turns[-1] if turns else None
    if last is None or not last.cut:
        raise PromptProblem("nothing-to-continue", seen=Phrase("answer_whole" if last else "no_answer"))
    place = place if place.replaces(last.place) else last.place
    return HistoryWindow(conversation, place, _complete(turns[:-1]), system_of(turns), last)


def _complete(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    return tuple(turn for turn in turns if turn.complete)


def readable(window: HistoryWindow, model: str, able: Collection[str]) -> HistoryWindow:
    """Return the window without pictures, and calls of functions, in earlier turns if the model cannot see, or call.

    Some servers refuse a picture that the model cannot see, the others ignore it; calls become bare text or nothing.
    """
    turns, notes = [], list[Note]()
    for turn in window.turns:
        kept, facts = turn, {"model": model, "turn": quote(turn.prompt.content)[:_LONGEST_NAME]}
        if kept.between and "tools" not in able:
            kept = replace(kept, between=())
            notes.append(Note(Phrase("turn_without_calls", **facts)))
        for is_heard, phrase in ((False, "turn_without_pictures"), (True, "turn_without_sounds")):
            if sounds.ability(is_heard) in able:
                continue
            prompt, *between = (_without(message, is_heard) for message in (kept.prompt, *kept.between))
            if (prompt, *between) != (kept.prompt, *kept.between):
                kept = replace(kept, prompt=prompt, between=tuple(between))
                notes.append(Note(Phrase(phrase, **facts)))
        turns.append(kept)
    return msgspec.structs.replace(window, turns=tuple(turns), notes=tuple(notes))


def _without(message: Message, is_heard: bool) -> Message:  # noqa: FBT001 - which of the two are left out
    """Return a message without its sounds, or without its pictures."""
    kept = tuple(text for text in message.images if sounds.is_sound(text) != is_heard)
    return message if len(kept) == len(message.images) else msgspec.structs.replace(message, images=kept)


def fitted(window: HistoryWindow, request: ChatRequest, context: int, *, strict: bool) -> HistoryWindow:
    """Return the window without the oldest turns that do not fit into ``context`` tokens; if ``strict``, raise PromptTooLong."""
    ruler = ruler_of(request.model, window.turns)
    sizes = tuple(map(ruler.turn, window.turns))
    new = without_oldest(request, len(sizes)).messages
    functions = ruler.functions(request)
    fixed_tokens = ruler.messages(message for message in new if message.role == "system") + functions

    limit = context - ruler.messages(new) - functions
    if strict and left_out(sizes, limit):
        needed = sum(sizes) + context - limit
        raise PromptTooLong("conversation-too-long", tokens=needed, limit=context, model=request.model, turns=len(sizes))
    if not strict:
        limit -= free_for_answer(context, request.options.get("num_predict", -1))
    count = left_out(sizes, limit)
    turns, sizes = window.turns[count:], sizes[count:]
    return msgspec.structs.replace(window, turns=turns, sizes=sizes, fixed_tokens=fixed_tokens, left_out=count)


class Sender(Struct):
    """Sends one request without its oldest turns, of the sizes in ``history``, if the server refuses it and not ``strict``."""

    request: ChatRequest | GenerateRequest
    send: Callable[[Any], Iterator[Chunk]]
    history: tuple[int, ...]
    context_length: int
    strict: bool
    left_out: int = 0

    def __call__(self, between: tuple[Message, ...]) -> Iterator[Chunk]:
        """Yield the answer to the request and to the messages since: calls of functions and their results."""
        for refusals in itertools.count(1):
            request = self.request
            if between and isinstance(request, ChatRequest):
                request = msgspec.structs.replace(request, messages=(*request.messages, *between))
            try:
                yield from self.send(request)
            except PromptTooLong as error:
                if self.strict or not self.history or not isinstance(self.request, ChatRequest):
                    if error.limit is None and self.context_length:  # servers before 0.30 give no numbers
                        error.limit = self.context_length
                        error.facts["said"] = Phrase("too_long_said", said=error.facts["said"], limit=error.limit)
                    raise
                count = min(len(self.history), fewer(self.history, error, refusals))
                self.request, self.history = without_oldest(self.request, count), self.history[count:]
                self.left_out += count
            else:
                return
