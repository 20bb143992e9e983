"""Requests and responses of the Ollama API as values, without any HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from html import unescape
from typing import Any, ClassVar, TypeVar

import msgspec

from ollama_magics.errors import PromptProblem, RequestRefused
from ollama_magics.server.model_card import InstalledModel, LoadedModel, ModelCard, Recommendation

Body = bytes | bytearray | memoryview
MAX_LINE = 64 * 1024 * 1024  # bytes; Ollama's own client gives up at 8 MB


class Lines:
    r"""Splits a byte stream at ``\n`` and nowhere else (str.splitlines would also split at U+0085, which Go writes raw)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of the line that has not ended
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without blank ones; raises RequestRefused for one that is too long."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts, self._size = [], 0
        self._parts.append(rest)
        self._size += len(rest)
        if self._size > MAX_LINE:
            raise unreadable(b"".join(self._parts), f"it is longer than {MAX_LINE // 1024 // 1024} MB")
        return [line for line in lines if line and not line.isspace()]

    def rest(self) -> list[bytes]:
        """Return the last line where it came without a line end, else nothing."""
        last, self._parts, self._size = b"".join(self._parts), [], 0
        return [last] if last.strip() else []


# Each part begins where the one before it ended, so that no text, however odd, is read more than once.
_TITLE = re.compile(r"<title[^<>]*>([^<]+)", re.IGNORECASE)
_PART_OF_PAGE = re.compile(r"<(?:(/?)(script|style)\b)?[^<>]*>?|([^<]+)", re.IGNORECASE)


def readable(body: Body) -> str:
    """Return the text of a body, of a web page its title, or its words without tags."""
    text = bytes(body).decode("utf-8", "replace")
    if not text.lstrip().startswith("<"):
        return text
    if title := _TITLE.search(text):
        return unescape(title[1]).strip()
    words, hidden = [], ""
    for end, name, shown in _PART_OF_PAGE.findall(text):
        if name and (not hidden or hidden == name.lower()):
            hidden = "" if end else name.lower()
        words.append("" if hidden else shown)
    return unescape(" ".join(words)).strip()


def unreadable(line: Body, reason: str) -> RequestRefused:
    """Return the error for an answer that is not in the form of the API."""
    start = " ".join(readable(line[:1000]).split())[:80]
    return RequestRefused("answer-unreadable", status=200, reason=f"{reason}; it begins: {start!r}")


OLDEST_SERVER = (0, 12, 6)


