"""Map each path and method to its endpoint."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from ollama_magics.fake_server import embeddings, generation, models, requests, responses
from ollama_magics.fake_server.generation import Purpose
from ollama_magics.fake_server.models import InstalledModels, LoadedModels, Model
from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.requests import Fields, Options, PromptRequest
from ollama_magics.fake_server.responses import ApiError, Lines, Response
from ollama_magics.fake_server.script import Script

Pause = Callable[[], None]


class Endpoints:
    """The endpoints of a release; ``open_streams`` is the number of answers being generated right now."""

    def __init__(self, release: Release) -> None:
        self.release, self.script = release, Script()
        self.open_streams = 0
        self.installed, self._loaded = InstalledModels(), LoadedModels()
        self._lock = threading.Lock()

    def root(self, _fields: Fields, _pause: Pause) -> Response:
        """Return the text that says that the server is up."""
        return Response(b"Ollama is running", content_type=responses.PLAIN_TYPE)

    def version(self, _fields: Fields, _pause: Pause) -> Response:
        """Return the version whose behaviour is shown."""
        return responses.json_response({"version": self.release.value})

    def tags(self, _fields: Fields, _pause: Pause) -> Response:
        """Return all models."""
        return responses.json_response(self.installed.tags(self.release))

    def recommendations(self, _fields: Fields, _pause: Pause) -> Response:
        """Return models that can be pulled; as Ollama's, the first of them would run in a cloud."""
        return responses.json_response({"recommendations": models.RECOMMENDED})

    def ps(self, _fields: Fields, _pause: Pause) -> Response:
        """Return the models in memory."""
        return responses.json_response(self._loaded.listing())

    def show(self, fields: Fields, _pause: Pause) -> Response:
        """Return the description of a model; ``name`` is the old word for ``model``."""
        name = fields.text("model") or fields.text("name")
        if not name:
            raise ApiError("model is required")
        model = self.installed.find(name)
        if model is None:
            raise responses.unknown_model_to_show(name)
        return responses.json_response(models.show(model, self.release))

    def copy(self, fields: Fields, _pause: Pause) -> Response:
        """Give a model a second name."""
        source, destination = fields.text("source"), fields.text("destination")
        for word, name in (("source", source), ("destination", destination)):
            if not models.is_name(name):
                raise ApiError(f'{word} "{name}" is invalid')
        model = self.installed.find(source)
        if model is None:
            raise ApiError(f'model "{source}" not found', 404)
        self.installed.copy(model, destination)
        return Response(b"", content_type="")

    def delete(self, fields: Fields, _pause: Pause) -> Response:
        """Remove a model, also from memory."""
        name = fields.text("model") or fields.text("name")
        if not name:
            raise ApiError("model is required")
        if not models.is_name(name):
            raise ApiError(f'name "{name}" is invalid')
        model = self.installed.delete(name)
        if model is None:
            raise responses.unknown_model(name)
        self._loaded.unload(model)
        return Response(b"", content_type="")

    def pull(self, fields: Fields, pause: Pause) -> Response | Lines:
        """Download a model, in steps of a stream if it is not asked otherwise."""
        name = fields.text("model") or fields.text("name")
        if not models.is_name(name):
            raise ApiError("invalid model name")
        lines = self.installed.pull(name, pause)
        if fields.flag("stream", default=True):
            return lines
        with closing(lines):
            return responses.json_response(list(lines)[-1])

    def chat(self, fields: Fields, pause: Pause) -> Response | Lines:
        """Return the next turn of a conversation."""
        request = requests.chat(fields, self.release)
        if not request.model:
            raise ApiError("model is required")
        return self._answer(request, Purpose.CHAT, pause)

    def generate(self, fields: Fields, pause: Pause) -> Response | Lines:
        """Return the continuation of a prompt."""
        request = requests.generate(fields, self.release)
        if not request.model:
            raise responses.unknown_model("")
        return self._answer(request, Purpose.GENERATE, pause)

    def embed(self, fields: Fields, pause: Pause) -> Response:
        """Return the vectors of some texts, in their order."""
        request = requests.embed(fields)
        if not request.model:
            raise responses.unknown_model("")
        model = self.installed.find(request.model)
        texts = requests.texts(request.input)
        if model is None:
            raise ApiError(f'model "{request.model}" not found, try pulling it first', 404)
        if self.release.runs_llama_server and not model.can("embedding"):
            raise ApiError("This server does not support embeddings. Start it with `--embeddings`", 501)
        context = requests.options(request.options, model, self.release).num_ctx
        with self._loaded.use(model, context, request.keep_alive), self._count_stream():
            return embeddings.embed_batch(request, texts, context, pause)

    def _answer(self, request: PromptRequest, purpose: Purpose, pause: Pause) -> Response | Lines:
        if not self.release.runs_llama_server:  # which knows the levels of each model
            requests.check_level(request)
        model = self.installed.find(request.model)
        if model is None:
            raise responses.unknown_model(request.model)
        if not model.thinking:
            requests.check_level(request)
        if request.unloads:
            self._loaded.unload(model)
            return responses.json_response(generation.empty_line(request, purpose, "unload"))

        _require_able(request, model, purpose)
        options = requests.options(request.options, model, self.release)
        if not request.messages:
            with self._loaded.use(model, options.num_ctx, request.keep_alive):
                return responses.json_response(generation.empty_line(request, purpose, "load"))
        if request.renders:
            with self._loaded.use(model, options.num_ctx, request.keep_alive):
                return responses.json_response(generation.rendered(request, purpose))
        lines = self._lines(request, model, options, purpose, pause)
        if request.stream:
            return lines
        with closing(lines):
            return responses.json_response(next(lines))

    def _lines(self, request: PromptRequest, model: Model, options: Options, purpose: Purpose, pause: Pause) -> Lines:
        with self._loaded.use(model, options.num_ctx, request.keep_alive), self._count_stream():
            yield from generation.lines(request, model, options, purpose, pause, self.script.answer)

    @contextmanager
    def _count_stream(self) -> Iterator[None]:
        with self._lock:
            self.open_streams += 1
        try:
            yield
        finally:
            with self._lock:
                self.open_streams -= 1


