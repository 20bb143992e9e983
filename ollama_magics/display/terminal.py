"""A reply in a terminal: plain text as it comes, without the escapes a model might write."""

from __future__ import annotations

import sys

from ollama_magics import markup
from ollama_magics.reply import Reply, figures, warnings


def show(reply: Reply) -> None:
    """Write the reply while it comes, then one line of figures."""
    try:
        for chunk in reply:
            sys.stdout.write(markup.plain(chunk.text))
            sys.stdout.flush()
    finally:
        reply.close()
        _finish(reply)


def _finish(reply: Reply) -> None:
    if not (reply.so_far or reply.complete):
        return
    lines = [" · ".join(figures(reply)), *warnings(reply)]
    sys.stdout.write("\n" + "\n".join(markup.plain(line) for line in lines) + "\n")
    sys.stdout.flush()
