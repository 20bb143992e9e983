"""Identify which program answers at an address, by what that program itself says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from msgspec import Struct, field

from ollama_magics.errors import Cancelled, ConnectionProblem, OllamaMagicsError, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.server import wire
from ollama_magics.server.background import in_parallel
from ollama_magics.server.client import Client, Page
from ollama_magics.server.model_card import version_number

# Many programs answer at some of Ollama's paths: a web interface, other servers of models, gateways, login pages. Nothing is
# said about the version, the models or the errors of a server before it is known to be Ollama.

_SECONDS = 2.5
_OLLAMA_ROOT = "Ollama is running"
_LOGIN = r"""type=["']?password|log ?in\b|sign ?in\b|登录"""


class Program(Struct, frozen=True):
    """A program and how to know it: a pattern for each path, in the headers or the body of its answer; "" is any path."""

    kind: str  # the end of the names of its phrases, looks_… and use_…
    name: str
    signs: Mapping[str, str] = field(default_factory=dict)

    def answers(self, texts: Mapping[str, str]) -> bool:
        """Whether one of the answers is this program's."""
        return any(
            re.search(pattern, text, re.IGNORECASE | re.MULTILINE)
            for path, pattern in self.signs.items()
            for asked, text in texts.items()
            if path in ("", asked)
        )


_JSON_VERSION, _TAGS, _MODELS = "/api/version", "/api/tags", "/v1/models"
# The first that answers counts: first the programs that say who they are, then those that only stand before another.
PROGRAMS = (
    Program("openwebui", "Open WebUI", {"/": r"<title>[^<]*Open WebUI", "/api/config": r'"name":\s*"[^"]*Open WebUI'}),
    Program("openwebui", "Open WebUI", {_JSON_VERSION: r'"deployment_id"'}),
    Program("openwebui_proxy", "Open WebUI", {"/": r'\n\{"status":\s*true\}\Z'}),
    Program("other", "the llama.cpp server", {"": r"^server: *llama\.cpp", _MODELS: r'"owned_by":\s*"llamacpp"'}),
    Program("other", "LM Studio", {"": r"Unexpected endpoint or method", _MODELS: r'"owned_by":\s*"organization_owner"'}),
    Program("imitation", "KoboldCpp", {"/api/extra/version": r'"KoboldCpp"', "": r"^server: *ConcedoLlamaForKobold"}),
    Program("imitation", "Docker Model Runner", {"/": r"\nDocker Model Runner is running", _MODELS: r'"owned_by":\s*"docker"'}),
    Program("other", "vLLM", {_MODELS: r'"owned_by":\s*"vllm"', "/version": r'^server: uvicorn[\s\S]*"version":\s*"0\.\d'}),
    Program("other", "LiteLLM", {"/": r"<title>[^<]*LiteLLM", "/openapi.json": r'"title":\s*"[^"]*LiteLLM', "": r"^x-litellm-"}),
    Program("other", "text-generation-webui", {"/v1/internal/health": r'"status":\s*"ok"'}),
    Program("other", "Jan", {"/openapi.json": r'"title":\s*"[^"]*\bJan\b', "/": r"<title>[^<]*\bJan\b"}),
    Program("imitation", "LocalAI", {"/": r"<title>[^<]*LocalAI", "": r'"message":\s*"Resource not found"'}),
    Program("imitation", "LocalAI", {_TAGS: r'"digest":\s*"sha256:'}),
    Program("login", "JupyterHub", {"": r"^x-jupyterhub-version:"}),
    Program("login", "Jupyter", {"": r"<title>[^<]*Jupyter"}),
    Program("login", "Hugging Face", {"": r"^x-powered-by: *huggingface"}),
    Program("access", "Cloudflare Access", {"": r"cloudflareaccess\.com|^cf-access"}),
)
# What stands before another server, and may stand before Ollama.
GATEWAYS = (
    Program("login_page", "", {"": rf"<(?:form|input)[\s\S]*(?:{_LOGIN})|(?:{_LOGIN})[\s\S]*<(?:form|input)"}),
    *(
        Program("proxy", name, {"": rf"^server: *{name}|^via:.*{name}|<center>{name}"})
        for name in ("nginx", "openresty", "Caddy", "Traefik", "squid", "envoy", "HAProxy", "cloudflare", "Apache", "Varnish")
    ),
    Program("page", "", {"": r"<html|<!doctype"}),
)
OLLAMA = Program("ollama", "Ollama")
_PATHS = tuple(dict.fromkeys(["/", _TAGS, _JSON_VERSION, *(path for one in PROGRAMS for path in one.signs if path)]))


def identify(client: Client) -> Program | None:
    """Return which program answers, or None where nothing identifies it."""

    def get(path: str) -> tuple[str, Page] | None:
        with suppress(OllamaMagicsError, Cancelled):
            return path, client.get_page(path)
        return None

    pages = dict(page for page in in_parallel(_PATHS, get, _SECONDS) if page)
    texts = {path: _text(page) for path, page in pages.items()}
    if known := next((program for program in PROGRAMS if program.answers(texts)), None):
        return known
    if _is_ollama(pages):
        return OLLAMA
    return next((program for program in GATEWAYS if program.answers(texts)), None)


def _text(page: Page) -> str:
    """Return headers, one on a line, and body as one text."""
    headers = "\n".join(f"{name}: {value}" for name, value in page.headers.items())
    return f"{headers}\n\n{page.body.decode('utf-8', 'replace').strip()}"


def _is_ollama(pages: Mapping[str, Page]) -> bool:
    """Whether Ollama's own first page or its list of models came, whose digests are 64 hexadecimal digits."""
    root, tags = pages.get("/"), pages.get(_TAGS)
    if root and root.body.strip() == _OLLAMA_ROOT.encode():
        return True
    with suppress(RequestRefused):
        if tags and tags.status == 200:
            return all(re.fullmatch(r"[0-9a-f]{64}", model.digest) for model in wire.installed(tags.body))
    return False


# Codes of answers after which the program is not known: an answer at this path does not make it Ollama.
_UNCLEAR = {
    "authentication-required",
    "gateway-failed",
    "gateway-timeout",
    "host-header-refused",
    "key-refused",
    "not-ollama",
    "password-required",
    "path-unknown",
    "redirect-refused",
    "request-refused",
    "server-busy",
}


def require_ollama(client: Client) -> str:
    """Return the version of the server, empty where it does not tell.

    Raises ConnectionProblem (``not-ollama``) for another program, and RequestRefused (``server-too-old``).
    """
    try:
        version = client.version()
    except (ConnectionProblem, RequestRefused) as error:
        if error.code not in _UNCLEAR:
            raise
        program = identify(client)
        if program is OLLAMA:  # only the version is forbidden
            return ""
        raise identified(error, program, client) from None
    if version_number(version) >= wire.OLDEST_SERVER:
        return version
    too_old = RequestRefused("server-too-old", status=200, version=version, host=client.address.host)
    raise identified(too_old, identify(client), client)


@contextmanager
def of_old_server(client: Client) -> Iterator[None]:
    """Let a server that is too old, or not Ollama, be the error instead of what it says of a request that it does not know."""
    try:
        yield
    except (RequestRefused, ConnectionProblem) as error:
        if error.code in ("request-refused", "path-unknown"):
            require_ollama(client)
        raise


def identified(error: OllamaMagicsError, program: Program | None, client: Client) -> OllamaMagicsError:
    """Return the error of an answer, or a better one for the program that gave it."""
    if program is None or program is OLLAMA:
        return error
    if error.code != "not-ollama" and (program in GATEWAYS or program.kind == "openwebui_proxy"):
        return error  # Ollama may be behind it
    facts = {"name": program.name, "url": client.address.url, "host": client.address.host}
    known, remedy = Phrase(f"looks_{program.kind}", **facts), Phrase(f"use_{program.kind}", **facts)
    if error.code == "redirect-refused":
        return error.with_advice(remedy=remedy)
    return ConnectionProblem("not-ollama", url=client.address.url, reason=known).with_advice(remedy=remedy)
