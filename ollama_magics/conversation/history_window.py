"""Choose the earlier turns that fit into the context ahead of a prompt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ollama_magics.conversation.conversation import Conversation, Place, Turn, system_of
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.errors import PromptProblem, PromptTooLong
from ollama_magics.messages import Phrase
from ollama_magics.server.wire import ChatRequest, Message

# The earlier part is known to the token: prompt_eval_count and eval_count of an answer cover all that was said until then. Only
# what is new is estimated, and rather too low: a server that refuses what we let through is asked again with fewer turns.


_AROUND = 4  # tokens that a template puts around a message
_PICTURE = 256  # tokens of a picture, of the models that need few
_SIGNS = 4  # ASCII signs in a token, on average of the usual vocabularies; other signs are about one token each
_LEAST, _MOST = 0.5, 8.0  # what a model may need instead of one token of that estimate: 8 where it reads byte by byte
_ANSWER = 4  # a quarter of the context at the most is left free for the answer


@dataclass(frozen=True)
class Ruler:
    """Measures texts in tokens of a model, by what that model needed for earlier ones."""

    model: str
    scale: float = 1.0

    def text(self, text: str) -> int:
        """Return about how many tokens a text has."""
        return math.ceil(_plain_estimate(text) * self.scale)

    def messages(self, messages: Iterable[Message]) -> int:
        """Return about how many tokens messages have, pictures included."""
        return sum(self.text(_said(one)) + _AROUND + _PICTURE * len(one.images) for one in messages)

    def functions(self, request: ChatRequest) -> int:
        """Return about how many tokens the descriptions of the functions have that may be called."""
        return self.text(_json(request.tools)) if request.tools else 0

    def turn(self, turn: Turn) -> int:
        """Return the tokens of a turn: as the server counted them, else about."""
        return turn.tokens if turn.tokens and turn.model == self.model else self.messages(turn.messages)


def ruler_of(model: str, turns: Iterable[Turn]) -> Ruler:
    """Return the ruler of a model after these turns."""
    counted = [turn for turn in turns if turn.tokens and turn.model == model]
    texts = (_said(message) for turn in counted for message in turn.messages)
    estimate, around = sum(map(_plain_estimate, texts)), sum(len(turn.messages) for turn in counted) * _AROUND
    if not estimate:
        return Ruler(model)
    return Ruler(model, min(_MOST, max(_LEAST, (sum(turn.tokens for turn in counted) - around) / estimate)))


def left_out(sizes: Sequence[int], room: int) -> int:
    """Return how many of the oldest turns, of these sizes in tokens, must be left out so that the others fit."""
    total = sum(sizes)
    for count, size in enumerate(sizes):
        if total <= room:
            return count
        total -= size
    return len(sizes)


def free_for_answer(context: int, most_tokens: int) -> int:
    """Return the tokens that earlier turns leave to the answer, so that the model does not forget while it writes."""
    longest = context // _ANSWER
    return min(most_tokens, longest) if most_tokens > 0 else longest


def fewer(sizes: Sequence[int], error: PromptTooLong, refusals: int) -> int:
    """Return how many more of the oldest turns to leave out after a refusal: enough, where the server gave its numbers.

    Where it gave none, a quarter, then half, then three quarters of what is left, then all.
    """
    if error.tokens and error.limit:
        return max(1, left_out(sizes, sum(sizes) - (error.tokens - error.limit)))
    return max(1, math.ceil(len(sizes) * min(4, refusals) / 4))


def without_oldest(request: ChatRequest, turns: int) -> ChatRequest:
    """Return the request without its oldest turns, each of which begins with the message of a user."""
    begins = [place for place, message in enumerate(request.messages) if message.role == "user"]
    kept = (*request.messages[: begins[0]], *request.messages[begins[turns] :])
    return msgspec.structs.replace(request, messages=kept)


def _said(message: Message) -> str:
    # thoughts are left out: most templates leave them out of earlier turns
    return message.content + (_json(message.tool_calls) if message.tool_calls else "")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _plain_estimate(text: str) -> float:
    ascii_signs = len(text.encode("ascii", "ignore"))
    return ascii_signs / _SIGNS + (len(text) - ascii_signs)


@dataclass(frozen=True)
class HistoryWindow:
    """What goes out ahead of a prompt: earlier turns with their tokens, and the system prompt that was typed with them.

    ``goes_on`` is the cut turn that is sent in the place of a prompt, ``before`` are the tokens of the system prompt and
    of the functions that may be called, and ``left_out`` is the number of turns that do not fit.
    """

    conversation: Conversation | None = None
    place: Place = field(default_factory=Place)
    turns: tuple[Turn, ...] = ()
    system: str | None = None
    goes_on: Turn | None = None
    sizes: tuple[int, ...] = ()
    before: int = 0
    left_out: int = 0

    def messages(self, text: str, pictures: tuple[str, ...]) -> tuple[Message, ...]:
        """Return the turns as they are sent, then the new prompt, or the cut answer as the last message."""
        turns = (message for turn in self.turns for message in turn.messages)
        if self.goes_on is None:
            return (*turns, Message("user", text, pictures))
        begun = (self.goes_on.answer,) if self.goes_on.answer.content else ()
        return (*turns, self.goes_on.prompt, *self.goes_on.between, *begun)


def recall(conversation: Conversation | None, prompt: Prompt) -> HistoryWindow:
    """Return all that was said before a prompt; raises PromptProblem where it shall go on and nothing was cut."""
    if prompt.go_on:
        return _going_on(conversation or Conversation(), prompt)
    if conversation is None or prompt.new:
        return HistoryWindow(conversation, prompt.place)
    turns = conversation.ahead(prompt.place)
    return HistoryWindow(conversation, prompt.place, _whole(turns), system_of(turns))


def _going_on(conversation: Conversation, prompt: Prompt) -> HistoryWindow:
    last = conversation.turns[-1] if conversation.turns else None
    if last is None or not last.cut:
        raise PromptProblem("nothing-to-continue", seen=Phrase("answer_whole" if last else "no_answer"))
    place = prompt.place if prompt.place.replaces(last.place) else last.place
    return HistoryWindow(conversation, place, _whole(conversation.turns[:-1]), system_of(conversation.turns), last)


def _whole(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    return tuple(turn for turn in turns if turn.complete)


def fitted(ahead: HistoryWindow, request: ChatRequest, context: int, *, strict: bool) -> HistoryWindow:
    """Return what goes out of a request that holds all turns: the oldest are left out where they do not fit.

    Raises PromptTooLong where one would have to be left out and ``strict`` forbids it.
    """
    ruler = ruler_of(request.model, ahead.turns)
    sizes = tuple(map(ruler.turn, ahead.turns))
    new = without_oldest(request, len(sizes)).messages
    functions = ruler.functions(request)
    before = ruler.messages(message for message in new if message.role == "system") + functions
    room = context - ruler.messages(new) - functions
    if strict and left_out(sizes, room):
        needed = sum(sizes) + context - room
        raise PromptTooLong("conversation-too-long", tokens=needed, limit=context, model=request.model, turns=len(sizes))
    room -= 0 if strict else free_for_answer(context, request.options.get("num_predict", -1))
    count = left_out(sizes, room)
    return replace(ahead, turns=ahead.turns[count:], sizes=sizes[count:], before=before, left_out=count)
