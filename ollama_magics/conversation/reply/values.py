"""The answer as an object of the type that was asked for, and its rows while it is written."""

from __future__ import annotations

from typing import Any

from ollama_magics.conversation.reply.circumstances import Stats
from ollama_magics.conversation.schema import kinds, records
from ollama_magics.errors import AnswerCut, FormatProblem


class Value:
    """Reads one growing text; without a schema there is nothing to read."""

    def __init__(self, wanted: kinds.Schema | None) -> None:
        self._wanted = wanted
        self._rows, self._read = records.Rows(), list[Any]()

    def decode(self, text: str, done_reason: str, stats: Stats) -> None:
        """Read the whole text; raises AnswerCut where it is cut, or no such object."""
        if self._wanted is None:
            return
        if done_reason == "length":
            raise AnswerCut("OM-F06", most=stats.tokens, characters=len(text))
        try:
            self._read.append(self._wanted.value(text))
        except kinds.UnfitError as error:
            raise AnswerCut("OM-F07", reason=error) from None

    def get(self) -> Any:
        """Return the object; raises FormatProblem where there is none."""
        if not self._read:
            raise FormatProblem("OM-F09")
        return self._read[0]

    def rows(self, text: str) -> list[dict[str, Any]]:
        """Return the rows that are complete so far, of a value that is a list of them; of any other, none."""
        if self._wanted is None or not self._wanted.listed:
            return []
        return records.records(self._read[0]) if self._read else self._rows.read(text)
