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
from typing import Any

from ollama_magics.diagnosis.report import CheckRequest
from ollama_magics.errors import EmbeddingProblem, ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.messages import Phrase, phrase, strip_controls
from ollama_magics.server.background import BackgroundCall
from ollama_magics.server.client import Client
from ollama_magics.server.failures import FailureKind, failure_kind, quote
from ollama_magics.server.model_card import LoadedModel, ModelCard, full_name
from ollama_magics.server.wire import ChatRequest, Chunk, EmbedRequest, Message, embeddings

_POLL_SECONDS = 0.5  # between two reports of progress
_LONG_LOAD_SECONDS = 10.0  # after which a note says that a long load is no error
_MAX_SHOWN = 60  # characters of an answer

_OnProgress = Callable[[str, OllamaMagicsError | None], None]


@dataclass(frozen=True)
class ModelUnderTest:
    """A model of a server, with its card and the check that tests it."""

    client: Client
    check: CheckRequest
    name: str
    card: ModelCard

    @property
    def embeds(self) -> bool:
        """Whether the model is used for embeddings."""
        return self.check.abilities[0] == "embedding"

    def phrase(self, key: str, **facts: object) -> str:
        """Return a phrase in the language of the check."""
        return phrase(key, self.check.language, **facts)

    def chat_request(self, *messages: Message, tokens: int | None = None, **more: Any) -> ChatRequest:
        """Return a chat request with the options of the settings; ``tokens`` limits the answer."""
        options = {**self.check.options, **({"num_predict": tokens} if tokens else {})}
        options.setdefault("num_ctx", self.check.context_length)
        if "think" not in more and self.card.can("thinking"):
            more["think"] = False
        if self.check.keep_alive is not None:
            more["keep_alive"] = self.check.keep_alive
        return ChatRequest(model=self.name, messages=messages, options=options, **more)

    def embed(self, *texts: str) -> list[list[float]]:
        """Return the vectors of the texts; the model stays loaded for as long as the settings say."""
        more = {} if self.check.keep_alive is None else {"keep_alive": self.check.keep_alive}
        return self.client.embed(EmbedRequest(model=self.name, input=texts, **more), embeddings)

    def ask(self, text: str, *, images: tuple[str, ...] = (), tokens: int = 32, **more: Any) -> list[Chunk]:
        """Return the chunks of the whole answer to one prompt."""
        return list(self.client.chat(self.chat_request(Message("user", text, images), tokens=tokens, **more)))


def load(model: ModelUnderTest, on_progress: _OnProgress) -> tuple[str, OllamaMagicsError | None]:
    """Load the model, reporting a sentence and perhaps a note; return the last, with a note where it is not on the GPU."""
    start = time.monotonic()

    def send() -> None:
        if model.embeds:
            model.embed()
        else:
            for _ in model.client.chat(model.chat_request()):
                pass

    def report_progress() -> None:
        spent = time.monotonic() - start
        if spent < _POLL_SECONDS:
            return
        is_long = spent >= _LONG_LOAD_SECONDS and not _in_memory(model)
        note = ModelProblem("model-loading", model=model.name, seconds=f"{spent:.0f}") if is_long else None
        on_progress(model.phrase("loading", model=model.name, seconds=f"{spent:.0f}"), note)

    BackgroundCall(send, name="ollama-load").wait(report_progress, interval=_POLL_SECONDS)
    seconds, loaded = f"{time.monotonic() - start:.1f}", _in_memory(model)
    if model.check.is_recorded:
        return model.phrase("load_done_recorded", model=model.name), None
    if loaded is None or not loaded.size:
        return model.phrase("load_done_unseen", model=model.name, seconds=seconds), None
    share = f"{100 * loaded.size_vram / loaded.size:.0f} %"
    note = None if loaded.size_vram >= loaded.size else ModelProblem("model-on-cpu", model=model.name, share=share)
    facts = {"model": model.name, "seconds": seconds, "size": f"{loaded.size / 1e6:,.0f} MB", "share": share}
    return model.phrase("load_done", **facts), note