class _ChunkMessage(msgspec.Struct, frozen=True):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Chunk(msgspec.Struct, frozen=True):
    """One line of a chat or generate answer; counts and durations (in nanoseconds) are in the last one only.

    ``has_more``: other lines came with it, so that what is painted now would be old at once.
    """

    has_more: ClassVar[bool] = False
    model: str = ""
    message: _ChunkMessage | None = None
    response: str | None = None
    generate_thinking: str | None = msgspec.field(name="thinking", default=None)  # of generate; that of chat is in the message
    logprobs: list[dict[str, Any]] | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    load_duration: int = 0
    total_duration: int = 0
    error: Any = None
    debug_info: Any = msgspec.field(name="_debug_info", default=None)  # {rendered_template, image_count}, if that was asked for

    @property
    def text(self) -> str:
        """The text in this line, which may be empty."""
        return (self.message.content if self.message else self.response) or ""

    @property
    def thinking(self) -> str:
        """The thinking in this line, which may be empty."""
        return (self.message.thinking if self.message else self.generate_thinking) or ""

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tool calls in this line, as the model wrote them."""
        return (self.message.tool_calls if self.message else None) or []


class _ChunkWithMore(Chunk, frozen=True):
    has_more: ClassVar[bool] = True


class Embeddings(msgspec.Struct, frozen=True):
    """The answer of /api/embed: one vector for each text, in order; or an error, which counts also beside vectors."""

    embeddings: list[list[float]] | None = None
    error: Any = None


class _Models(msgspec.Struct, frozen=True):
    models: list[msgspec.Raw] | None


class _Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str  # and nothing else: another program that has a version tells more


_FIGURES = tuple(name for name in Chunk.__struct_fields__ if name.endswith(("_count", "_duration")))
_MAX_FIGURE, _MAX_DIGITS = 2**63, 20  # of a figure; larger ones are left out, as if the server had sent none
_LONGEST_VERSION = 100  # characters
_DEEPEST = 100  # levels of lists and objects in each other
_MOST_MODELS = 2000  # in one list
_Struct = TypeVar("_Struct")


class _Recommendations(msgspec.Struct):
    recommendations: list[Recommendation]


_DECODED = (ModelCard, Embeddings, _Models, _Recommendations, _Version)
_DECODERS: dict[type[Any], Any] = {kind: msgspec.json.Decoder(kind) for kind in _DECODED}
_decode_chunk, _decode_chunk_with_more = msgspec.json.Decoder(Chunk).decode, msgspec.json.Decoder(_ChunkWithMore).decode


def chunk(line: bytes, *, has_more: bool = False) -> Chunk:
    """Return one line of an answer, which may hold an error, as a value; raises RequestRefused for any other line."""
    try:  # this runs for each token
        found = _decode_chunk_with_more(line) if has_more else _decode_chunk(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if (readable_part := _without_odd_figures(line)) is None:
            raise unreadable(line, str(error)) from None
        found = readable_part
    if found.done and any(not 0 <= getattr(found, name) <= _MAX_FIGURE for name in _FIGURES):
        usable = {name: min(max(getattr(found, name), 0), _MAX_FIGURE) % _MAX_FIGURE for name in _FIGURES}
        found = msgspec.structs.replace(found, **usable)
    if found.message is None and found.response is None and not found.done and found.error is None:
        raise unreadable(line, "it is neither a piece of an answer nor an error")
    if (found.error or found.logprobs or found.tool_calls) and not is_shallow([found.error, found.logprobs, found.tool_calls]):
        raise unreadable(line, "it is nested too deep")
    return found


def is_shallow(value: Any) -> bool:
    """Return whether decoded JSON can be walked through, shown and pickled: decoders take what is nested far deeper."""
    parts = [value]
    for _ in range(_DEEPEST):
        parts = [
            part for one in parts for part in (one.values() if isinstance(one, dict) else one) if isinstance(part, (dict, list))
        ]
        if not parts:
            return True
    return False


def _without_odd_figures(line: bytes) -> Chunk | None:
    """Return a line whose figures are no whole numbers without these, or None where something else is wrong with it."""

    def whole(digits: str) -> int:
        return int(digits) if len(digits) < _MAX_DIGITS else 0

    try:
        # json, unlike msgspec, reads numbers of any size; int() refuses NaN, and UTF-8 a lone surrogate
        fields = json.loads(str(line, "utf-8"), parse_int=whole, parse_constant=int)
        json.dumps(fields, ensure_ascii=False).encode()
        odd = {name for name in _FIGURES if type(fields.get(name)) is not int}
        return msgspec.convert({name: value for name, value in fields.items() if name not in odd}, Chunk)
    except (ValueError, AttributeError, RecursionError, msgspec.ValidationError):
        return None


def installed(body: Body) -> list[InstalledModel]:
    """Return the models of an /api/tags answer."""
    return _entries(body, InstalledModel)


def loaded(body: Body) -> list[LoadedModel]:
    """Return the models of an /api/ps answer."""
    return _entries(body, LoadedModel)


def card(body: Body) -> ModelCard:
    """Return the value of an /api/show answer."""
    return _decoded(body, ModelCard)


def recommendations(body: Body) -> list[Recommendation]:
    """Return the models of an /api/experimental/model-recommendations answer."""
    return _decoded(body, _Recommendations).recommendations


def version(body: Body) -> str:
    """Return the text of an /api/version answer."""
    return _decoded(body, _Version).version[:_LONGEST_VERSION]


def embeddings(body: Body) -> list[list[float]]:
    """Return the vectors of an /api/embed answer, unchecked; raises RequestRefused where it holds an error."""
    found = _decoded(body, Embeddings)
    if found.error is not None:
        raise unreadable(body, "it reports an error")
    return found.embeddings or []


def _entries(body: Body, kind: type[_Struct]) -> list[_Struct]:
    """Return the entries of a list of models, of odd ones what can be used; raises RequestRefused where none can be."""
    entries = _decoded(body, _Models).models or []
    if len(entries) > _MOST_MODELS:
        raise unreadable(body, f"it lists more than {_MOST_MODELS} models")
    found = list(filter(None, (_entry(entry, kind) for entry in entries)))
    if entries and not found:
        raise unreadable(body, "none of its models has a name")
    return found


def _entry(entry: msgspec.Raw, kind: type[_Struct]) -> _Struct | None:
    """Return one entry without the fields that have another type than Ollama's, or None where it has no name."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(entry, type=kind)
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        fields = msgspec.json.decode(entry)
        fields["name"] = fields.get("name") or fields.get("model")
        return msgspec.convert({name: value for name, value in fields.items() if _fits(name, value, kind)}, kind)
    return None


