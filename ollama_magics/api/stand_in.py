"""Run the stand-in server and use it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ContextDecorator, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ollama_magics.api.calls import UserLine, worded
from ollama_magics.errors import suggest_names
from ollama_magics.jobs.unused import Unused
from ollama_magics.session.session import Session, current
from ollama_magics.settings.parameters import require

if TYPE_CHECKING:
    from ollama_magics.fake_server.server import FakeServer

_Function = TypeVar("_Function", bound=Callable[..., Any])
SANDBOX_MODELS = "sandbox-chat, sandbox-vision, sandbox-embed, sandbox-think, sandbox-tools"


class Sandbox(Unused, AbstractContextManager[str], ContextDecorator):
    """A stand-in server that runs, and is used, inside of a ``with`` block, which gets its address, or a decorated function."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._running: list[ExitStack] = []

    def __call__(self, function: _Function) -> _Function:
        """Return the function, which runs as in a block."""
        self._is_used = True
        return super().__call__(function)

    def __enter__(self) -> str:
        self._is_used = True
        self._running.append(running := ExitStack())
        return running.enter_context(_used_server(self._delay))

    def __exit__(self, *_: object) -> None:
        self._running.pop().close()


@suggest_names
@worded
def sandbox(*, delay: float = 0.02) -> Sandbox:
    """Return a stand-in server for a ``with`` block: it gets the address, and the server is used until its end.

    ``delay`` is the time between two tokens, in seconds.

    Example: ``with om.sandbox() as url: ...``
    """
    fits = isinstance(delay, (int, float)) and 0 <= delay < math.inf
    require("delay", delay, "float", "with om.sandbox(delay=0.02) as url: ...", fits=fits)
    return UserLine().told_unused(Sandbox(delay), "sandbox_unused")


@contextmanager
def _used_server(delay: float) -> Iterator[str]:
    from ollama_magics.fake_server.server import FakeServer  # noqa: PLC0415 - only who uses the stand-in needs it

    session = current()
    with FakeServer(delay=delay) as server:
        with session.resolved.restored_at_end():
            session.configure(_sandbox_settings(session, server))
            yield server.url
        session.forget_models()


def start_sandbox() -> str:
    """Start a stand-in server that runs as long as the session, use it, and return its address."""
    from ollama_magics.fake_server.server import FakeServer  # noqa: PLC0415 - as above

    session = current()
    server = FakeServer().start()
    session.own(server.stop)
    session.configure(_sandbox_settings(session, server))
    return server.url


def _sandbox_settings(session: Session, server: FakeServer) -> dict[str, str]:
    session.resolved.sandboxes.add(server.url)
    # a type that nobody set follows the model that is picked in the panel
    kind = {} if session.settings.model_type == "chat" else {"model_type": "chat"}
    return {"base_url": server.url, "model": "sandbox-chat", "embedding_model": "sandbox-embed", **kind}