def _in_memory(model: ModelUnderTest) -> LoadedModel | None:
    with suppress(OllamaMagicsError):  # a server that does not answer this is no reason to fail
        return next((one for one in model.client.loaded() if full_name(one.name) == full_name(model.name)), None)
    return None


def answer(model: ModelUnderTest) -> str:
    """Return what the model answers to a short prompt, and how fast; for embeddings, the size of a vector."""
    if model.embeds:
        vectors = model.embed("hello")
        return model.phrase("answer_vector", count=len(vectors[0]) if vectors else 0)
    start, first, chunks = time.monotonic(), 0.0, []
    for chunk in model.client.chat(model.chat_request(Message("user", "Say hello in one short sentence."), tokens=32)):
        chunks.append(chunk)
        if not first and (chunk.text or chunk.thinking):
            first = time.monotonic() - start
    text, last = text_of(chunks), chunks[-1]
    if not text:
        raise RequestRefused("answer-empty", status=200, model=model.name, reason=last.done_reason or "nothing")
    rate = last.eval_count / (last.eval_duration / 1e9) if last.eval_duration else 0
    shown = strip_controls(text.replace("\n", " "))
    if model.check.is_recorded:
        return model.phrase("answer_recorded", text=shown[:_MAX_SHOWN])
    return model.phrase("answer_is", text=shown[:_MAX_SHOWN], first=f"{first:.1f}", rate=f"{rate:.0f}")


def text_of(chunks: list[Chunk]) -> str:
    """Return the text of an answer, or its thinking where there is no text."""
    return "".join(chunk.text for chunk in chunks).strip() or "".join(chunk.thinking for chunk in chunks).strip()


_COLOURS = {
    (255, 0, 0): ("red", "crimson", "scarlet", "红"),
    (0, 160, 0): ("green", "绿"),
    (0, 0, 255): ("blue", "蓝"),
}
_PICTURE_SIDE = 64  # pixels
# (a text, a similar one, a different one) in each language
_TRIPLES = {
    "english": ("A cat sits on the mat.", "A kitten is on the rug.", "The bank raised its interest rate."),
    "chinese": ("一只猫坐在垫子上。", "小猫在地毯上。", "银行提高了利率。"),
}
_EQUAL = 0.999  # least cosine of two vectors of one text
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
_TestResult = tuple[str, OllamaMagicsError | None]  # key of a phrase, and why the test failed


def run_tests(model: ModelUnderTest) -> str:
    """Return the results of all tests in one sentence; raises the error of the first that failed, after all have run."""
    if model.embeds:
        return embedding(model)
    claimed = {ability for ability in _TESTS if model.card.can(ability) or ability in model.check.abilities[1:]}
    tests = [test for ability, test in _TESTS.items() if ability in claimed.difference(model.check.denied)]
    results = [test(model) for test in tests]
    failure = next((error for _, error in results if error), None)
    if failure:
        raise failure
    return " · ".join(model.phrase(key) for key, _ in results) or model.phrase("proof_none")


def vision(model: ModelUnderTest) -> _TestResult:
    """Test whether the model names the colour of plain pictures; it may see, ignore or refuse them."""
    answers = []
    for colour in _COLOURS:
        try:
            chunks = model.ask("What colour is this picture? Answer with one word.", images=(_picture(colour),), tokens=16)
        except (ModelProblem, RequestRefused) as error:
            _raise_if_temporary(error)
            return "proof_refuses", ModelProblem("vision-refused", model=model.name, said=_server_words(error))
        answers.append(text_of(chunks).lower())
    right = sum(any(word in text for word in words) for text, words in zip(answers, _COLOURS.values(), strict=True))
    if right >= 2 and len(set(answers)) > 1:
        return "proof_sees", None
    return "proof_ignores", ModelProblem("vision-blind", model=model.name, said=quote("; ".join(text[:60] for text in answers)))