def _fits(name: str, value: Any, kind: type[Any]) -> bool:
    try:
        msgspec.convert({"name": "m", name: value}, kind)
    except msgspec.ValidationError:
        return False
    return True


def _decoded(body: Body, kind: type[_Struct]) -> _Struct:
    try:
        found: _Struct = _DECODERS[kind].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(body, str(error)) from None
    return found


# Every request carries "truncate": false, so that the server refuses a prompt that it would otherwise cut silently. Chat knows
# the option since 0.12.6, embeddings for much longer.
def _as_json(value: Any) -> Any:
    """Return a text or number of NumPy, or of another class based on str, as a plain one; raises TypeError for others."""
    if isinstance(value, str):
        return str.__str__(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    message = f"a request cannot hold a value of type {type(value).__name__}"
    raise TypeError(message)


_ENCODER = msgspec.json.Encoder(enc_hook=_as_json)


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a conversation; ``images`` are base64 texts of PNG or JPEG files, ``tool_…`` belong to tool calls."""

    role: str
    content: str
    images: tuple[str, ...] = ()
    thinking: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


class _ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    # common fields of /api/chat and /api/generate
    model: str
    options: dict[str, Any] = {}
    format: Any = msgspec.UNSET
    think: bool | str | msgspec.UnsetType = msgspec.UNSET
    keep_alive: float | str | msgspec.UnsetType = msgspec.UNSET
    stream: bool = True
    truncate: bool = False
    shift: bool | msgspec.UnsetType = msgspec.UNSET
    logprobs: bool | msgspec.UnsetType = msgspec.UNSET
    top_logprobs: int | msgspec.UnsetType = msgspec.UNSET
    # the server renders the prompt and says what it has rendered, instead of asking the model
    debug_render_only: bool | msgspec.UnsetType = msgspec.field(name="_debug_render_only", default=msgspec.UNSET)


class ChatRequest(_ModelRequest, frozen=True, kw_only=True):
    """A turn for /api/chat."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] | msgspec.UnsetType = msgspec.UNSET


class GenerateRequest(_ModelRequest, frozen=True, kw_only=True):
    """A prompt for /api/generate."""

    prompt: str
    suffix: str | msgspec.UnsetType = msgspec.UNSET
    system: str | msgspec.UnsetType = msgspec.UNSET
    images: tuple[str, ...] = ()
    raw: bool | msgspec.UnsetType = msgspec.UNSET  # without the model's template


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of texts for /api/embed."""

    model: str
    input: tuple[str, ...]
    truncate: bool = False
    dimensions: int | msgspec.UnsetType = msgspec.UNSET
    keep_alive: float | str | msgspec.UnsetType = msgspec.UNSET
    options: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def embed_request(  # noqa: PLR0913 - one for each field
    model: str,
    texts: Sequence[str],
    *,
    truncate: bool = False,
    dimensions: int | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> EmbedRequest:
    """Return the request for a batch of texts; for None the server uses its default."""
    return EmbedRequest(
        model=model,
        input=tuple(texts),
        truncate=truncate,
        dimensions=dimensions or msgspec.UNSET,
        keep_alive=msgspec.UNSET if keep_alive is None else keep_alive,
        options=dict(options) if options else msgspec.UNSET,
    )


def is_buffered(request: ChatRequest | GenerateRequest) -> bool:
    """Whether the server may hold text back until it is complete, as it does with tool calls and formats."""
    return request.format is not msgspec.UNSET or (isinstance(request, ChatRequest) and request.tools is not msgspec.UNSET)


def with_model(request: Any, model: str) -> Any:
    """Return the request with another name of its model."""
    return {**request, "model": model} if isinstance(request, dict) else msgspec.structs.replace(request, model=model)


def encode(request: msgspec.Struct | Mapping[str, Any]) -> bytes:
    """Return the request as JSON; raises PromptProblem for a text that UTF-8 cannot write."""
    try:
        return _ENCODER.encode(request)
    except UnicodeEncodeError:
        raise PromptProblem("character-invalid") from None
