"""Map each path and method to its endpoint."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from ollama_magics.fake_server import embeddings, generation, models, requests, responses
from ollama_magics.fake_server.generation import ChatShape, GenerateShape, Shape
from ollama_magics.fake_server.models import Model, Residence
from ollama_magics.fake_server.requests import Fields, Options, Question
from ollama_magics.fake_server.responses import Lines, Stream, Whole

VERSION = "0.24.0"  # the Ollama whose behaviour the stand-in server shows and reports
Pause = Callable[[], None]


class Endpoints:
    """The endpoints over the models in memory; ``open_streams`` is the number of answers being made right now."""

    def __init__(self) -> None:
        self.open_streams = 0
        self._residence = Residence()
        self._lock = threading.Lock()

    def root(self, _fields: Fields, _pause: Pause) -> Whole:
        """Return the sign of life."""
        return Whole(b"Ollama is running", content_type=responses.PLAIN_TYPE)

    def version(self, _fields: Fields, _pause: Pause) -> Whole:
        """Return the version whose behaviour is shown."""
        return responses.of({"version": VERSION})

    def tags(self, _fields: Fields, _pause: Pause) -> Whole:
        """Return the models there are."""
        return responses.of(models.tags())

    def ps(self, _fields: Fields, _pause: Pause) -> Whole:
        """Return the models in memory."""
        return responses.of(self._residence.listing())

    def show(self, fields: Fields, _pause: Pause) -> Whole:
        """Return what a model is and can do; ``name`` is the old word for ``model``."""
        name = fields.text("model") or fields.text("name")
        if not name:
            raise responses.bad_request("model is required")
        return responses.of(models.show(_found(name)))

    def chat(self, fields: Fields, pause: Pause) -> Whole | Stream:
        """Return the next turn of a conversation."""
        question = requests.chat(fields)
        if not question.model:
            raise responses.bad_request("model is required")
        return self._answer(question, ChatShape(), pause)

    def generate(self, fields: Fields, pause: Pause) -> Whole | Stream:
        """Return the continuation of a prompt."""
        question = requests.generate(fields)
        if not question.model:
            raise responses.unknown_model("")
        return self._answer(question, GenerateShape(), pause)

    def embed(self, fields: Fields, pause: Pause) -> Whole:
        """Return the vectors of some texts, in their order."""
        question = requests.embed(fields)
        if not question.model:
            raise responses.unknown_model("")
        model = models.find(question.model)
        texts = requests.texts(question.texts)
        if model is None:
            raise responses.unknown_embedding_model(question.model)
        context = requests.read(question.options, model.context_length).num_ctx
        with self._residence.use(model, context, question.keep_alive), self._producing():
            return embeddings.embed_batch(question, texts, context, pause) if texts else embeddings.nothing(question)

    def _answer(self, question: Question, shape: Shape, pause: Pause) -> Whole | Stream:
        model = _found(question.model)
        if question.unloads:
            self._residence.unload(model)
            return responses.of(generation.silence(question, shape, "unload"))
        _check_capabilities(question, model, shape)
        chosen = requests.read(question.options, model.context_length)
        if not question.messages:
            with self._residence.use(model, chosen.num_ctx, question.keep_alive):
                return responses.of(generation.silence(question, shape, "load"))
        lines = self._lines(question, model, chosen, shape, pause)
        if question.stream:
            return Stream(lines)
        with closing(lines):
            return responses.of(next(lines))

    def _lines(self, question: Question, model: Model, chosen: Options, shape: Shape, pause: Pause) -> Lines:
        with self._residence.use(model, chosen.num_ctx, question.keep_alive), self._producing():
            yield from generation.lines(question, model, chosen, shape, pause)

    @contextmanager
    def _producing(self) -> Iterator[None]:
        with self._lock:
            self.open_streams += 1
        try:
            yield
        finally:
            with self._lock:
                self.open_streams -= 1


def _found(name: str) -> Model:
    model = models.find(name)
    if model is None:
        raise responses.unknown_model(name)
    return model


def _check_capabilities(question: Question, model: Model, shape: Shape) -> None:
    if question.think and not model.can("thinking"):
        raise responses.cannot(question.model, "thinking")
    if not model.can("completion"):
        raise responses.cannot(question.model, shape.purpose)
    if question.wants and not model.can(question.wants):
        raise responses.cannot_in_full(model.full, question.wants)


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
