"""Cells of one line that go on with a cut answer, which IPython would refuse for having no body."""

from __future__ import annotations

import re

_GOES_ON = re.compile(r"%%ollama\s(?:.*\s)?--continue(?:\s|$)")


def with_body(lines: list[str]) -> list[str]:
    """Return the lines of a cell, with an empty body for ``%%ollama --continue`` alone."""
    alone = len(lines) == 1 and _GOES_ON.match(lines[0])
    return [lines[0].rstrip("\r\n") + "\n", "\n"] if alone else lines
