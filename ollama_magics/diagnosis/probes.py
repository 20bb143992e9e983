"""Probe the network: look up names, connect, and find Ollama at other addresses."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from ipaddress import ip_address

from ollama_magics.diagnosis.environment import Environment, Platform
from ollama_magics.errors import Cancelled, ConnectionProblem, OllamaMagicsError
from ollama_magics.messages import Phrase
from ollama_magics.server.address import Address, parse
from ollama_magics.server.background import in_parallel
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.server.transport_errors import of_socket

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


_ADDRESS_SECONDS = 1.0
_BRIDGE = "172.17.0.1"  # Docker's default network
LOOPBACK = ("127.0.0.1", "::1")
HOST_NAMES = ("host.docker.internal", "host.containers.internal", "gateway.docker.internal")


@dataclass(frozen=True)
class FoundServer:
    """An address that has just answered as Ollama, and the version it reported."""

    address: Address
    version: str


def find_other_servers(address: Address, platform: Platform, environment: Environment) -> list[FoundServer]:
    """Return the usual addresses that answer as Ollama, those closest to the typed one first."""
    stop = threading.Event()

    def try_address(other: Address) -> FoundServer | None:
        limits = Timeouts(_ADDRESS_SECONDS, _ADDRESS_SECONDS, _ADDRESS_SECONDS, _ADDRESS_SECONDS)
        with (
            suppress(OllamaMagicsError, Cancelled),
            closing(Client(other, limits, cancelled=stop, resolve=environment.resolve)) as client,
        ):
            found = FoundServer(other, client.version())
            client.installed()
            return found
        return None

    tried = candidates(address, platform, environment.port)
    answers = in_parallel(tried, try_address, 1.5 * _ADDRESS_SECONDS)
    stop.set()  # late attempts end here
    order = [other.url for other in tried]
    return sorted((one for one in answers if one), key=lambda one: order.index(one.address.url))


def candidates(address: Address, platform: Platform, port: int) -> list[Address]:
    """Return the addresses to try, each once, without the one that was typed."""

    def url(host: str, port: int, scheme: str = "http") -> str:
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    # the same host: the other scheme, without a path, Ollama's default port
    urls = [url(address.host, address.port, "http" if address.scheme == "https" else "https")]
    urls += [address.origin] if address.path else []
    urls.append(url(address.host, port))

    # other hosts: this machine, and what a container or WSL knows of the machine around it
    hosts = [*LOOPBACK]
    if platform.weight("container", "podman", "kubernetes") or address.host in HOST_NAMES:
        hosts += [*HOST_NAMES, platform.gateway, _BRIDGE, "ollama"]
    if platform.weight("wsl"):
        hosts += [platform.gateway, platform.nameserver]
    ports = dict.fromkeys([address.port, port] if address.port not in (80, 443) else [port])
    urls += [url(host, one) for one in ports for host in hosts if host]

    found: dict[str, Address] = {}
    for one in urls:
        with suppress(OllamaMagicsError):  # a name server may be written in a way that is no host
            other = parse(one)
            found[other.origin] = other
    return [other for origin, other in found.items() if origin != address.origin or address.path]
