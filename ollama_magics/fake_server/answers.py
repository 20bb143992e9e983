"""What the stand-in's models say, as whole texts that follow from the prompt alone."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ollama_magics.fake_server import framing, instances, pictures, refusals
from ollama_magics.fake_server.models import Model
from ollama_magics.fake_server.tokens import Message, tokenise

_QUOTED_WORDS = 12
_TABLE_ROWS = 8
_LOOP = 31  # equal tokens: more than Ollama 0.24.0 lets a model say

_REPEAT = re.compile(r"repeat after me:\s?(.*)", re.IGNORECASE | re.DOTALL)
_NEVER_STOP = re.compile(r"\bnever stop\b", re.IGNORECASE)
_LOOP_OVER_SPACES = re.compile(r"\bloop over spaces\b", re.IGNORECASE)
_SHOWPIECE = re.compile(r"\b(?:table|code|markdown)s?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Spoken:
    """An answer: its tokens (perhaps without end) or calls, the thoughts before it, and whether the server calls it done."""

    tokens: Iterable[str]
    thoughts: str = ""
    done: bool = True
    calls: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Heard:
    """A conversation, as far as the models listen."""

    system: str
    prompt: str
    pictures: tuple[bytes, ...]
    turn: int
    results: tuple[str, ...] = ()  # of the functions called since

    @property
    def words(self) -> list[str]:
        """The words of the last prompt."""
        return self.prompt.split()


def hear(messages: tuple[Message, ...]) -> Heard:
    """Return the system prompt, the last prompt and the number of prompts of a conversation."""
    asked = [message for message in messages if message.role == "user"]
    last = asked[-1] if asked else messages[-1]
    system = " ".join(message.content for message in messages if message.role == "system")
    said_last = list(itertools.takewhile(lambda message: message.role == "tool", reversed(messages)))
    results = tuple(message.content for message in reversed(said_last))
    return Heard(system, last.content, last.pictures, len(asked), results)


def answer(model: Model, heard: Heard, form: Any, *, think: bool, tools: tuple[dict[str, Any], ...] = ()) -> Spoken:
    """Return what the model says. ``form`` is the request's format: None, "json" or a JSON schema.

    Where there are tools, it calls those that the prompt names, or the first, and then says what they returned.

    Raises RefusalError for a picture or a schema that Ollama cannot use.
    """
    thoughts = _thoughts(heard) if think else ""
    if tools and not heard.results:
        return Spoken((), thoughts, calls=tuple(_calls(tools, heard)))
    if repeat := _REPEAT.search(heard.prompt):
        return Spoken(tokenise(repeat[1]), thoughts)
    if _NEVER_STOP.search(heard.prompt):
        return Spoken(itertools.cycle([" and", " on"]), thoughts)
    if _LOOP_OVER_SPACES.search(heard.prompt):
        return Spoken(["{", *[" "] * _LOOP], thoughts, done=False)
    return Spoken(tokenise(_text(model, heard, form)), thoughts)


def check_format(form: Any) -> Any:
    """Return the format itself, or None where "" or nothing was sent.

    Raises RefusalError for anything but "json" and objects.
    """
    if form in (None, ""):
        return None
    if form == "json" or isinstance(form, dict):
        return form
    raise refusals.bad_format(framing.go_json(framing.go_json(form)))


def _text(model: Model, heard: Heard, form: Any) -> str:
    if form is not None:
        return json.dumps(_object(heard, form), ensure_ascii=False)
    if heard.results:
        return f"The functions returned: {', '.join(heard.results)}"
    if heard.pictures and model.can("vision"):
        return pictures.describe(heard.pictures)
    if _SHOWPIECE.search(heard.prompt):
        return _showpiece(heard)
    return _plain(heard)


def _calls(tools: tuple[dict[str, Any], ...], heard: Heard) -> Iterator[dict[str, Any]]:
    """Yield calls with arguments after the schema, the numbers of the prompt among them."""
    functions = [tool.get("function", {}) for tool in tools]
    named = [function for function in functions if re.search(rf"\b{re.escape(function.get('name', ''))}\b", heard.prompt)]
    for index, function in enumerate(named or functions[:1]):
        parameters = function.get("parameters", {})
        needed = {name: parameters["properties"][name] for name in parameters.get("required", ())}
        numbers = [int(digits) for digits in re.findall(r"\d+", heard.prompt)]
        arguments = instances.instance({"type": "object", "properties": needed}, _bare_words(heard), numbers)
        made = {"index": index, "name": function.get("name", ""), "arguments": arguments}
        yield {"id": f"call_{hashlib.sha256(repr((made, heard.turn)).encode()).hexdigest()[:8]}", "function": made}


def _object(heard: Heard, form: Any) -> Any:
    if form in ("json", {}):
        return {"prompt": heard.prompt, "words": len(heard.words), "turn": heard.turn}
    return instances.instance(form, _bare_words(heard))


def _plain(heard: Heard) -> str:
    text = f"This is turn {heard.turn}. I read {_words(len(heard.words))}: “{_beginning(heard.words)}”"
    return f"{text} My instructions are: “{_beginning(heard.system.split())}”" if heard.system else text


def _thoughts(heard: Heard) -> str:
    return f"The prompt has {_words(len(heard.words))}. I should say what I read."


def _showpiece(heard: Heard) -> str:
    words = _bare_words(heard)[:_TABLE_ROWS]
    rows = "\n".join(f"| {word} | {len(word)} |" for word in words)
    return (
        f"## What I read in turn {heard.turn}\n\n"
        f"I read {_words(len(heard.words))}. These are the first:\n\n"
        f"| Word | Letters |\n|---|---:|\n{rows}\n\n"
        "The same in Python:\n\n"
        f"```python\nwords = {json.dumps(words, ensure_ascii=False)}\n"
        "letters = {word: len(word) for word in words}\nprint(letters)\n```\n"
    )


def _words(number: int) -> str:
    return "1 word" if number == 1 else f"{number} words"


def _beginning(words: list[str]) -> str:
    return " ".join(words[:_QUOTED_WORDS]) + (" …" if len(words) > _QUOTED_WORDS else "")


def _bare_words(heard: Heard) -> list[str]:
    return list(dict.fromkeys(re.findall(r"\w+", heard.prompt)))
