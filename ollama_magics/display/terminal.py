"""A reply in a terminal: plain text as it comes, without the escapes a model might write."""

from __future__ import annotations

import sys

from ollama_magics import markup
from ollama_magics.reply import Reply, call_line, figures, warnings


def show(reply: Reply) -> None:
    """Write the reply while it comes, then one line of figures."""
    told = 0
    try:
        for chunk in reply:
            told = _tell_calls(reply, told)
            sys.stdout.write(markup.plain(chunk.text))
            sys.stdout.flush()
    finally:
        reply.close()
        _tell_calls(reply, told)
        _finish(reply)


def _tell_calls(reply: Reply, told: int) -> int:
    """Write a line for each call of a function that has come to its end since; return how many are told."""
    ended = [call for call in reply.tool_calls if call.result is not None or call.error is not None]
    if ended[told:] and reply.rounds.ended and reply.rounds.ended[-1].text:
        sys.stdout.write("\n")
    for call in ended[told:]:
        sys.stdout.write(f"{call_line(call)}\n")
    return len(ended)


def _finish(reply: Reply) -> None:
    if not (reply.begun or reply.complete):
        return
    lines = [" · ".join(figures(reply)), *warnings(reply)]
    sys.stdout.write("\n" + "\n".join(markup.plain(line) for line in lines) + "\n")
    sys.stdout.flush()
