"""Which turns a conversation keeps, and which it sends again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.turns import Place, Turn
from ollama_magics.server.wire import Message

NOWHERE = Place()
PLACES = st.builds(Place, st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2", "3"])) | st.just(NOWHERE)


def turn(prompt: str, place: Place = NOWHERE, *, complete: bool = True) -> Turn:
    """Return a turn whose answer echoes the prompt."""
    return Turn(Message("user", prompt), Message("assistant", f"re: {prompt}"), place, complete)


def conversation(*turns: Turn) -> Conversation:
    """Return a conversation with these turns."""
    found = Conversation()
    for one in turns:
        found.keep(one)
    return found


def prompts(found: Conversation) -> list[str]:
    """Return the prompts in memory."""
    return [one.prompt.content for one in found.turns]


def sent(found: Conversation, place: Place) -> list[str]:
    """Return the texts that go out before a prompt at that place."""
    return [message.content for one in found.history(place) if one.complete for message in one.messages]


def test_turns_without_a_place_are_appended() -> None:
    """Terminals and batch runs give no ids of cells."""
    found = conversation(turn("one"), turn("two"))
    assert sent(found, NOWHERE) == ["one", "re: one", "two", "re: two"]
    assert found.dropped_by(NOWHERE) == 0


def test_two_prompts_in_one_run_of_a_cell_are_two_turns() -> None:
    """The second follows the first."""
    here = Place("a", "1")
    found = conversation(turn("one", here), turn("two", here))
    assert prompts(found) == ["one", "two"]
    assert sent(found, here) == ["one", "re: one", "two", "re: two"]


def test_a_cell_that_runs_again_replaces_its_turns_and_what_followed() -> None:
    """Later turns followed a prompt that is no longer there."""
    found = conversation(
        turn("before", Place("a", "1")),
        turn("old", Place("b", "2")),
        turn("old too", Place("b", "2")),
        turn("after", Place("c", "3")),
    )
    again = Place("b", "4")
    assert sent(found, again) == ["before", "re: before"]
    assert found.dropped_by(again) == 1
    found.keep(turn("new", again))
    assert prompts(found) == ["before", "new"]
    found.keep(turn("new too", again))
    assert prompts(found) == ["before", "new", "new too"]


def test_looking_at_the_history_changes_nothing() -> None:
    """Only a kept turn does, so that a failed prompt leaves all as it was."""
    found = conversation(turn("one", Place("a", "1")), turn("two", Place("b", "2")))
    found.history(Place("a", "3"))
    found.dropped_by(Place("a", "3"))
    assert prompts(found) == ["one", "two"]


def test_a_cut_turn_is_kept_and_not_sent() -> None:
    """The model would take half an answer for a whole one."""
    found = conversation(turn("one"), turn("cut", complete=False), turn("three"))
    assert prompts(found) == ["one", "cut", "three"]
    assert sent(found, NOWHERE) == ["one", "re: one", "three", "re: three"]


def test_the_next_run_of_a_cell_replaces_a_cut_turn() -> None:
    """Running an interrupted cell again leaves one turn."""
    found = conversation(turn("cut", Place("a", "1"), complete=False))
    found.keep(turn("whole", Place("a", "2")))
    assert prompts(found) == ["whole"]


def test_a_cleared_conversation_begins_afresh() -> None:
    """Nothing of it goes out."""
    found = conversation(turn("one"))
    found.clear()
    assert (found.turns, found.history(NOWHERE), found.messages) == ((), (), ())


@pytest.mark.parametrize(
    ("place", "other", "replaces"),
    [
        (Place("a", "2"), Place("a", "1"), True),
        (Place("a", "1"), Place("a", "1"), False),
        (Place("a", "1"), Place("b", "2"), False),
        (NOWHERE, NOWHERE, False),
        (Place("a", "1"), NOWHERE, False),
        (NOWHERE, Place("a", "1"), False),
    ],
)
def test_only_another_run_of_the_same_cell_replaces(place: Place, other: Place, *, replaces: bool) -> None:
    """Places without a cell never do."""
    assert place.replaces(other) is replaces


@given(st.lists(PLACES, max_size=12))
def test_a_new_turn_is_always_the_last_and_stays_with_its_own_run(places: list[Place]) -> None:
    """After any sequence of runs: nothing stands behind it, and no other run of its cell is left."""
    found = Conversation()
    for number, place in enumerate(places):
        earlier = len(found.history(place))
        found.keep(turn(str(number), place))
        assert prompts(found)[-1] == str(number)
        assert len(found.turns) == earlier + 1
        assert not any(place.replaces(one.place) for one in found.turns)


def test_a_conversation_begins_with_the_messages_of_another() -> None:
    """The pictures and calls in them too, as they were sent."""
    call = {"function": {"name": "f", "arguments": {"x": 1}}}
    between = (Message("assistant", "", tool_calls=(call,)), Message("tool", "2", tool_name="f"))
    first = Conversation()
    first.keep(
        Turn(
            Message("user", "Hi", ("iVBO",)),
            Message("assistant", "Ho"),
            Place(),
            complete=True,
            system="Be brief.",
            between=between,
        )
    )
    first.keep(Turn(Message("user", "And?"), Message("assistant", "So."), Place(), complete=True))
    assert Conversation(first.messages).messages == first.messages
    assert len(Conversation(first.messages).turns) == 2
