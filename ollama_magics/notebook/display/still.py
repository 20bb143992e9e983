"""Screens on which nothing moves: one that shows the whole at the end without times, and one that shows nothing at all."""

from __future__ import annotations

from typing import Self

from IPython.display import display

from ollama_magics.conversation.reply.looks import bundle, columns_bundle, columns_metadata, metadata
from ollama_magics.conversation.reply.several import Replies
from ollama_magics.conversation.reply.stream import Reply


class Quiet:
    """Asks, and shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it to its end."""
        for _ in shown.stream() if isinstance(shown, Replies) else shown:
            pass


class Still(Quiet):
    """One display for the whole, at the end, without the times: for outputs that are compared."""

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it to its end, then show what there is."""
        try:
            super().show(shown)
        finally:
            _show(shown)


def _show(shown: Reply | Replies) -> None:
    if isinstance(shown, Replies):
        display(columns_bundle(shown, times=False), raw=True, metadata=columns_metadata(shown, times=False))
        return
    shown.close()
    if shown.begun or shown.complete:
        display(bundle(shown, times=False), raw=True, metadata=metadata(shown, times=False))
