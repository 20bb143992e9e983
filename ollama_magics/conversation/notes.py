"""What happened to a prompt on its way to the model that the user did not ask for: left out, converted or ignored."""

from __future__ import annotations

from dataclasses import dataclass

from ollama_magics.messages import Phrase


@dataclass(frozen=True)
class Note:
    """One sentence for the user; with ``loses`` the model did not get all that was given, which ``--strict`` refuses."""

    phrase: Phrase
    loses: bool = True