def _require_able(request: PromptRequest, model: Model, purpose: Purpose) -> None:
    """Raise ApiError where the model cannot do what is asked of it."""
    # for tools and insert, Ollama writes the name of the model in full
    if request.think and not model.can("thinking"):
        raise ApiError(f'"{request.model}" does not support thinking')
    if not model.can("completion"):
        raise ApiError(f'"{request.model}" does not support {purpose.value}')
    if request.capability and not model.can(request.capability):
        raise ApiError(f"{model.full} does not support {request.capability}")


_READ = "HEAD, GET"
_PLAIN = "text/plain"
_HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Route:
    """An endpoint: its methods as the Allow header lists them, and the name of its request in Go."""

    allow: str
    endpoint: Callable[[Endpoints, Fields, Pause], Response | Lines]
    struct: str = ""


ROUTES = {
    "/": Route(_READ, Endpoints.root),
    "/api/version": Route(_READ, Endpoints.version),
    "/api/tags": Route(_READ, Endpoints.tags),
    "/api/experimental/model-recommendations": Route("GET", Endpoints.recommendations),
    "/api/ps": Route("GET", Endpoints.ps),
    "/api/show": Route("POST", Endpoints.show, "ShowRequest"),
    "/api/copy": Route("POST", Endpoints.copy, "CopyRequest"),
    "/api/delete": Route("DELETE", Endpoints.delete, "DeleteRequest"),
    "/api/pull": Route("POST", Endpoints.pull, "PullRequest"),
    "/api/chat": Route("POST", Endpoints.chat, "ChatRequest"),
    "/api/generate": Route("POST", Endpoints.generate, "GenerateRequest"),
    "/api/embed": Route("POST", Endpoints.embed, "EmbedRequest"),
}


def find(method: str, target: str) -> Route | Response:
    """Return the route for a request target, or the response if there is none."""
    path = re.sub(r"^https?://[^/]*", "", target).partition("?")[0] or "/"
    get, bare = method == "GET", path.rstrip("/")
    if "//" in path:
        return _redirect(re.sub("/+", "/", path), HTTPStatus.TEMPORARY_REDIRECT, with_body=get)
    route = ROUTES.get(path)
    if route and method in route.allow.split(", "):
        return route
    if route:
        return Response(b"405 method not allowed", HTTPStatus.METHOD_NOT_ALLOWED, _PLAIN, (("Allow", route.allow),))
    if bare in ROUTES:
        return _redirect(bare, HTTPStatus.MOVED_PERMANENTLY if get else HTTPStatus.TEMPORARY_REDIRECT, with_body=get)
    return Response(b"404 page not found", HTTPStatus.NOT_FOUND, _PLAIN)


def _redirect(path: str, status: HTTPStatus, *, with_body: bool) -> Response:
    body = f'<a href="{path}">{status.phrase}</a>.\n\n'.encode() if with_body else b""
    return Response(body, status, _HTML if with_body else "", (("Location", path),))
