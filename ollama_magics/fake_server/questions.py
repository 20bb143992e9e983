"""The requests of chat, generate and embed as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ollama_magics.fake_server import durations, pictures, refusals
from ollama_magics.fake_server.reading import Fields
from ollama_magics.fake_server.tokens import Message

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
        keep_alive=durations.keep_alive(fields.any("keep_alive")),
    )


def texts(value: Any) -> list[str]:
    """Return the input of an embed request as a list; nothing and "" are an empty one."""
    found = value if isinstance(value, list) else [value] if value not in (None, "") else []
    if not all(isinstance(text, str) for text in found):
        raise refusals.bad_request("invalid input type")
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
        keep_alive=durations.keep_alive(fields.any("keep_alive")),
        think=_think(fields.any("think")),
        wants=wants,
    )


def _message(fields: Fields) -> Message:
    for call in fields.sequence("tool_calls", "[]api.ToolCall", dict, "api.ToolCall"):
        if not isinstance((call.get("function") or {}).get("arguments", {}), dict):
            raise refusals.bad_request("Value looks like object, but can't find closing '}' symbol")
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
        raise refusals.bad_think_level(value)
    raise refusals.bad_request('think must be a boolean or string ("high", "medium", "low", "max", true, or false)')
