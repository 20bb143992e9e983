"""Read a list of messages, as Ollama or OpenAI write them, into turns."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ollama_magics.conversation.turns import Place, Turn
from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.wire import Message

_DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_LONGEST = 60  # characters of a value in an error


def read_turns(messages: Iterable[Any]) -> list[Turn]:
    """Return the turns of messages, which are dicts with ``role`` and ``content`` or objects that can be dumped as such.

    Messages of one role that follow each other are joined. Raises PromptProblem (messages-invalid), and PictureProblem for a
    picture that cannot be read.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        raise _invalid(1, Phrase("messages_no_list", kind=type(messages).__name__))
    turns, system, open_turn = [], "", list[tuple[int, Message]]()
    for number, message in _joined(_read(given, number) for number, given in enumerate(messages, 1)):
        if message.role == "system":
            if open_turn:
                raise _invalid(number, Phrase("messages_system_late"))
            system = message.content
            continue
        if not open_turn and message.role != "user":
            raise _invalid(number, Phrase("messages_no_prompt", role=message.role))
        if open_turn and message.role == "user":
            raise _invalid(number, Phrase("messages_no_answer"))
        open_turn.append((number, message))
        if message.role == "assistant" and not message.tool_calls:
            (_, prompt), *between, (_, answer) = open_turn
            named = tuple(_named(one for _, one in between))
            turns.append(Turn(prompt, answer, Place(), complete=True, system=system or None, between=named))
            open_turn, system = [], ""
    if open_turn or system:
        raise (
            _invalid(open_turn[-1][0], Phrase("messages_end")) if open_turn else _invalid(number, Phrase("messages_only_system"))
        )
    return turns


def _joined(messages: Iterable[tuple[int, Message]]) -> Iterator[tuple[int, Message]]:
    """Yield the messages; those of a system or user that follow each other as one, with an empty line between them."""
    last: tuple[int, Message] | None = None
    for number, message in messages:
        if last and message.role == last[1].role and message.role in ("system", "user"):
            one, other = last[1], message
            text = "\n\n".join(filter(None, (one.content, other.content)))
            last = last[0], Message(one.role, text, (*one.images, *other.images))
            continue
        if last:
            yield last
        last = number, message
    if last:
        yield last


def _named(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield the messages; a result of a function that names only its call gets the name of the function."""
    names: dict[str, str] = {}
    for message in messages:
        names |= {call.get("id", ""): call["function"]["name"] for call in message.tool_calls}
        name = message.tool_name or names.get(message.tool_call_id, "")
        yield msgspec.structs.replace(message, tool_name=name) if name and message.role == "tool" else message


def _read(given: Any, number: int) -> tuple[int, Message]:
    """Return one message; those of a conversation are as they were sent."""
    if isinstance(given, Message):
        return number, given
    if not isinstance(given, Mapping) and callable(dump := getattr(given, "model_dump", None)):  # of ollama, openai
        given = dump(exclude_none=True)
    if not isinstance(given, Mapping):
        raise _invalid(number, Phrase("messages_no_dict", kind=type(given).__name__))
    role = given.get("role")
    role = "system" if role == "developer" else role  # OpenAI's other name
    if role not in ("system", "user", "assistant", "tool"):
        raise _invalid(number, Phrase("messages_role", role=repr(role)[:_LONGEST]))
    pictures: list[str] = []
    for place, picture in enumerate(given.get("images") or ()):
        pictures += _picture(picture, number, f"messages[{number - 1}].images[{place}]")
    text = _text(given.get("content"), number, pictures.extend)
    return number, Message(
        role,
        text,
        tuple(pictures),
        thinking=str(given.get("thinking") or ""),
        tool_calls=tuple(_call(call, number) for call in given.get("tool_calls") or ()),
        tool_name=str(given.get("tool_name") or (given.get("name") if role == "tool" else "") or ""),
        tool_call_id=str(given.get("tool_call_id") or ""),
    )


def _call(given: Any, number: int) -> dict[str, Any]:
    """Return a call as Ollama writes it; OpenAI writes the arguments as JSON in a text."""
    function = given.get("function") if isinstance(given, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name := function.get("name"), str):
        raise _invalid(number, Phrase("messages_calls"))
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        with suppress(msgspec.DecodeError, RecursionError):
            arguments = msgspec.json.decode(arguments)
    if not isinstance(arguments, Mapping):
        raise _invalid(number, Phrase("messages_calls"))
    call = {"function": {"name": name, "arguments": dict(arguments)}}
    return {"id": str(given["id"]), **call} if given.get("id") else call


def _text(content: Any, number: int, add_pictures: Callable[[list[str]], object]) -> str:
    """Return the text of a content: a text, nothing, or a list of parts, whose pictures are added."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, (list, tuple)):
        raise _invalid(number, Phrase("messages_content", kind=type(content).__name__))
    texts = []
    for place, given in enumerate(content):
        part = {"text": given} if isinstance(given, str) else given
        source = f"messages[{number - 1}].content[{place}]"
        if not isinstance(part, Mapping):
            raise _invalid(number, Phrase("messages_content", kind=type(part).__name__))
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif picture := part.get("image_url"):
            add_pictures(_picture(picture.get("url") if isinstance(picture, Mapping) else picture, number, source))
        elif isinstance(sound := part.get("input_audio"), Mapping):
            add_pictures(_picture(sound.get("data"), number, source))
        else:
            raise _invalid(number, Phrase("messages_part", kind=repr(part.get("type"))[:_LONGEST]))
    return "\n".join(texts)


def _picture(given: Any, number: int, source: str) -> list[str]:
    """Return what a message holds of pictures, as base64, a data URL or bytes: converted like any other picture."""
    from ollama_magics.conversation import image_sources  # noqa: PLC0415 - brings in Pillow, which text does not need

    if isinstance(given, Mapping):  # ollama's own Image
        given = given.get("value")
    if isinstance(given, str) and "://" in given[:10]:
        raise _invalid(number, Phrase("messages_url"))
    if isinstance(given, str):
        try:
            given = base64.b64decode(_DATA_URL.sub("", given, count=1), validate=True)
        except (binascii.Error, ValueError):
            raise _invalid(number, Phrase("no_base64")) from None
    if not isinstance(given, bytes):
        raise _invalid(number, Phrase("messages_picture", kind=type(given).__name__))
    return [one.base64 for one in image_sources.collect(given, name=source)]


def _invalid(number: int, reason: Phrase) -> PromptProblem:
    return PromptProblem("messages-invalid", number=number, reason=reason)
