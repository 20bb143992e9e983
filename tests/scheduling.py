"""Decide which tests stay together, and which come first, where pytest-xdist runs them in several processes."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_FIRST = ("tests/real/", "tests/browser/", "tests/notebook/display/", "tests/kernel/")  # they take longest


class Scheduling(LoadScopeScheduling):
    """Give each process a file at a time; all tests on the real Ollama and in the browser are one unit."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False  # as the processes sorted them
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def unit(nodeid: str) -> str:
    """Return the name of the unit that a test belongs to."""
    if "[real" in nodeid or nodeid.startswith(("tests/real/", "tests/browser/")):
        return "shared"  # one server with one model in memory at a time, and one browser, which uses that server, too
    return nodeid.partition("::")[0]


def sort(items: list[pytest.Item]) -> None:
    """Put the tests first that take longest, so that no process works alone at the end."""
    items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    if "[real" in nodeid and not nodeid.startswith("tests/browser/"):
        return 0
    return next((place for place, start in enumerate(_FIRST) if nodeid.startswith(start)), len(_FIRST))
