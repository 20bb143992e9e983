"""Read request bodies as typed values, refused in the words of the Go decoder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from ollama_magics.fake_server import go_json, pictures, responses
from ollama_magics.fake_server.responses import RefusalError, bad_request
from ollama_magics.fake_server.tokens import Message

_SPACE = b" \t\r\n"
_KINDS = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity, which Python would take for JSON


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def document(data: bytes) -> Any:
    """Return the first JSON value of a body; what follows it is ignored, as Go does.

    Raises RefusalError for an empty body or one that is not JSON.
    """
    data = data.strip(_SPACE)
    if not data:
        raise responses.bad_request("missing request body")
    try:
        return _DECODER.raw_decode(data.decode(errors="replace"))[0]
    except (ValueError, RecursionError):
        raise responses.bad_request(go_json.complaint(data.decode("latin-1"))) from None


def kind(value: Any) -> str:
    """Return what Go calls this kind of JSON value."""
    return _KINDS[type(value)]


def whole_text(text: str) -> str:
    """Return the text with lone surrogates replaced, as Go does it while decoding."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Fields:
    """The members of a JSON object, found whatever their case; ``null`` counts as absent.

    ``place`` is where Go would say that they are, for instance ``ChatRequest`` or ``ChatRequest.messages``.
    """

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self._values = {name.lower(): value for name, value in values.items() if value is not None}
        self._place = place

    def any(self, name: str) -> Any:
        """Return the value as it is; None where there is none."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        """Return a string; "" where there is none."""
        return whole_text(str(self._typed(name, str, "string", "")))

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a truth value."""
        return bool(self._typed(name, bool, "bool", default))

    def whole(self, name: str) -> int:
        """Return a whole number; 0 where there is none."""
        value = self._values.get(name, 0)
        if type(value) is int:
            return value
        named = f"number {value}" if type(value) is float else kind(value)
        raise responses.wrong_type(named, f"{self._place}.{name}", "int")

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object; empty where there is none."""
        return dict(self._typed(name, dict, "map[string]interface {}", {}))

    def sequence(self, name: str, wanted: str, item: type, wanted_item: str) -> list[Any]:
        """Return a list whose items are of one Python type; ``wanted`` and ``wanted_item`` are their names in Go."""
        values = list(self._typed(name, list, wanted, []))
        for value in values:
            if not isinstance(value, item):
                raise responses.wrong_type(kind(value), f"{self._place}.{name}", wanted_item)
        return values

    def _typed(self, name: str, wanted: type, wanted_in_go: str, default: Any) -> Any:
        value = self._values.get(name, default)
        if not isinstance(value, wanted):
            raise responses.wrong_type(kind(value), f"{self._place}.{name}", wanted_in_go)
        return value


def fields(value: Any, struct: str) -> Fields:
    """Return the members of a request's document, where ``struct`` is its name in Go; ``null`` is an empty request."""
    if value is None:
        return Fields({}, struct)
    if not isinstance(value, dict):
        raise responses.wrong_document(kind(value), struct)
    return Fields(value, struct)


FOREVER = float(2**63) / 1e9  # seconds: the longest duration that Go can hold, about 292 years

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^.\d]*)")
_GO_NAMES = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


def keep_alive(value: Any) -> float | None:
    """Return seconds (0: unload at once; FOREVER for anything negative), or None where nothing was said.

    Raises RefusalError for a text without units and for other types.
    """
    if value is None:
        return None
    if isinstance(value, bool | list | dict):
        raise bad_request(f"Unsupported type: '{_GO_NAMES[type(value)]}'")
    seconds = _duration(value) if isinstance(value, str) else float(value)
    return FOREVER if seconds < 0 else min(seconds, FOREVER)


def _duration(text: str) -> float:
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, at = 0.0, 0
    while at < len(rest) or not rest:
        part = _PART.match(rest, at)
        if part is None:
            raise bad_request(f'time: invalid duration "{text}"')
        number, unit = part.groups()
        if unit not in _SECONDS:
            raise _bad_unit(unit, text)
        total += float(number) * _SECONDS[unit]
        at = part.end()
    return sign * total


def _bad_unit(unit: str, text: str) -> RefusalError:
    wrong = f'unknown unit "{unit}"' if unit else "missing unit"
    return bad_request(f'time: {wrong} in duration "{text}"')


DEFAULT_CONTEXT = 4096
SMALLEST_CONTEXT = 4
LONGEST_ANSWER = 10  # times the context length: where Ollama ends an answer that has no other limit

_WHOLE = (
    *("num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread"),
    *("seed", "top_k", "repeat_last_n"),
)
_FLOATS = (
    *("temperature", "top_p", "min_p", "typical_p"),
    *("repeat_penalty", "presence_penalty", "frequency_penalty"),
)


@dataclass(frozen=True)
class Options:
    """Context length and longest answer in tokens, and the texts that end an answer."""

    num_ctx: int
    num_predict: int
    stop: tuple[str, ...]


