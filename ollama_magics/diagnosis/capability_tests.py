"""Load the model and test that it answers, sees, embeds, calls functions and thinks."""

from __future__ import annotations

import base64
import math
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ollama_magics.background import BackgroundCall
from ollama_magics.diagnosis.report import CheckRequest
from ollama_magics.errors import EmbeddingProblem, ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.messages import Phrase, phrase, strip_controls
from ollama_magics.server.client import Client
from ollama_magics.server.failures import FailureKind, failure_kind
from ollama_magics.server.http_errors import quote
from ollama_magics.server.wire import ChatRequest, Chunk, EmbedRequest, LoadedModel, Message, ModelCard, embeddings, full_name

_TICK = 0.5  # seconds between two looks
_LONG = 10.0  # seconds of loading after which the person is told that this is no error
_SHOWN = 60  # characters of an answer

_Tick = Callable[[str, OllamaMagicsError | None], None]


@dataclass(frozen=True)
class Talk:
    """With which model of which server, and what the check wants to know."""

    client: Client
    question: CheckRequest
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

    def report_progress() -> None:
        spent = time.monotonic() - start
        if spent >= _TICK:
            tick(talk.say("loading", model=talk.model, seconds=f"{spent:.0f}"), _patience(talk, spent))

    BackgroundCall(partial(_load, talk), name="ollama-load").wait(report_progress, interval=_TICK)
    return _loaded(talk, f"{time.monotonic() - start:.1f}")


def _load(talk: Talk) -> None:
    if talk.embeds:
        talk.client.embed(talk.embedding(), embeddings)
        return
    for _ in talk.client.chat(talk.request()):
        pass


def _patience(talk: Talk, spent: float) -> OllamaMagicsError | None:
    if spent < _LONG or _resident(talk):
        return None
    return ModelProblem("model-loading", model=talk.model, seconds=f"{spent:.0f}")


def _loaded(talk: Talk, seconds: str) -> tuple[str, OllamaMagicsError | None]:
    found = _resident(talk)
    if found is None or not found.size:
        return talk.say("load_done_unseen", model=talk.model, seconds=seconds), None
    share = f"{100 * found.size_vram / found.size:.0f} %"
    note = None if found.size_vram >= found.size else ModelProblem("model-on-cpu", model=talk.model, share=share)
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
        raise RequestRefused("answer-empty", status=200, model=talk.model, reason=chunks[-1].done_reason or "nothing")
    last = chunks[-1]
    rate = last.eval_count / (last.eval_duration / 1e9) if last.eval_duration else 0
    shown = strip_controls(text.replace("\n", " "))
    return talk.say("answer_is", text=shown[:_SHOWN], first=f"{first:.1f}", rate=f"{rate:.0f}")


def spoken(chunks: list[Chunk]) -> str:
    """Return the text of an answer, or its thoughts where there is no text."""
    return "".join(chunk.text for chunk in chunks).strip() or "".join(chunk.thinking for chunk in chunks).strip()


SUGGESTIONS = {"completion": "llama3.2", "vision": "gemma3", "embedding": "all-minilm"}
_COLOURS = {
    (255, 0, 0): ("red", "crimson", "scarlet", "红"),
    (0, 160, 0): ("green", "绿"),
    (0, 0, 255): ("blue", "蓝"),
}
_SIDE = 64  # pixels
# (a text, one that is near, one that is far) in each language
_TRIPLES = {
    "english": ("A cat sits on the mat.", "A kitten is on the rug.", "The bank raised its interest rate."),
    "chinese": ("一只猫坐在垫子上。", "小猫在地毯上。", "银行提高了利率。"),
}
_SAME = 0.999  # cosine of two vectors that ought to be one
_ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
        },
    },
}


def prove(talk: Talk) -> str:
    """Return the verdicts; raises the error of the first proof that failed, after all were made."""
    if talk.embeds:
        return embedding(talk)
    asked = talk.question
    claimed = {ability for ability in _PROOFS if talk.card.can(ability) or ability in asked.abilities[1:]}
    wanted = [proof for ability, proof in _PROOFS.items() if ability in claimed.difference(asked.denied)]
    verdicts = [proof(talk) for proof in wanted]
    failure = next((error for _, error in verdicts if error), None)
    if failure:
        raise failure
    return " · ".join(talk.say(words) for words, _ in verdicts) or talk.say("proof_none")


Verdict = tuple[str, OllamaMagicsError | None]


def vision(talk: Talk) -> Verdict:
    """Return whether the model names the colour of plain pictures: *sees*, *ignores* or *refuses*."""
    said = []
    for colour in _COLOURS:
        try:
            chunks = talk.ask("What colour is this picture? Answer with one word.", images=(_plain(colour),), tokens=16)
        except (ModelProblem, RequestRefused) as error:
            _require_refusal(error)
            return "proof_refuses", ModelProblem("vision-refused", model=talk.model, said=_heard(error))
        said.append(spoken(chunks).lower())
    right = sum(any(word in text for word in words) for text, words in zip(said, _COLOURS.values(), strict=True))
    if right >= 2 and len(set(said)) > 1:
        return "proof_sees", None
    return "proof_ignores", ModelProblem("vision-blind", model=talk.model, said=quote("; ".join(text[:60] for text in said)))


