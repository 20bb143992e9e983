"""A form on the stand-in, and a wait for what its threads do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from ipywidgets import Widget

from ollama_magics.fake_server.models import MODELS
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.notebook.panel.config_panel import Panel
from ollama_magics.session.session import current

from .form_view import FormView

_SECONDS = 20


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; fail if it never does."""
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def form(stand_in: FakeServer) -> Iterator[FormView]:
    """Give a form on the stand-in, which has said of each of its models what it can do."""
    current().configure({"base_url": stand_in.url, "model": "sandbox-chat"})
    form = FormView(Panel(current()))
    until(lambda: [" · " in row for row, _ in form.models.options] == [True] * len(MODELS))
    yield form
    Widget.close_all()