def read(values: dict[str, Any], longest_context: int) -> Options:
    """Return the options sent; unknown names are ignored, ``null`` is skipped, the context is clamped.

    Raises RefusalError (500) for a value of the wrong type.
    """
    sent = {name: value for name, value in values.items() if value is not None}
    _check(sent)
    num_ctx = min(max(int(sent.get("num_ctx", DEFAULT_CONTEXT)), SMALLEST_CONTEXT), longest_context)
    predict = int(sent.get("num_predict", -1))
    longest = LONGEST_ANSWER * num_ctx
    stop = tuple(text for text in sent.get("stop", ()) if text)
    return Options(num_ctx, min(predict, longest) if predict > 0 else longest, stop)


def _check(sent: dict[str, Any]) -> None:
    for names, wanted in ((_WHOLE, "type integer"), (_FLOATS, "type float32")):
        for name in names:
            value = sent.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise responses.bad_option(name, wanted)
    if not isinstance(sent.get("use_mmap", True), bool):
        raise responses.bad_option("use_mmap", "type boolean")
    stop = sent.get("stop", [])
    if not isinstance(stop, list):
        raise responses.bad_option("stop", "type array")
    if not all(isinstance(text, str) for text in stop):
        raise responses.bad_option("stop", "an array of strings")


_LEVELS = ("high", "medium", "low", "max")


@dataclass(frozen=True)
class Question:
    """What chat and generate have in common; no messages means: only load the model, or unload it."""

    model: str
    messages: tuple[Message, ...]
    stream: bool
    truncate: bool
    shift: bool
    form: Any
    options: dict[str, Any]
    keep_alive: float | None
    think: bool | str | None
    tools: tuple[dict[str, Any], ...] = ()
    wants: str = ""  # what else a model must be able to do: "tools" or "insert"

    @property
    def unloads(self) -> bool:
        """Whether the request only asks for the model to be unloaded."""
        return not self.messages and self.keep_alive == 0


@dataclass(frozen=True)
class EmbedQuestion:
    """A batch to be embedded, its input as it came; ``dimensions`` 0 is all of them."""

    model: str
    texts: Any
    truncate: bool
    dimensions: int
    options: dict[str, Any]
    keep_alive: float | None


def chat(fields: Fields) -> Question:
    """Return the request of /api/chat."""
    messages = fields.sequence("messages", "[]api.Message", dict, "api.Alias")
    tools = fields.sequence("tools", "api.Tools", dict, "api.Tool")
    parsed = tuple(_message(Fields(message, "ChatRequest.messages")) for message in messages)
    return replace(_question(fields, parsed, "tools" if tools else ""), tools=tuple(tools))


def generate(fields: Fields) -> Question:
    """Return the request of /api/generate: a prompt is a conversation of one turn."""
    prompt, system, images = fields.text("prompt"), fields.text("system"), _pictures(fields)
    messages = [Message("system", system)] if prompt and system else []
    messages += [Message("user", prompt, images)] if prompt else []
    return _question(fields, tuple(messages), "insert" if fields.text("suffix") else "")


def embed(fields: Fields) -> EmbedQuestion:
    """Return the request of /api/embed; its input is checked by `texts`, since a bad name is found first."""
    return EmbedQuestion(
        model=fields.text("model"),
        texts=fields.any("input"),
        truncate=fields.flag("truncate", default=True),
        dimensions=fields.whole("dimensions"),
        options=fields.mapping("options"),
        keep_alive=keep_alive(fields.any("keep_alive")),
    )


def texts(value: Any) -> list[str]:
    """Return the input of an embed request as a list; nothing and "" are an empty one."""
    found = value if isinstance(value, list) else [value] if value not in (None, "") else []
    if not all(isinstance(text, str) for text in found):
        raise responses.bad_request("invalid input type")
    return found


def _question(fields: Fields, messages: tuple[Message, ...], wants: str) -> Question:
    return Question(
        model=fields.text("model"),
        messages=messages,
        stream=fields.flag("stream", default=True),
        truncate=fields.flag("truncate", default=True),
        shift=fields.flag("shift", default=True),
        form=fields.any("format"),
        options=fields.mapping("options"),
        keep_alive=keep_alive(fields.any("keep_alive")),
        think=_think(fields.any("think")),
        wants=wants,
    )


def _message(fields: Fields) -> Message:
    for call in fields.sequence("tool_calls", "[]api.ToolCall", dict, "api.ToolCall"):
        if not isinstance((call.get("function") or {}).get("arguments", {}), dict):
            raise responses.bad_request("Value looks like object, but can't find closing '}' symbol")
    return Message(fields.text("role").lower(), fields.text("content"), _pictures(fields))


def _pictures(fields: Fields) -> tuple[bytes, ...]:
    images = fields.sequence("images", "[]api.ImageData", str, "api.ImageData")
    return tuple(pictures.decode(image) for image in images)


def _think(value: Any) -> bool | str | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _LEVELS:
        return value
    if isinstance(value, str):
        raise responses.bad_think_level(value)
    raise responses.bad_request('think must be a boolean or string ("high", "medium", "low", "max", true, or false)')
