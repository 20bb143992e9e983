"""Look up names and open bare connections, without HTTP."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, TypeVar

from ollama_magics.background import SLICE
from ollama_magics.diagnosis.environment import Environment
from ollama_magics.errors import Cancelled, ConnectionProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.address import Address
from ollama_magics.server.transport_errors import of_socket

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_MAX_ADDRESSES = 4  # addresses of one name that are tried
_BANNER_SECONDS = 0.4


@dataclass(frozen=True)
class ConnectAttempt:
    """One attempt to connect: the address, how long it took, and the error that it ended with, or None."""

    address: str
    port: int
    milliseconds: float
    error: OSError | None = None

    @property
    def endpoint(self) -> str:
        """The address with its port, as it is written."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def is_refused(self) -> bool:
        """Whether the connection was refused rather than timed out."""
        return isinstance(self.error, ConnectionRefusedError)


def look_up(environment: Environment, address: Address, seconds: float, stop: threading.Event | None = None) -> list[str]:
    """Return the addresses of the host; raises ConnectionProblem where it has none, or none in time."""

    def resolve(host: str) -> list[str] | OSError:
        try:
            entries = environment.resolve(host, address.port, type=socket.SOCK_STREAM)
        except OSError as error:
            return error
        except UnicodeError as error:
            return socket.gaierror(socket.EAI_NONAME, str(error))
        return list(dict.fromkeys(str(entry[4][0]) for entry in entries))

    with suppress(ValueError):
        return [str(ip_address(address.host))]
    found = in_parallel([address.host], resolve, seconds, stop)
    if not found:
        reason = Phrase("look_up_silent", seconds=f"{seconds:g}")
        raise ConnectionProblem("lookup-failed", url=address.url, host=address.host, reason=reason)
    if isinstance(found[0], OSError):
        raise of_socket(found[0], address, seconds)
    return found[0][:_MAX_ADDRESSES]


def connect(hosts: Iterable[str], port: int, seconds: float, stop: threading.Event | None = None) -> list[ConnectAttempt]:
    """Try every address at the same time; return the attempts in the order of the addresses."""

    def attempt(host: str) -> ConnectAttempt:
        start = time.perf_counter()
        failure: OSError | None = None
        try:
            socket.create_connection((host, port), timeout=seconds).close()
        except OSError as error:
            failure = error
        return ConnectAttempt(host, port, 1000 * (time.perf_counter() - start), failure)

    tried = list(hosts)
    ended = {one.address: one for one in in_parallel(tried, attempt, seconds + 0.5, stop)}
    timed_out = TimeoutError("timed out")
    return [ended.get(host) or ConnectAttempt(host, port, 1000 * seconds, timed_out) for host in tried]


def banner(host: str, port: int) -> str:
    """Return what the server sends before any request; HTTP servers send nothing."""
    with suppress(OSError), socket.create_connection((host, port), timeout=1) as connection:
        connection.settimeout(_BANNER_SECONDS)
        return connection.recv(200).decode("utf-8", "replace").strip()
    return ""


def speaks_tls(host: str, port: int) -> bool:
    """Return whether the server completes a TLS handshake; nothing is sent over it, so its certificate does not matter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError), socket.create_connection((host, port), timeout=1) as connection:
        context.wrap_socket(connection).close()
        return True
    return False


def in_parallel(
    items: Iterable[_Item], act: Callable[[_Item], _Result], seconds: float, stop: threading.Event | None = None
) -> list[_Result]:
    """Return the results that came in time, from one daemon thread for each item; late threads are not waited for.

    Raises Cancelled within a slice of 0.2 s after ``stop`` is set; an interrupt takes effect as soon on every system.
    """
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    work = list(items)
    for item in work:
        threading.Thread(target=lambda one: results.put(act(one)), args=(item,), daemon=True, name="ollama-check").start()
    deadline = time.monotonic() + seconds
    found: list[_Result] = []
    while len(found) < len(work) and (left := deadline - time.monotonic()) > 0:
        if stop and stop.is_set():
            raise Cancelled
        with suppress(queue.Empty):
            found.append(results.get(timeout=min(SLICE, left)))
    return found
