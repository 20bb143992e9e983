"""Addresses at which nothing, TLS or another machine is, and places from which a call is made."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from tests.diagnosis.certificates import certificate, server_context
from tests.embeddings.batch_server import Embeds, healthy
from tests.faults.server import FaultServer
from tests.faults.steps import Tls

Place = Callable[[], AbstractContextManager[str]]


@contextmanager
def nobody() -> Iterator[str]:
    """Yield an address of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def full_backlog() -> Iterator[str]:
    """Yield an address that accepts nothing, as a firewall that drops packets does: its queue of connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            with suppress(BlockingIOError):
                one.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for one in waiting:
            one.close()


def other_machine(url: str = "http://ollama.test:11434") -> Place:
    """Return an address of another machine, which only a proxy could reach."""

    @contextmanager
    def place() -> Iterator[str]:
        yield url

    return place


def tls(name: str = "127.0.0.1", *, begins: int = -2, ends: int = 2) -> Place:
    """Return a server that speaks TLS with a certificate for this name, valid between so many days from now."""

    @contextmanager
    def place() -> Iterator[str]:
        context = server_context(certificate(name, begins=begins, ends=ends))
        with FaultServer([Tls(context), Embeds(healthy)]) as server:
            yield f"https://127.0.0.1:{server.port}"

    return place


def in_event_loop(call: Callable[[], Any]) -> Any:
    """Make a call where an event loop runs, as in a kernel."""

    async def run() -> Any:
        return call()

    return asyncio.run(run())


def in_thread(call: Callable[[], Any]) -> Any:
    """Make a call in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()
