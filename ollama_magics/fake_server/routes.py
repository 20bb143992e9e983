"""Which address takes which method, and the answers to all that is no address."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from ollama_magics.fake_server.endpoints import Endpoints, Pause
from ollama_magics.fake_server.reading import Fields
from ollama_magics.fake_server.replies import Stream, Whole

_READ = "HEAD, GET"
_PLAIN = "text/plain"
_HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Route:
    """An address: its methods as the Allow header names them, and the name of its request in Go."""

    allow: str
    endpoint: Callable[[Endpoints, Fields, Pause], Whole | Stream]
    struct: str = ""


ROUTES = {
    "/": Route(_READ, Endpoints.root),
    "/api/version": Route(_READ, Endpoints.version),
    "/api/tags": Route(_READ, Endpoints.tags),
    "/api/ps": Route("GET", Endpoints.ps),
    "/api/show": Route("POST", Endpoints.show, "ShowRequest"),
    "/api/chat": Route("POST", Endpoints.chat, "ChatRequest"),
    "/api/generate": Route("POST", Endpoints.generate, "GenerateRequest"),
    "/api/embed": Route("POST", Endpoints.embed, "EmbedRequest"),
}


def find(method: str, target: str) -> Route | Whole:
    """Return the route for a request target, or the answer where there is none."""
    path = re.sub(r"^https?://[^/]*", "", target).partition("?")[0] or "/"
    if "//" in path:
        return _moved(re.sub("/+", "/", path), HTTPStatus.TEMPORARY_REDIRECT, explained=method == "GET")
    route = ROUTES.get(path)
    if route is None:
        return _missing(method, path)
    if method not in route.allow.split(", "):
        return Whole(b"405 method not allowed", HTTPStatus.METHOD_NOT_ALLOWED, _PLAIN, (("Allow", route.allow),))
    return route


def _missing(method: str, path: str) -> Whole:
    bare = path.rstrip("/")
    if bare not in ROUTES:
        return Whole(b"404 page not found", HTTPStatus.NOT_FOUND, _PLAIN)
    if method == "GET":
        return _moved(bare, HTTPStatus.MOVED_PERMANENTLY, explained=True)
    return _moved(bare, HTTPStatus.TEMPORARY_REDIRECT, explained=False)


def _moved(path: str, status: HTTPStatus, *, explained: bool) -> Whole:
    body = f'<a href="{path}">{status.phrase}</a>.\n\n'.encode() if explained else b""
    return Whole(body, status, _HTML if explained else "", (("Location", path),))
