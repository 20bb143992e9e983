"""Any order of asking, failing, interrupting, running again, clearing and undoing leaves the turns that three lines predict."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.turns import Place, Turn
from ollama_magics.errors import PromptProblem
from ollama_magics.server.wire import Message

CELLS = st.sampled_from("abcd")
_MOST_UNDONE = 20  # changes of which undoing knows


class AnyConversation(RuleBasedStateMachine):
    """A conversation, and beside it the list of (cell, run, prompt, complete) that should be in it."""

    @initialize()
    def begin(self) -> None:
        """Start with nothing."""
        self.conversation, self.run = Conversation(), 0
        self.expected: list[tuple[str, int, str, bool]] = []
        self.before: deque[list[tuple[str, int, str, bool]]] = deque(maxlen=_MOST_UNDONE)

    def _drop(self, kept: list[tuple[str, int, str, bool]]) -> None:
        if kept != self.expected:
            self.before.append(self.expected)
        self.expected = kept

    def _keep(self, cell: str, run: int, *, complete: bool) -> None:
        prompt = f"{cell} {run} {len(self.expected)}"
        turn = Turn(Message("user", prompt), Message("assistant", prompt.upper()), Place(cell, str(run)), complete)
        self.conversation.keep(turn)
        first = next((at for at, (other, ran, *_) in enumerate(self.expected) if other == cell and ran != run), None)
        self._drop(self.expected[:first])  # the turns of an earlier run of the cell, and what followed them
        self.expected = [*self.expected, (cell, run, prompt, complete)]

    @rule(cell=CELLS, answers=st.lists(st.booleans(), min_size=1, max_size=3))
    def ask(self, cell: str, answers: list[bool]) -> None:
        """Run a cell of some prompts, which may have run before; an interrupted answer is kept as such."""
        self.run += 1
        for complete in answers:
            self._keep(cell, self.run, complete=complete)

    @rule(cell=CELLS)
    def fail(self, cell: str) -> None:
        """Ask what is refused: nothing is kept, and what the prompt would have replaced stays."""
        place = Place(cell, str(self.run + 1))
        assert self.conversation.dropped_by(place) <= len(self.expected)
        assert len(self.conversation.history(place)) <= len(self.expected)

    @rule()
    def clear(self) -> None:
        """Drop all."""
        self.conversation.clear()
        self._drop([])

    @rule()
    def undo(self) -> None:
        """Bring back what the last change dropped."""
        if not self.before:
            with pytest.raises(PromptProblem, match="nothing-to-undo"):
                self.conversation.undo()
            return
        self.conversation.undo()
        self.expected = self.before.pop()

    @invariant()
    def holds(self) -> None:
        """Compare turns and messages with the list."""
        found = [(turn.place.cell, int(turn.place.run), turn.prompt.content, turn.complete) for turn in self.conversation.turns]
        assert found == self.expected
        sent = [text for *_, prompt, complete in self.expected if complete for text in (prompt, prompt.upper())]
        assert [message.content for message in self.conversation.messages] == sent


TestAnyConversation = AnyConversation.TestCase
TestAnyConversation.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
