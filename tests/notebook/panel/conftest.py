"""A form on the stand-in, and the patience for what its threads do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from ipywidgets import Widget

from ollama_magics.fake_server.server import FakeServer
from ollama_magics.notebook.panel.form import Panel
from ollama_magics.session.session import current

_SECONDS = 20


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; fail if it never does."""
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


@pytest.fixture
def panel(stand_in: FakeServer) -> Iterator[Panel]:
    """Give a form on the stand-in, which has answered."""
    current().configure({"base_url": stand_in.url, "model": "sandbox-chat"})
    form = Panel(current())
    until(lambda: form._stock and len(form._stock.cards) == 5)
    yield form
    Widget.close_all()