def tools(talk: Talk) -> Verdict:
    """Return whether the model calls a function that it was given."""
    try:
        chunks = talk.ask("What is 2 plus 3? Use the function add.", tools=(_ADD,), tokens=256)
    except (ModelProblem, RequestRefused) as error:
        _require_refusal(error)
        return "proof_talks", ModelProblem("tools-unused", model=talk.model, said=_heard(error))
    calls = [call for chunk in chunks for call in chunk.tool_calls]
    if any((call.get("function") or {}).get("name") == "add" for call in calls):
        return "proof_calls", None
    return "proof_talks", ModelProblem("tools-unused", model=talk.model, said=quote(spoken(chunks)[:120]) or "…")


def thinking(talk: Talk) -> Verdict:
    """Return whether the model shows thoughts when asked to; the answer after them is not waited for."""
    chunks: list[Chunk] = []
    for chunk in talk.client.chat(talk.request(Message("user", "What is 2 plus 3?"), tokens=64, think=True)):
        chunks.append(chunk)
        if chunk.thinking:
            return "proof_thinks", None
    return "proof_silent", ModelProblem("thinking-unused", model=talk.model, said=quote(spoken(chunks)[:120]) or "…")


def _require_refusal(error: OllamaMagicsError) -> None:
    """Raise the error again where it tells nothing about the model: the server was busy, or its runner died."""
    kind = failure_kind(error)
    if kind.is_temporary or kind is FailureKind.OUT_OF_MEMORY:
        raise error


def _heard(error: OllamaMagicsError) -> str:
    """Return the server's own words of a refusal, without what stands around them in its error."""
    said = error.facts.get("said")
    return quote(str(error.how_we_know if said is None else said))


def embedding(talk: Talk) -> str:
    """Return for which languages near texts get near vectors; raises EmbeddingProblem where the vectors are of no use."""
    texts = [text for triple in _TRIPLES.values() for text in triple]
    try:
        vectors = talk.client.embed(talk.embedding(*texts), embeddings)
        again = talk.client.embed(talk.embedding(texts[0]), embeddings)
    except (ModelProblem, RequestRefused) as error:
        _require_refusal(error)
        raise _useless(talk, Phrase("vectors_refused", said=error.facts.get("said", error.how_we_know))) from None
    size = _size(talk, vectors, len(texts))
    if len(again) != 1 or len(again[0]) != size or _cosine(vectors[0], again[0]) < _SAME:
        raise _useless(talk, Phrase("vectors_change"))
    near = [name for place, name in enumerate(_TRIPLES) if _margin(vectors[3 * place : 3 * place + 3]) > 0]
    if "english" not in near and "chinese" not in near:
        facts = {"near": f"{_cosine(vectors[0], vectors[1]):.3f}", "far": f"{_cosine(vectors[0], vectors[2]):.3f}"}
        raise _useless(talk, Phrase("vectors_order", **facts))
    return talk.say("proof_near", count=size, languages=talk.say("_".join(near)))


def _size(talk: Talk, vectors: Sequence[Sequence[float]], count: int) -> int:
    sizes = {len(vector) for vector in vectors}
    if len(vectors) != count or len(sizes) != 1 or 0 in sizes:
        shown = ", ".join(map(str, sorted(sizes))) or "0"
        raise _useless(talk, Phrase("vectors_wrong", found=len(vectors), sizes=shown, count=count))
    size, listed = sizes.pop(), talk.card.embedding_length
    if listed and listed != size:
        raise _useless(talk, Phrase("vectors_size", size=size, listed=listed))
    if not all(math.isfinite(number) for vector in vectors for number in vector):
        raise _useless(talk, Phrase("vectors_infinite"))
    if not all(any(vector) for vector in vectors):
        raise _useless(talk, Phrase("vectors_zero"))
    return size


def _useless(talk: Talk, reason: Phrase) -> EmbeddingProblem:
    return EmbeddingProblem("vectors-useless", model=talk.model, reason=reason)


def _margin(triple: Sequence[Sequence[float]]) -> float:
    return _cosine(triple[0], triple[1]) - _cosine(triple[0], triple[2])


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    dot = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(math.fsum(a * a for a in one) * math.fsum(b * b for b in other))


def _plain(colour: tuple[int, int, int]) -> str:
    """Return a picture of one colour, as the base64 text of a PNG file."""
    rows = (b"\0" + bytes(colour) * _SIDE) * _SIDE
    pieces = (
        _piece(b"IHDR", struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)),
        _piece(b"IDAT", zlib.compress(rows)),
        _piece(b"IEND", b""),
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(pieces)).decode()


def _piece(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_PROOFS = {"vision": vision, "tools": tools, "thinking": thinking}
