"""Recognise a server that is not Ollama, and look for Ollama at its usual other addresses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ollama_magics.diagnosis.connectivity import in_parallel
from ollama_magics.diagnosis.environment import Environment, Surroundings
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.server.address import Address, parse
from ollama_magics.server.client import Client, Page, Timeouts

_PATHS = ("/", "/v1/models", "/api/config")
_SECONDS = 2.5
_PROXIES = ("nginx", "caddy", "traefik", "squid", "envoy", "haproxy", "cloudflare", "apache", "varnish")


@dataclass(frozen=True)
class ServerIdentity:
    """What it looks like: ``kind`` is the key of its description, ``name`` a name where there is one."""

    kind: str
    name: str = ""


def looks_of(client: Client) -> ServerIdentity | None:
    """Return what answers there, or None where nothing gives it away."""
    pages = [page for page in in_parallel(_PATHS, lambda path: _page(client, path), _SECONDS) if page]
    text = "\n".join(page.body.decode("utf-8", "replace") for page in pages).lower()
    servers = " ".join(page.headers.get("server", "") for page in pages).lower()
    found = next((looks for looks, is_it in _KINDS if is_it(text, servers)), None)
    if found:
        return found
    proxy = next((name for name in _PROXIES if name in servers or f"<center>{name}" in text), "")
    if proxy:
        return ServerIdentity("proxy", proxy)
    return ServerIdentity("page") if "<html" in text or "<!doctype" in text else None


def _page(client: Client, path: str) -> Page | None:
    try:
        return client.peek(path)
    except (OllamaMagicsError, Cancelled):
        return None


def _is_login(text: str, _: str) -> bool:
    form = "<form" in text or "<input" in text
    return form and any(word in text for word in ('type="password"', "log in", "login", "sign in", "signin", "登录"))


_KINDS: tuple[tuple[ServerIdentity, Callable[[str, str], bool]], ...] = (
    (ServerIdentity("openwebui", "Open WebUI"), lambda text, _: "open webui" in text or "open-webui" in text),
    (ServerIdentity("lmstudio", "LM Studio"), lambda text, _: "unexpected endpoint or method" in text or "lmstudio" in text),
    (ServerIdentity("lmstudio", "LM Studio"), lambda text, _: '"organization_owner"' in text),
    (ServerIdentity("vllm", "vLLM"), lambda text, _: '"owned_by":"vllm"' in text.replace(" ", "")),
    (
        ServerIdentity("llamacpp", "llama.cpp"),
        lambda text, server: "llama.cpp" in server or "llamacpp" in text or "llama.cpp" in text,
    ),
    (ServerIdentity("login"), _is_login),
)


_ADDRESS_SECONDS = 1.0
_BRIDGE = "172.17.0.1"  # Docker's own network, as it is made unless somebody changes it
LOOPBACK = ("127.0.0.1", "::1")
HOST_NAMES = ("host.docker.internal", "host.containers.internal", "gateway.docker.internal")


@dataclass(frozen=True)
class Found:
    """An address that has just answered as Ollama, and the version it named."""

    address: Address
    version: str


def look_elsewhere(address: Address, around: Surroundings, world: Environment) -> list[Found]:
    """Return the conventional addresses that answer as Ollama, the nearest relative of the typed one first."""
    tried = candidates(address, around, world.port)
    stop = threading.Event()
    answers = in_parallel(tried, lambda other: _answer(other, world, stop), 1.5 * _ADDRESS_SECONDS)
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


def _answer(address: Address, world: Environment, stop: threading.Event) -> Found | None:
    client = None
    try:
        client = Client(
            address,
            Timeouts(_ADDRESS_SECONDS, _ADDRESS_SECONDS, _ADDRESS_SECONDS, _ADDRESS_SECONDS),
            cancelled=stop,
            resolve=world.resolve,
        )
        version = client.version()
        client.installed()
    except (OllamaMagicsError, Cancelled):
        return None
    else:
        return Found(address, version)
    finally:
        if client:
            client.close()
