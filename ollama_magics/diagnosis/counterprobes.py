"""Other addresses at which Ollama conventionally answers, tried at the same time for a second, and never a scan."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from ollama_magics.diagnosis.reaching import in_parallel
from ollama_magics.diagnosis.surroundings import Surroundings, World
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.server.address.reading import Address, parse
from ollama_magics.server.client.server import Client
from ollama_magics.server.client.timeouts import Timeouts

_SECONDS = 1.0
_BRIDGE = "172.17.0.1"  # Docker's own network, as it is made unless somebody changes it
LOOPBACK = ("127.0.0.1", "::1")
HOST_NAMES = ("host.docker.internal", "host.containers.internal", "gateway.docker.internal")


@dataclass(frozen=True)
class Found:
    """An address that has just answered as Ollama, and the version it named."""

    address: Address
    version: str


def look_elsewhere(address: Address, around: Surroundings, world: World) -> list[Found]:
    """Return the conventional addresses that answer as Ollama, the nearest relative of the typed one first."""
    tried = candidates(address, around, world.port)
    stop = threading.Event()
    answers = in_parallel(tried, lambda other: _answer(other, world, stop), 1.5 * _SECONDS)
    stop.set()  # whoever is late need not go on
    found = [one for one in answers if one]
    return sorted(found, key=lambda one: [other.url for other in tried].index(one.address.url))


def candidates(address: Address, around: Surroundings, port: int) -> list[Address]:
    """Return the addresses worth a try, each once, without the one that was typed."""
    urls = [*_same_host(address, port), *_other_hosts(address, around, port)]
    found = {other.origin: other for other in (_parsed(url) for url in urls) if other}
    return [other for origin, other in found.items() if origin != address.origin or address.path]


def _same_host(address: Address, port: int) -> Iterable[str]:
    other = "http" if address.scheme == "https" else "https"
    host = _written(address.host)
    yield f"{other}://{host}:{address.port}"
    if address.path:
        yield f"{address.scheme}://{host}:{address.port}"
    yield f"http://{host}:{port}"


def _other_hosts(address: Address, around: Surroundings, port: int) -> Iterable[str]:
    hosts = [*LOOPBACK]
    if around.weight("container", "podman", "kubernetes") or address.host in HOST_NAMES:
        hosts += [*HOST_NAMES, around.gateway, _BRIDGE, "ollama"]
    if around.weight("wsl"):
        hosts += [around.gateway, around.nameserver]
    ports = dict.fromkeys([address.port, port] if address.port not in (80, 443) else [port])
    yield from (f"http://{_written(host)}:{one}" for one in ports for host in hosts if host)


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _parsed(url: str) -> Address | None:
    try:
        return parse(url)
    except OllamaMagicsError:
        return None  # a name server may be written in a way that is no host


def _answer(address: Address, world: World, stop: threading.Event) -> Found | None:
    client = None
    try:
        client = Client(address, Timeouts(_SECONDS, _SECONDS, _SECONDS, _SECONDS), cancelled=stop, resolve=world.resolve)
        version = client.version()
        client.installed()
    except (OllamaMagicsError, Cancelled):
        return None
    else:
        return Found(address, version)
    finally:
        if client:
            client.close()
