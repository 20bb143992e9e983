"""What the models of the stand-in server answer, as whole texts that follow from the prompt."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count, cycle
from math import inf
from typing import Any

from ollama_magics.fake_server import go_json, pictures, responses
from ollama_magics.fake_server.models import Model
from ollama_magics.fake_server.tokens import Message, tokenise

_DEEPEST = 6
_ITEMS = 2  # of a list, where the schema leaves it open
_FORMATS = {
    "date": "2026-01-05",
    "date-time": "2026-01-05T09:00:00Z",
    "time": "09:00:00Z",
    "duration": "PT5M",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "12345678-1234-4234-8234-123456789abc",
}


def instance(schema: dict[str, Any], words: list[str], numbers: Iterable[int] = ()) -> Any:
    """Return a value that the schema allows, its texts taken from ``words`` and its keys in the order of the schema.

    Numbers come from ``numbers``, then they are counted.

    Raises RefusalError where Ollama cannot make a grammar of the schema.
    """
    return _Instances(schema, words, numbers).value(schema, 0)


class _Instances:
    """The words and numbers still to be used, and where to look up a ``$ref``."""

    def __init__(self, root: dict[str, Any], words: list[str], numbers: Iterable[int]) -> None:
        self._root = root
        self._words = cycle(words or ["nothing"])
        self._numbers = chain(numbers, count(1))

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            raise responses.bad_schema()
        if not schema.keys() & {"type", "properties", "const", "enum", "$ref", "anyOf", "oneOf", "allOf"} and "not" in schema:
            raise responses.bad_schema()
        for keyword in ("const", "enum", "$ref", "anyOf", "oneOf", "allOf"):
            if keyword in schema:
                return self._combined(keyword, schema, depth)
        return self._typed(schema, depth)

    def _combined(self, keyword: str, schema: dict[str, Any], depth: int) -> Any:
        inner = schema[keyword]
        if keyword == "const":
            return inner
        if keyword == "$ref":
            return self._referred(inner, depth)
        if not isinstance(inner, list) or not inner:
            raise responses.bad_schema()
        if keyword == "enum":
            return inner[0]
        if keyword == "allOf":
            return self.value({key: value for part in inner for key, value in part.items()}, depth)
        return self.value(_null_of(inner) if depth >= _DEEPEST else inner[0], depth)

    def _referred(self, reference: Any, depth: int) -> Any:
        # A root that is a reference switches the grammar off below it: seen on 0.24.0.
        if "$ref" in self._root and depth > 0:
            return {"prompt": next(self._words)}
        target: Any = self._root
        for key in str(reference).removeprefix("#").strip("/").split("/"):
            target = target.get(key) if isinstance(target, dict) and key else target
        if target is None or not str(reference).startswith("#") or depth > 2 * _DEEPEST:
            raise responses.bad_schema()
        return self.value(target, depth + 1 if target is not self._root else depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        name = schema.get("type", "object" if "properties" in schema or not depth else "string")
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, depth),
            "string": lambda: self._string(schema),
            "integer": lambda: self._integer(schema),
            "number": lambda: self._number(schema),
            "boolean": lambda: True,
            "null": lambda: None,
        }
        names = name if isinstance(name, list) and name else [name]
        if not all(isinstance(one, str) and one in makers for one in names):
            raise responses.bad_schema()
        return makers[names[0]]()

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        members = schema.get("properties", {})
        required = schema.get("required", [])
        names = [name for name in members if name in required or depth < _DEEPEST]
        more = schema.get("additionalProperties")
        if not members and isinstance(more, dict):
            return {next(self._words): self.value(more, depth + 1)}
        return {name: self.value(members[name], depth + 1) for name in names}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        items = schema.get("items")
        if items is False:  # a tuple of fixed length, which Ollama cannot make a grammar of
            raise responses.bad_schema()
        first = [self.value(item, depth + 1) for item in schema.get("prefixItems", [])]
        least = schema.get("minItems", 0)
        wanted = max(least, min(_ITEMS if depth < _DEEPEST else 0, schema.get("maxItems", _ITEMS)))
        if items is None:
            return first
        return first + [self.value(items, depth + 1) for _ in range(wanted - len(first))]

    def _string(self, schema: dict[str, Any]) -> str:
        pattern = schema.get("pattern", "^$")
        if not (pattern.startswith("^") and pattern.endswith("$")):
            raise responses.bad_schema()
        text = _FORMATS.get(schema.get("format", "")) or next(self._words)
        return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]

    def _integer(self, schema: dict[str, Any]) -> int:
        least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        most = schema.get("maximum", schema.get("exclusiveMaximum", inf) - 1)
        return int(min(max(next(self._numbers), least), most))

    def _number(self, schema: dict[str, Any]) -> float:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        most = schema.get("maximum", schema.get("exclusiveMaximum"))
        if least is not None and most is not None:
            return float((least + most) / 2)
        return float(self._integer(schema))


def _null_of(choices: list[Any]) -> Any:
    """Return the choice that ends a recursion, if there is one."""
    return next((choice for choice in choices if choice == {"type": "null"}), choices[0])


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
    raise responses.bad_format(go_json.go_json(go_json.go_json(form)))


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
        arguments = instance({"type": "object", "properties": needed}, _bare_words(heard), numbers)
        made = {"index": index, "name": function.get("name", ""), "arguments": arguments}
        yield {"id": f"call_{hashlib.sha256(repr((made, heard.turn)).encode()).hexdigest()[:8]}", "function": made}


def _object(heard: Heard, form: Any) -> Any:
    if form in ("json", {}):
        return {"prompt": heard.prompt, "words": len(heard.words), "turn": heard.turn}
    return instance(form, _bare_words(heard))


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
