"""Read request bodies as typed values, as strictly as Ollama does."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from ollama_magics.fake_server import pictures, responses
from ollama_magics.fake_server.models import Model
from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.responses import ApiError

_KINDS = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity, which Python would take for JSON


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def document(data: bytes) -> Any:
    """Return the first JSON value of a body and ignore what follows it, as Go does; ApiError if there is none."""
    text = data.decode(errors="replace").strip(" \t\r\n")
    if not text:
        raise ApiError("missing request body")
    try:
        return _DECODER.raw_decode(text)[0]
    except (ValueError, RecursionError) as error:
        cut_off = getattr(error, "pos", 0) >= len(text)
        raise ApiError("unexpected EOF" if cut_off else f"invalid character: {error}") from None


class Fields:
    """The members of a JSON object, found in any case; null counts as absent, and ``place`` is the name of the object in Go."""

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self._values = {name.lower(): value for name, value in values.items() if value is not None}
        self._place = place

    def any(self, name: str) -> Any:
        """Return the value as it is, or None."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        """Return a string, by default ""; lone surrogates are replaced, as Go does while decoding."""
        text = str(self._typed(name, str, "string", ""))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a truth value."""
        return bool(self._typed(name, bool, "bool", default))

    def whole(self, name: str) -> int:
        """Return a whole number, by default 0."""
        value = self._values.get(name, 0)
        if type(value) is int:
            return value
        kind = f"number {value}" if type(value) is float else _KINDS[type(value)]
        raise responses.wrong_type(kind, f"{self._place}.{name}", "int")

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object, by default an empty one."""
        return dict(self._typed(name, dict, "map[string]interface {}", {}))

    def sequence(self, name: str, go_type: str, item: type, go_item: str) -> list[Any]:
        """Return a list whose items are of one Python type; ``go_type`` and ``go_item`` are the types in Go."""
        values = list(self._typed(name, list, go_type, []))
        for value in values:
            if not isinstance(value, item):
                raise responses.wrong_type(_KINDS[type(value)], f"{self._place}.{name}", go_item)
        return values

    def _typed(self, name: str, expected: type, go_type: str, default: Any) -> Any:
        value = self._values.get(name, default)
        if not isinstance(value, expected):
            raise responses.wrong_type(_KINDS[type(value)], f"{self._place}.{name}", go_type)
        return value


def fields(value: Any, struct: str) -> Fields:
    """Return the members of a request's document; ``null`` is an empty request. ``struct`` is its name in Go."""
    if value is None:
        return Fields({}, struct)
    if not isinstance(value, dict):
        text = f"json: cannot unmarshal {_KINDS[type(value)]} into Go value of type "
        wrapped = f'struct {{ *api.{struct}; Think json.RawMessage "json:\\"think\\"" }}'
        newest = wrapped if struct in ("ChatRequest", "GenerateRequest") else f"api.{struct}"
        raise ApiError(f"{text}api.{struct}", newest=ApiError(text + newest))
    return Fields(value, struct)


def raw_body(data: bytes) -> Fields:
    """Return a body that is no JSON as the field ``data``."""
    return Fields({"data": data}, "")


FOREVER = float(2**63) / 1e9  # seconds: the longest duration that Go can hold, about 292 years

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^.\d]*)")
_GO_NAMES = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


def keep_alive(value: Any) -> float | None:
    """Return seconds (0: unload at once; FOREVER if negative) or None; ApiError without a unit and for other types."""
    if value is None:
        return None
    if isinstance(value, bool | list | dict):
        raise ApiError(f"Unsupported type: '{_GO_NAMES[type(value)]}'")
    seconds = _duration(value) if isinstance(value, str) else float(value)
    return FOREVER if seconds < 0 else min(seconds, FOREVER)


