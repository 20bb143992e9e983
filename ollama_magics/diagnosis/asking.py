"""The model itself is loaded and asked, with the options of real use, so that the load is not wasted."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ollama_magics.diagnosis.question import Question
from ollama_magics.errors import Cancelled, ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.messages import harmless, phrase
from ollama_magics.server.client.server import Client
from ollama_magics.server.wire.answers import Chunk, LoadedModel, ModelCard, embeddings, full_name
from ollama_magics.server.wire.requests import ChatRequest, EmbedRequest, Message

_TICK = 0.5  # seconds between two looks
_LONG = 10.0  # seconds of loading after which the person is told that this is no error
_SHOWN = 60  # characters of an answer

_Tick = Callable[[str, OllamaMagicsError | None], None]


@dataclass(frozen=True)
class Talk:
    """With which model of which server, and what the check wants to know."""

    client: Client
    question: Question
    model: str
    card: ModelCard

    @property
    def embeds(self) -> bool:
        """Whether the model is there for embeddings."""
        return self.question.abilities[0] == "embedding"

    def say(self, key: str, **facts: object) -> str:
        """Return a phrase in the language of the person."""
        return phrase(key, self.question.language, **facts)

    def request(self, *messages: Message, tokens: int | None = None, **more: Any) -> ChatRequest:
        """Return a request with the options of real use; ``tokens`` bounds the answer."""
        options = {**self.question.options, **({"num_predict": tokens} if tokens else {})}
        options.setdefault("num_ctx", self.question.context_length)
        if "think" not in more and self.card.can("thinking"):
            more["think"] = False
        if self.question.keep_alive is not None:
            more["keep_alive"] = self.question.keep_alive
        return ChatRequest(model=self.model, messages=messages, options=options, **more)

    def embedding(self, *texts: str) -> EmbedRequest:
        """Return a request for the vectors of the texts, which stays as long as the form says."""
        more = {} if self.question.keep_alive is None else {"keep_alive": self.question.keep_alive}
        return EmbedRequest(model=self.model, input=texts, **more)

    def ask(self, text: str, *, images: tuple[str, ...] = (), tokens: int = 32, **more: Any) -> list[Chunk]:
        """Return the whole answer to one question, chunk by chunk."""
        return list(self.client.chat(self.request(Message("user", text, images), tokens=tokens, **more)))


def load(talk: Talk, tick: _Tick) -> tuple[str, OllamaMagicsError | None]:
    """Return how the load went, and a note where the model does not run on the GPU; ticks until it is done."""
    start = time.monotonic()
    answer: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    threading.Thread(target=_load, args=(talk, answer), daemon=True, name="ollama-load").start()
    while True:
        try:
            failure = answer.get(timeout=_TICK)
        except queue.Empty:
            spent = time.monotonic() - start
            tick(talk.say("loading", model=talk.model, seconds=f"{spent:.0f}"), _patience(talk, spent))
            continue
        if failure:
            raise failure
        return _loaded(talk, f"{time.monotonic() - start:.1f}")


def _load(talk: Talk, answer: queue.SimpleQueue[BaseException | None]) -> None:
    try:
        if talk.embeds:
            talk.client.embed(talk.embedding(), embeddings)
        else:
            for _ in talk.client.chat(talk.request()):
                pass
    except (OllamaMagicsError, Cancelled) as error:
        answer.put(error)
    else:
        answer.put(None)


def _patience(talk: Talk, spent: float) -> OllamaMagicsError | None:
    if spent < _LONG or _resident(talk):
        return None
    return ModelProblem("OM-D32", model=talk.model, seconds=f"{spent:.0f}")


def _loaded(talk: Talk, seconds: str) -> tuple[str, OllamaMagicsError | None]:
    found = _resident(talk)
    if found is None or not found.size:
        return talk.say("load_done_unseen", model=talk.model, seconds=seconds), None
    share = f"{100 * found.size_vram / found.size:.0f} %"
    note = None if found.size_vram >= found.size else ModelProblem("OM-D44", model=talk.model, share=share)
    facts = {"model": talk.model, "seconds": seconds, "size": f"{found.size / 1e6:,.0f} MB", "share": share}
    return talk.say("load_done", **facts), note


def _resident(talk: Talk) -> LoadedModel | None:
    with suppress(OllamaMagicsError):  # a server that does not say is no reason to fail
        return next((one for one in talk.client.loaded() if full_name(one.name) == full_name(talk.model)), None)
    return None


def answer(talk: Talk) -> str:
    """Return what the model answers to a greeting, and how fast."""
    if talk.embeds:
        vectors = talk.client.embed(talk.embedding("hello"), embeddings)
        return talk.say("answer_vector", count=len(vectors[0]) if vectors else 0)
    start, first, chunks = time.monotonic(), 0.0, []
    for chunk in talk.client.chat(talk.request(Message("user", "Say hello in one short sentence."), tokens=32)):
        chunks.append(chunk)
        if not first and (chunk.text or chunk.thinking):
            first = time.monotonic() - start
    text = spoken(chunks)
    if not text:
        raise RequestRefused("OM-V06", status=200, model=talk.model, reason=chunks[-1].done_reason or "nothing")
    last = chunks[-1]
    rate = last.eval_count / (last.eval_duration / 1e9) if last.eval_duration else 0
    shown = harmless(text.replace("\n", " "))
    return talk.say("answer_is", text=shown[:_SHOWN], first=f"{first:.1f}", rate=f"{rate:.0f}")


def spoken(chunks: list[Chunk]) -> str:
    """Return the text of an answer, or its thoughts where there is no text."""
    return "".join(chunk.text for chunk in chunks).strip() or "".join(chunk.thinking for chunk in chunks).strip()
