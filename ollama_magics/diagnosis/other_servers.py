"""Identify a server that is not Ollama, and find Ollama at its usual other addresses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from ollama_magics.diagnosis.connectivity import in_parallel
from ollama_magics.diagnosis.environment import Environment, Platform
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.server.address import Address, parse
from ollama_magics.server.client import Client, Page, Timeouts

_PATHS = ("/", "/v1/models", "/api/config")
_SECONDS = 2.5
_PROXIES = ("nginx", "caddy", "traefik", "squid", "envoy", "haproxy", "cloudflare", "apache", "varnish")
_LOGIN_WORDS = ('type="password"', "log in", "login", "sign in", "signin", "登录")


@dataclass(frozen=True)
class ServerIdentity:
    """Which server answers: ``kind`` is the key of its description, ``name`` its name where it has one."""

    kind: str
    name: str = ""


def identify(client: Client) -> ServerIdentity | None:
    """Return which server answers, or None where nothing identifies it."""

    def get(path: str) -> Page | None:
        try:
            return client.get_page(path)
        except (OllamaMagicsError, Cancelled):
            return None

    pages = [page for page in in_parallel(_PATHS, get, _SECONDS) if page]
    text = "\n".join(page.body.decode("utf-8", "replace") for page in pages).lower()
    servers = " ".join(page.headers.get("server", "") for page in pages).lower()
    is_login = ("<form" in text or "<input" in text) and any(word in text for word in _LOGIN_WORDS)
    proxy = next((name for name in _PROXIES if name in servers or f"<center>{name}" in text), "")
    identities: list[tuple[ServerIdentity, bool]] = [
        (ServerIdentity("openwebui", "Open WebUI"), "open webui" in text or "open-webui" in text),
        (ServerIdentity("lmstudio", "LM Studio"), "unexpected endpoint or method" in text or "lmstudio" in text),
        (ServerIdentity("lmstudio", "LM Studio"), '"organization_owner"' in text),
        (ServerIdentity("vllm", "vLLM"), '"owned_by":"vllm"' in text.replace(" ", "")),
        (ServerIdentity("llamacpp", "llama.cpp"), "llama.cpp" in servers or "llamacpp" in text or "llama.cpp" in text),
        (ServerIdentity("login"), is_login),
        (ServerIdentity("proxy", proxy), bool(proxy)),
        (ServerIdentity("page"), "<html" in text or "<!doctype" in text),
    ]
    return next((identity for identity, matches in identities if matches), None)


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
        client = None
        try:
            client = Client(other, limits, cancelled=stop, resolve=environment.resolve)
            version = client.version()
            client.installed()
        except (OllamaMagicsError, Cancelled):
            return None
        else:
            return FoundServer(other, version)
        finally:
            if client:
                client.close()

    tried = candidates(address, platform, environment.port)
    answers = in_parallel(tried, try_address, 1.5 * _ADDRESS_SECONDS)
    stop.set()  # late attempts end here
    order = [other.url for other in tried]
    return sorted((one for one in answers if one), key=lambda one: order.index(one.address.url))


def candidates(address: Address, platform: Platform, port: int) -> list[Address]:
    """Return the addresses to try, each once, without the one that was typed."""
    found: dict[str, Address] = {}
    for url in _candidate_urls(address, platform, port):
        with suppress(OllamaMagicsError):  # a name server may be written in a way that is no host
            other = parse(url)
            found[other.origin] = other
    return [other for origin, other in found.items() if origin != address.origin or address.path]


def _candidate_urls(address: Address, platform: Platform, port: int) -> Iterator[str]:
    # the same host: the other scheme, without a path, Ollama's default port
    other_scheme = "http" if address.scheme == "https" else "https"
    host = _bracketed(address.host)
    yield f"{other_scheme}://{host}:{address.port}"
    if address.path:
        yield f"{address.scheme}://{host}:{address.port}"
    yield f"http://{host}:{port}"

    # other hosts: this machine, and what a container or WSL knows of the machine around it
    hosts = [*LOOPBACK]
    if platform.weight("container", "podman", "kubernetes") or address.host in HOST_NAMES:
        hosts += [*HOST_NAMES, platform.gateway, _BRIDGE, "ollama"]
    if platform.weight("wsl"):
        hosts += [platform.gateway, platform.nameserver]
    ports = dict.fromkeys([address.port, port] if address.port not in (80, 443) else [port])
    yield from (f"http://{_bracketed(host)}:{one}" for one in ports for host in hosts if host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