def tools(model: ModelUnderTest) -> _TestResult:
    """Test whether the model calls a function that it is given."""
    try:
        chunks = model.ask("What is 2 plus 3? Use the function add.", tools=(_ADD,), tokens=256)
    except (ModelProblem, RequestRefused) as error:
        _raise_if_temporary(error)
        return "proof_talks", ModelProblem("tools-unused", model=model.name, said=_server_words(error))
    calls = [call for chunk in chunks for call in chunk.tool_calls]
    if any((call.get("function") or {}).get("name") == "add" for call in calls):
        return "proof_calls", None
    return "proof_talks", ModelProblem("tools-unused", model=model.name, said=quote(text_of(chunks)[:120]) or "…")


def thinking(model: ModelUnderTest) -> _TestResult:
    """Test whether the model shows its thinking; the answer that follows is not waited for."""
    chunks: list[Chunk] = []
    for chunk in model.client.chat(model.chat_request(Message("user", "What is 2 plus 3?"), tokens=64, think=True)):
        chunks.append(chunk)
        if chunk.thinking:
            return "proof_thinks", None
    return "proof_silent", ModelProblem("thinking-unused", model=model.name, said=quote(text_of(chunks)[:120]) or "…")


_TESTS = {"vision": vision, "tools": tools, "thinking": thinking}


def _raise_if_temporary(error: OllamaMagicsError) -> None:
    """Raise the error again where it says nothing about the model: the server was busy, or its runner crashed."""
    kind = failure_kind(error)
    if kind.is_temporary or kind is FailureKind.OUT_OF_MEMORY:
        raise error


def _server_words(error: OllamaMagicsError) -> str:
    said = error.facts.get("said")
    return quote(str(error.how_we_know if said is None else said))


def embedding(model: ModelUnderTest) -> str:
    """Return in which languages similar texts get similar vectors; raises EmbeddingProblem where the vectors are unusable."""
    texts = [text for triple in _TRIPLES.values() for text in triple]
    try:
        vectors, again = model.embed(*texts), model.embed(texts[0])
    except (ModelProblem, RequestRefused) as error:
        _raise_if_temporary(error)
        raise _unusable(model, Phrase("vectors_refused", said=error.facts.get("said", error.how_we_know))) from None
    size = _vector_size(model, vectors, len(texts))
    if len(again) != 1 or len(again[0]) != size or _cosine(vectors[0], again[0]) < _EQUAL:
        raise _unusable(model, Phrase("vectors_change"))
    cosines = [(_cosine(vectors[at], vectors[at + 1]), _cosine(vectors[at], vectors[at + 2])) for at in (0, 3)]
    languages = [name for name, (similar, different) in zip(_TRIPLES, cosines, strict=True) if similar - different > 0]
    if not languages:
        similar, different = cosines[0]
        raise _unusable(model, Phrase("vectors_order", near=f"{similar:.3f}", far=f"{different:.3f}"))
    return model.phrase("proof_near", count=size, languages=model.phrase("_".join(languages)))


def _vector_size(model: ModelUnderTest, vectors: Sequence[Sequence[float]], count: int) -> int:
    """Return the size of the vectors; raises EmbeddingProblem where some are missing, of another size, infinite or zero."""
    sizes = {len(vector) for vector in vectors}
    if len(vectors) != count or len(sizes) != 1 or 0 in sizes:
        shown = ", ".join(map(str, sorted(sizes))) or "0"
        raise _unusable(model, Phrase("vectors_wrong", found=len(vectors), sizes=shown, count=count))
    size, listed = sizes.pop(), model.card.embedding_length
    if listed and listed != size:
        raise _unusable(model, Phrase("vectors_size", size=size, listed=listed))
    if not all(math.isfinite(number) for vector in vectors for number in vector):
        raise _unusable(model, Phrase("vectors_infinite"))
    if not all(any(vector) for vector in vectors):
        raise _unusable(model, Phrase("vectors_zero"))
    return size


def _unusable(model: ModelUnderTest, reason: Phrase) -> EmbeddingProblem:
    return EmbeddingProblem("vectors-useless", model=model.name, reason=reason)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    dot = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(math.fsum(a * a for a in one) * math.fsum(b * b for b in other))


def _picture(colour: tuple[int, int, int]) -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", _PICTURE_SIDE, _PICTURE_SIDE, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(colour) * _PICTURE_SIDE) * _PICTURE_SIDE
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(file).decode()
