"""What of a conversation goes out with a prompt: the turns that fit, or the cut one with which the answer goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ollama_magics.conversation import budget
from ollama_magics.conversation.conversation import Conversation, Place, Turn, system_of
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.errors import PromptProblem, PromptTooLong
from ollama_magics.messages import Phrase
from ollama_magics.server.wire.requests import ChatRequest, Message


@dataclass(frozen=True)
class Ahead:
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


def recall(conversation: Conversation | None, prompt: Prompt) -> Ahead:
    """Return all that was said before a prompt; raises PromptProblem where it shall go on and nothing was cut."""
    if prompt.go_on:
        return _going_on(conversation or Conversation(), prompt)
    if conversation is None or prompt.new:
        return Ahead(conversation, prompt.place)
    turns = conversation.ahead(prompt.place)
    return Ahead(conversation, prompt.place, _whole(turns), system_of(turns))


def _going_on(conversation: Conversation, prompt: Prompt) -> Ahead:
    last = conversation.turns[-1] if conversation.turns else None
    if last is None or not last.cut:
        raise PromptProblem("OM-T05", seen=Phrase("answer_whole" if last else "no_answer"))
    place = prompt.place if prompt.place.replaces(last.place) else last.place
    return Ahead(conversation, place, _whole(conversation.turns[:-1]), system_of(conversation.turns), last)


def _whole(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    return tuple(turn for turn in turns if turn.complete)


def fitted(ahead: Ahead, request: ChatRequest, context: int, *, strict: bool) -> Ahead:
    """Return what goes out of a request that holds all turns: the oldest are left out where they do not fit.

    Raises PromptTooLong where one would have to be left out and ``strict`` forbids it.
    """
    ruler = budget.ruler(request.model, ahead.turns)
    sizes = tuple(map(ruler.turn, ahead.turns))
    new = budget.without_oldest(request, len(sizes)).messages
    functions = ruler.functions(request)
    before = ruler.messages(message for message in new if message.role == "system") + functions
    room = context - ruler.messages(new) - functions
    if strict and budget.left_out(sizes, room):
        needed = sum(sizes) + context - room
        raise PromptTooLong("OM-L02", tokens=needed, limit=context, model=request.model, turns=len(sizes))
    room -= 0 if strict else budget.free_for_answer(context, request.options.get("num_predict", -1))
    count = budget.left_out(sizes, room)
    return replace(ahead, turns=ahead.turns[count:], sizes=sizes[count:], before=before, left_out=count)