def _duration(text: str) -> float:
    """Return the seconds of a duration as Go writes it, for instance ``1h30m``."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, at = 0.0, 0
    while at < len(rest) or not rest:
        part = _PART.match(rest, at)
        if part is None:
            raise ApiError(f'time: invalid duration "{text}"')
        number, unit = part.groups()
        if unit not in _SECONDS:
            fault = f'unknown unit "{unit}"' if unit else "missing unit"
            raise ApiError(f'time: {fault} in duration "{text}"')
        total += float(number) * _SECONDS[unit]
        at = part.end()
    return sign * total


DEFAULT_CONTEXT = 4096
SMALLEST_CONTEXT, SMALLEST_VISION_CONTEXT = 4, 2048
CONTEXT_STEP = 256  # of llama-server
LONGEST_ANSWER = 10  # times the context length: where Ollama ends an answer that has no other limit

_INTS = ("num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "seed", "top_k", "repeat_last_n")
_FLOATS = ("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty")
_NUMBERS = dict.fromkeys(_INTS, "type integer") | dict.fromkeys(_FLOATS, "type float32")


@dataclass(frozen=True)
class Options:
    """Context length and longest answer in tokens, and the texts that end an answer; ``usable`` is the padded context."""

    num_ctx: int
    usable: int
    num_predict: int
    stop: tuple[str, ...]


def options(values: dict[str, Any], model: Model, release: Release) -> Options:
    """Return the options of a request, with the context in its limits; ApiError (500) for a value of the wrong type."""
    sent = {name: value for name, value in values.items() if value is not None}
    if "typical_p" in sent and release.runs_llama_server:
        raise ApiError("typical_p is no longer supported")
    for name, expected in _NUMBERS.items():
        value = sent.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise responses.bad_option(name, expected)
    if not isinstance(sent.get("use_mmap", True), bool):
        raise responses.bad_option("use_mmap", "type boolean")
    stop = sent.get("stop", [])
    if not isinstance(stop, list):
        raise responses.bad_option("stop", "type array")
    if not all(isinstance(text, str) for text in stop):
        raise responses.bad_option("stop", "an array of strings")

    least = SMALLEST_VISION_CONTEXT if model.can("vision") else SMALLEST_CONTEXT
    num_ctx = min(max(int(sent.get("num_ctx", DEFAULT_CONTEXT)), least), model.context_length)
    usable = -(-num_ctx // CONTEXT_STEP) * CONTEXT_STEP if release.runs_llama_server else num_ctx
    predict, longest = int(sent.get("num_predict", -1)), LONGEST_ANSWER * num_ctx
    return Options(num_ctx, usable, min(predict, longest) if predict > 0 else longest, tuple(text for text in stop if text))


_LEVELS = ("high", "medium", "low", "max")
_LISTED = '"high", "medium", "low", "max", true, or false'


def check_level(request: PromptRequest) -> None:
    """Raise ApiError for a level that is none of those that models without a list of their own take."""
    if isinstance(request.think, str) and request.think not in _LEVELS:
        raise ApiError(f'invalid think value: "{request.think}" (must be {_LISTED})')


_MOST_ALTERNATIVES = 20


@dataclass(frozen=True)
class Message:
    """One message of a conversation; ``pictures`` are the bytes of image files."""

    role: str
    content: str
    pictures: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class PromptRequest:
    """What chat and generate have in common; no messages means: only load the model, or unload it."""

    model: str
    messages: tuple[Message, ...]
    stream: bool
    truncate: bool
    shift: bool
    format: Any
    options: dict[str, Any]
    keep_alive: float | None
    release: Release
    think: bool | str | None
    alternatives: int | None = None  # log probabilities of each token and of so many others; None: none at all
    tools: tuple[dict[str, Any], ...] = ()
    renders: bool = False  # the prompt, and says what it has rendered, instead of asking the model
    capability: str = ""  # what else the model must be able to do: "tools" or "insert"

    @property
    def unloads(self) -> bool:
        """Whether the request only asks for the model to be unloaded."""
        return not self.messages and self.keep_alive == 0


@dataclass(frozen=True)
class EmbedRequest:
    """A batch to be embedded, its input as it came; ``dimensions`` 0 is all of them."""

    model: str
    input: Any
    truncate: bool
    dimensions: int
    options: dict[str, Any]
    keep_alive: float | None


def chat(fields: Fields, release: Release) -> PromptRequest:
    """Return the request of /api/chat."""
    sent = fields.sequence("messages", "[]api.Message", dict, "api.Alias")
    tools = fields.sequence("tools", "api.Tools", dict, "api.Tool")
    messages = []
    for message in (Fields(values, "ChatRequest.messages") for values in sent):
        for call in message.sequence("tool_calls", "[]api.ToolCall", dict, "api.ToolCall"):
            if not isinstance((call.get("function") or {}).get("arguments", {}), dict):
                raise ApiError("Value looks like object, but can't find closing '}' symbol")
        messages.append(Message(message.text("role").lower(), message.text("content"), _pictures(message)))
    return replace(_prompt_request(fields, messages, release), tools=tuple(tools), capability="tools" if tools else "")


def generate(fields: Fields, release: Release) -> PromptRequest:
    """Return the request of /api/generate: a prompt is a conversation of one turn."""
    prompt, system, images = fields.text("prompt"), fields.text("system"), _pictures(fields)
    context = fields.sequence("context", "[]int", int, "int")
    if fields.flag("raw", default=False) and (context or system or fields.text("template")):
        raise ApiError("raw mode does not support template, system, or context")
    check_template(fields.text("template"))
    messages = [Message("system", system)] if prompt and system else []
    messages += [Message("user", prompt, images)] if prompt else []
    return replace(_prompt_request(fields, messages, release), capability="insert" if fields.text("suffix") else "")


def check_template(template: str) -> None:
    """Raise ApiError for a template whose last action is not closed; others are not tested."""
    if template.rfind("{{") > template.rfind("}}"):
        raise ApiError(f"template: :{template.count(chr(10)) + 1}: unclosed action", 500)


def embed(fields: Fields) -> EmbedRequest:
    """Return the request of /api/embed; `texts` checks its input later, since a bad name is reported first."""
    return EmbedRequest(
        model=fields.text("model"),
        input=fields.any("input"),
        truncate=fields.flag("truncate", default=True),
        dimensions=fields.whole("dimensions"),
        options=fields.mapping("options"),
        keep_alive=keep_alive(fields.any("keep_alive")),
    )


def texts(value: Any) -> list[str]:
    """Return the input of an embed request as a list; None and "" are an empty one."""
    found = value if isinstance(value, list) else [value] if value not in (None, "") else []
    if not all(isinstance(text, str) for text in found):
        raise ApiError("invalid input type")
    return found


def _prompt_request(fields: Fields, messages: list[Message], release: Release) -> PromptRequest:
    think, wanted = fields.any("think"), "think must be a boolean or string"
    if not isinstance(think, bool | str | None):
        raise ApiError(f"{wanted} ({_LISTED})", newest=ApiError(wanted))
    alternatives = fields.whole("top_logprobs")
    if not 0 <= alternatives <= _MOST_ALTERNATIVES:
        raise ApiError(f"top_logprobs must be between 0 and {_MOST_ALTERNATIVES}")
    return PromptRequest(
        model=fields.text("model"),
        messages=tuple(messages),
        stream=fields.flag("stream", default=True),
        truncate=fields.flag("truncate", default=True),
        shift=fields.flag("shift", default=True),
        format=fields.any("format"),
        options=fields.mapping("options"),
        keep_alive=keep_alive(fields.any("keep_alive")),
        release=release,
        think=think,
        renders=fields.flag("_debug_render_only", default=False),
        alternatives=alternatives if fields.flag("logprobs", default=False) else None,
    )


def _pictures(fields: Fields) -> tuple[bytes, ...]:
    images = fields.sequence("images", "[]api.ImageData", str, "api.ImageData")
    return tuple(pictures.decode(image) for image in images)
