"""What happened to a prompt on its way to the model that the user did not ask for: left out, converted or ignored."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Joined, Phrase


class Note(Struct, frozen=True):
    """One sentence for the user; with ``loses`` the model did not get all that was given, which ``--strict`` refuses."""

    phrase: Phrase
    loses: bool = True


def refuse_losses(notes: Iterable[Note]) -> None:
    """Raise PromptProblem, which lists them all, if the model would not get all that was given."""
    if losses := [note.phrase for note in notes if note.loses]:
        raise PromptProblem("left-out", notes=Joined(losses))
