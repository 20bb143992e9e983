"""Map each path and method to its endpoint."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from ollama_magics.fake_server import embeddings, generation, models, openai, requests, responses
from ollama_magics.fake_server.generation import Purpose
from ollama_magics.fake_server.models import InstalledModels, LoadedModels, Model
from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.requests import Fields, Options, PromptRequest
from ollama_magics.fake_server.responses import ApiError, Events, Lines, Response
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
        return _streamed(self.installed.pull(name, pause), fields)

    def create(self, fields: Fields, pause: Pause) -> Response | Lines:
        """Make a model from another one; of files that were sent nothing can be made."""
        name, source = fields.text("model") or fields.text("name"), fields.text("from")
        if not models.is_name(name):
            raise ApiError("invalid model name")
        if not source and not fields.mapping("files"):
            raise ApiError("neither 'from' or 'files' was specified")
        if not source:
            raise ApiError("the stand-in makes models from other models only", 500)
        lines = self.installed.create(name, source, fields.text("system"), fields.mapping("parameters"), pause)
        return _streamed(lines, fields)

    def push(self, fields: Fields, _pause: Pause) -> Response | Lines:
        """Fail as a server that reaches no registry."""
        name = fields.text("model") or fields.text("name")
        if not name:
            raise ApiError("model is required")

        def lines() -> Lines:
            yield {"status": "retrieving manifest"}
            if self.installed.find(name) is None:
                yield {"status": "couldn't retrieve manifest"}
                raise ApiError(f"open manifests/registry.ollama.ai/library/{name}/latest: no such file or directory", 500)
            raise ApiError("dial tcp: lookup registry.ollama.ai: no such host", 500)

        return _streamed(lines(), fields)

    def blob(self, digest: str, fields: Fields) -> Response:
        """Keep a file by its hash; an empty body asks whether it is here."""
        data = fields.any("data")
        if not _DIGEST.fullmatch(digest):
            raise ApiError("invalid digest format")
        if not data and digest not in self.installed.blobs:
            raise ApiError(f"{digest}: no such file or directory", 404)
        found = f"sha256:{hashlib.sha256(data).hexdigest()}" if data else digest
        if found != digest:
            raise ApiError(f'digest mismatch, expected "{digest}", got "{found}"')
        is_new = digest not in self.installed.blobs
        self.installed.blobs.add(digest)
        return Response(b"", HTTPStatus.CREATED if is_new else HTTPStatus.OK, "")

    def status(self, _fields: Fields, _pause: Pause) -> Response:
        """Return that the cloud is off."""
        return responses.json_response({"cloud": {"disabled": True, "source": "env"}})

    def me(self, _fields: Fields, _pause: Pause) -> Response:
        """Refuse, since there is no account without the cloud."""
        raise ApiError("account unavailable", 503)

    def embeddings(self, fields: Fields, pause: Pause) -> Response:
        """Return the vector of one text, as clients asked for it before /api/embed."""
        prompt = fields.text("prompt")
        named = {name: fields.any(name) for name in ("model", "options", "keep_alive")}
        answer = self.embed(Fields({**named, "input": prompt or []}, "EmbedRequest"), pause)
        return embeddings.single(answer) if prompt else responses.json_response({"embedding": []})

    # OpenAI's interface

    def openai_chat(self, fields: Fields, pause: Pause) -> Response | Events:
        """Return the next turn of a conversation in OpenAI's form."""
        return openai.chat_answer(self.chat(Fields(openai.chat_document(fields), "ChatRequest"), pause), fields)

    def openai_completion(self, fields: Fields, pause: Pause) -> Response | Events:
        """Return the continuation of a text in OpenAI's form."""
        answer = self.generate(Fields(openai.generate_document(fields), "GenerateRequest"), pause)
        return openai.completion_answer(answer, fields)

    def openai_embed(self, fields: Fields, pause: Pause) -> Response:
        """Return vectors in OpenAI's form."""
        return openai.embed_answer(self.embed(Fields(openai.embed_document(fields), "EmbedRequest"), pause), fields)

    def openai_models(self, fields: Fields, pause: Pause) -> Response:
        """Return all models in OpenAI's form."""
        return openai.model_list(self.tags(fields, pause))

    def openai_model(self, name: str, pause: Pause) -> Response:
        """Return one model in OpenAI's form."""
        return openai.model(self.show(Fields({"model": name}, "ShowRequest"), pause), name)

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


def _streamed(lines: Lines, fields: Fields) -> Response | Lines:
    """Return the steps as a stream, or the last one if the request does not want a stream."""
    if fields.flag("stream", default=True):
        return lines
    with closing(lines):
        return responses.json_response(list(lines)[-1])


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_READ = "HEAD, GET"
_PLAIN = "text/plain"
_HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Route:
    """An endpoint: its methods as the Allow header lists them, the name of its request in Go, and the form of its errors."""

    allow: str
    endpoint: Callable[[Endpoints, Fields, Pause], Response | Lines | Events]
    struct: str = ""
    error: Callable[[ApiError], Response] = responses.error_response


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
    "/api/embeddings": Route("POST", Endpoints.embeddings, "EmbeddingRequest"),
    "/api/create": Route("POST", Endpoints.create, "CreateRequest"),
    "/api/push": Route("POST", Endpoints.push, "PushRequest"),
    "/api/status": Route("GET", Endpoints.status),
    "/api/me": Route("POST", Endpoints.me),
    "/v1/chat/completions": Route("POST", Endpoints.openai_chat, "ChatCompletionRequest", openai.error_response),
    "/v1/completions": Route("POST", Endpoints.openai_completion, "CompletionRequest", openai.error_response),
    "/v1/embeddings": Route("POST", Endpoints.openai_embed, "EmbedRequest", openai.error_response),
    "/v1/models": Route("GET", Endpoints.openai_models, error=openai.error_response),
}


def _named(path: str) -> Route | None:
    """Return the route of a path that ends in a name."""
    parent, _, name = path.rpartition("/")
    if parent == "/api/blobs" and name:
        return Route("POST, HEAD", lambda endpoints, fields, _: endpoints.blob(name, fields))
    if parent == "/v1/models" and name:
        return Route("GET", lambda endpoints, _, pause: endpoints.openai_model(name, pause), error=openai.error_response)
    return None


def find(method: str, target: str) -> Route | Response:
    """Return the route for a request target, or the response if there is none."""
    path = re.sub(r"^https?://[^/]*", "", target).partition("?")[0] or "/"
    get, bare = method == "GET", path.rstrip("/")
    if "//" in path:
        return _redirect(re.sub("/+", "/", path), HTTPStatus.TEMPORARY_REDIRECT, with_body=get)
    route = ROUTES.get(path) or _named(path)
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
