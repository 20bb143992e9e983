"""Replies as plain text as it comes, without the escapes that a model might write."""

from __future__ import annotations

import sys

from ollama_magics.conversation.reply.stream import Reply
from ollama_magics.notebook.display.turns import Turns
from ollama_magics.render.markdown import cleaning


class Plain(Turns):
    """Writes to the standard output; a kernel gathers what is not flushed into a few messages a second."""

    def __init__(self, *, flush: bool, times: bool = True) -> None:
        self._flush, self.times = flush, times

    def begin(self, model: str, heading: str) -> None:  # noqa: ARG002 - the heading is all of the model that is written
        """Write the heading."""
        self._cleaned, self._told = cleaning.Cleaned(), 0
        if heading:
            sys.stdout.write(f"{cleaning.plain(heading)}\n")

    def grow(self, reply: Reply) -> None:
        """Write what is new."""
        new, self._told = reply.new_text(self._told)
        sys.stdout.write(self._cleaned.feed(new))
        if self._flush:
            sys.stdout.flush()

    def end_round(self, text: str, lines: list[str]) -> None:
        """Write what was held back, and the calls."""
        end = "\n" if text else ""
        sys.stdout.write(self._cleaned.rest() + end + "".join(f"{line}\n" for line in lines))
        self._cleaned, self._told = cleaning.Cleaned(), 0

    def finish(self, reply: Reply, lines: list[str]) -> None:
        """Write what was held back, and the lines."""
        end = "\n" if reply.so_far else ""
        sys.stdout.write(self._cleaned.rest() + end + "".join(f"{cleaning.plain(line)}\n" for line in lines))
        sys.stdout.flush()
