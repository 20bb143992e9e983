"""What each address of the interface answers to a body; how bytes come and go is not known here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from ollama_magics.fake_server import batch, models, options, questions, refusals, replies, talk
from ollama_magics.fake_server.models import Model
from ollama_magics.fake_server.options import Options
from ollama_magics.fake_server.questions import Question
from ollama_magics.fake_server.reading import Fields
from ollama_magics.fake_server.replies import Lines, Stream, Whole
from ollama_magics.fake_server.residence import Residence
from ollama_magics.fake_server.shapes import ChatShape, GenerateShape, Shape
from ollama_magics.fake_server.version import VERSION

Pause = Callable[[], None]


class Endpoints:
    """The endpoints over the models in memory; ``open_streams`` is the number of answers being made right now."""

    def __init__(self) -> None:
        self.open_streams = 0
        self._residence = Residence()
        self._lock = threading.Lock()

    def root(self, _fields: Fields, _pause: Pause) -> Whole:
        """Return the sign of life."""
        return Whole(b"Ollama is running", content_type=replies.PLAIN_TYPE)

    def version(self, _fields: Fields, _pause: Pause) -> Whole:
        """Return the version whose behaviour is shown."""
        return replies.of({"version": VERSION})

    def tags(self, _fields: Fields, _pause: Pause) -> Whole:
        """Return the models there are."""
        return replies.of(models.tags())

    def ps(self, _fields: Fields, _pause: Pause) -> Whole:
        """Return the models in memory."""
        return replies.of(self._residence.listing())

    def show(self, fields: Fields, _pause: Pause) -> Whole:
        """Return what a model is and can do; ``name`` is the old word for ``model``."""
        name = fields.text("model") or fields.text("name")
        if not name:
            raise refusals.bad_request("model is required")
        return replies.of(models.show(_found(name)))

    def chat(self, fields: Fields, pause: Pause) -> Whole | Stream:
        """Return the next turn of a conversation."""
        question = questions.chat(fields)
        if not question.model:
            raise refusals.bad_request("model is required")
        return self._answer(question, ChatShape(), pause)

    def generate(self, fields: Fields, pause: Pause) -> Whole | Stream:
        """Return the continuation of a prompt."""
        question = questions.generate(fields)
        if not question.model:
            raise refusals.unknown_model("")
        return self._answer(question, GenerateShape(), pause)

    def embed(self, fields: Fields, pause: Pause) -> Whole:
        """Return the vectors of some texts, in their order."""
        question = questions.embed(fields)
        if not question.model:
            raise refusals.unknown_model("")
        model = models.find(question.model)
        texts = questions.texts(question.texts)
        if model is None:
            raise refusals.unknown_embedding_model(question.model)
        context = options.read(question.options, model.context_length).num_ctx
        with self._residence.use(model, context, question.keep_alive), self._producing():
            return batch.embed(question, texts, context, pause) if texts else batch.nothing(question)

    def _answer(self, question: Question, shape: Shape, pause: Pause) -> Whole | Stream:
        model = _found(question.model)
        if question.unloads:
            self._residence.unload(model)
            return replies.of(talk.silence(question, shape, "unload"))
        _check_capabilities(question, model, shape)
        chosen = options.read(question.options, model.context_length)
        if not question.messages:
            with self._residence.use(model, chosen.num_ctx, question.keep_alive):
                return replies.of(talk.silence(question, shape, "load"))
        lines = self._lines(question, model, chosen, shape, pause)
        if question.stream:
            return Stream(lines)
        with closing(lines):
            return replies.of(next(lines))

    def _lines(self, question: Question, model: Model, chosen: Options, shape: Shape, pause: Pause) -> Lines:
        with self._residence.use(model, chosen.num_ctx, question.keep_alive), self._producing():
            yield from talk.lines(question, model, chosen, shape, pause)

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
        raise refusals.unknown_model(name)
    return model


def _check_capabilities(question: Question, model: Model, shape: Shape) -> None:
    if question.think and not model.can("thinking"):
        raise refusals.cannot(question.model, "thinking")
    if not model.can("completion"):
        raise refusals.cannot(question.model, shape.purpose)
    if question.wants and not model.can(question.wants):
        raise refusals.cannot_in_full(model.full, question.wants)
