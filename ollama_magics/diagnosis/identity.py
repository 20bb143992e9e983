"""What a server is that is not Ollama, told from a few pages that each kind shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ollama_magics.diagnosis.reaching import in_parallel
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.server.client.server import Client, Page

_PATHS = ("/", "/v1/models", "/api/config")
_SECONDS = 2.5
_PROXIES = ("nginx", "caddy", "traefik", "squid", "envoy", "haproxy", "cloudflare", "apache", "varnish")


@dataclass(frozen=True)
class Looks:
    """What it looks like: ``kind`` is the key of its description, ``name`` a name where there is one."""

    kind: str
    name: str = ""


def looks_of(client: Client) -> Looks | None:
    """Return what answers there, or None where nothing gives it away."""
    pages = [page for page in in_parallel(_PATHS, lambda path: _page(client, path), _SECONDS) if page]
    text = "\n".join(page.body.decode("utf-8", "replace") for page in pages).lower()
    servers = " ".join(page.headers.get("server", "") for page in pages).lower()
    found = next((looks for looks, is_it in _KINDS if is_it(text, servers)), None)
    if found:
        return found
    proxy = next((name for name in _PROXIES if name in servers or f"<center>{name}" in text), "")
    if proxy:
        return Looks("proxy", proxy)
    return Looks("page") if "<html" in text or "<!doctype" in text else None


def _page(client: Client, path: str) -> Page | None:
    try:
        return client.peek(path)
    except (OllamaMagicsError, Cancelled):
        return None


def _is_login(text: str, _: str) -> bool:
    form = "<form" in text or "<input" in text
    return form and any(word in text for word in ('type="password"', "log in", "login", "sign in", "signin", "登录"))


_KINDS: tuple[tuple[Looks, Callable[[str, str], bool]], ...] = (
    (Looks("openwebui", "Open WebUI"), lambda text, _: "open webui" in text or "open-webui" in text),
    (Looks("lmstudio", "LM Studio"), lambda text, _: "unexpected endpoint or method" in text or "lmstudio" in text),
    (Looks("lmstudio", "LM Studio"), lambda text, _: '"organization_owner"' in text),
    (Looks("vllm", "vLLM"), lambda text, _: '"owned_by":"vllm"' in text.replace(" ", "")),
    (Looks("llamacpp", "llama.cpp"), lambda text, server: "llama.cpp" in server or "llamacpp" in text or "llama.cpp" in text),
    (Looks("login"), _is_login),
)
