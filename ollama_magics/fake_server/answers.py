"""Choose what a model of the stand-in server answers; the text follows from the prompt."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count, cycle
from math import exp, inf
from typing import Any

from ollama_magics.fake_server import pictures, responses
from ollama_magics.fake_server.embeddings import tokenise
from ollama_magics.fake_server.models import Model
from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.requests import Message
from ollama_magics.fake_server.responses import ApiError

_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_SAY_WHAT = ("type", "properties", "items", "prefixItems")
_LEAST, _MOST = ("minLength", "minItems"), ("maxLength", "maxItems")
_MOST_REPEATED = 2000
_COMBINING = ("const", "enum", "$ref", "anyOf", "oneOf", "allOf")
_NULL = {"type": "null"}
_DEEPEST = 6
_ITEMS = 2  # of a list, if the schema leaves the number open
_FORMATS = {
    "date": "2026-01-05",
    "date-time": "2026-01-05T09:00:00Z",
    "time": "09:00:00Z",
    "duration": "PT5M",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "12345678-1234-4234-8234-123456789abc",
}


def instance(schema: dict[str, Any], words: list[str], numbers: Iterable[int] = (), release: Release = Release.NEWEST) -> Any:
    """Return a value that the schema allows, with texts from ``words`` and the ``numbers``; ApiError for a bad schema."""
    return _InstanceBuilder(schema, words, numbers, release).value(schema, 0)


class _InstanceBuilder:
    """Build one value of a schema; ``root`` is where a ``$ref`` is looked up."""

    def __init__(self, root: dict[str, Any], words: list[str], numbers: Iterable[int], release: Release) -> None:
        self._root = root
        self._is_strict = not release.runs_llama_server  # which takes more schemas, and knows no patterns
        self._bounds = (*_LEAST, *_MOST) if self._is_strict else _LEAST
        self._words = cycle(words or ["nothing"])
        self._numbers = chain(numbers, count(1))

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            raise responses.bad_schema()
        says_nothing = not schema.keys() & {*_SAY_WHAT, *_COMBINING}
        if self._is_strict and schema and says_nothing:
            raise responses.bad_schema()
        for bound in self._bounds:
            if schema.get(bound, 0) > _MOST_REPEATED:
                raise responses.too_much_repeated()
        return self._value(schema, depth) if self._is_strict or not says_nothing else next(self._numbers)

    def _value(self, schema: dict[str, Any], depth: int) -> Any:
        keyword = next((keyword for keyword in _COMBINING if keyword in schema), None)
        if keyword is None:
            return self._typed(schema, depth)

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
            inner = [{key: value for part in inner for key, value in part.items()}]
        elif depth >= _DEEPEST and _NULL in inner:  # which ends a recursion
            inner = [_NULL]
        return self.value(inner[0], depth)

    def _referred(self, reference: Any, depth: int) -> Any:
        # A root that is a reference switches the grammar off below it (0.24.0).
        if self._is_strict and "$ref" in self._root and depth > 0:
            return {"prompt": next(self._words)}
        target: Any = self._root
        for key in str(reference).removeprefix("#").strip("/").split("/"):
            target = target.get(key) if isinstance(target, dict) and key else target
        if target is None or not str(reference).startswith("#") or depth > 2 * _DEEPEST:
            raise responses.bad_schema(f"cannot resolve $ref {reference}")
        return self.value(target, depth + 1 if target is not self._root else depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        name = schema.get("type", "array" if schema.keys() & {"items", "prefixItems"} else "object")
        names = name if isinstance(name, list) and name else [name]
        if unknown := [one for one in names if not (isinstance(one, str) and one in _TYPES)]:
            raise responses.bad_schema(f"unrecognized type {unknown[0]}")
        match names[0]:
            case "object":
                members, required = schema.get("properties", {}), schema.get("required", [])
                additional = schema.get("additionalProperties")
                chosen = {key: part for key, part in members.items() if key in required or depth < _DEEPEST}
                if not members and isinstance(additional, dict):
                    chosen = {next(self._words): additional}
                return {key: self.value(part, depth + 1) for key, part in chosen.items()}
            case "array":
                return self._array(schema, depth)
            case "string":
                pattern = schema.get("pattern", "^$")
                if self._is_strict and not (pattern.startswith("^") and pattern.endswith("$")):
                    raise responses.bad_schema()
                text = _FORMATS.get(schema.get("format", "")) or next(self._words)
                return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
            case "integer":
                return self._integer(schema)
            case "number":
                least = schema.get("minimum", schema.get("exclusiveMinimum"))
                most = schema.get("maximum", schema.get("exclusiveMaximum"))
                return float(self._integer(schema) if least is None or most is None else (least + most) / 2)
        return True if names[0] == "boolean" else None

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        items = schema.get("items")
        if items is False:  # a tuple of fixed length, which Ollama cannot make a grammar of
            raise responses.bad_schema()
        first = [self.value(item, depth + 1) for item in schema.get("prefixItems", [])]
        least = schema.get("minItems", 0)
        length = max(least, min(_ITEMS if depth < _DEEPEST else 0, schema.get("maxItems", _ITEMS)))
        if items is None:
            return first
        return first + [self.value(items, depth + 1) for _ in range(length - len(first))]

    def _integer(self, schema: dict[str, Any]) -> int:
        if self._is_strict and any(isinstance(bound, float) and abs(bound) >= 2**63 for bound in schema.values()):
            raise responses.bad_schema()
        least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        most = schema.get("maximum", schema.get("exclusiveMaximum", inf) - 1)
        return int(min(max(next(self._numbers), least), most))


_QUOTED_WORDS = 12
_TABLE_ROWS = 8
_LOOP = 31  # equal tokens: more than Ollama 0.24.0 lets a model say

_REPEAT = re.compile(r"repeat after me:\s?(.*)", re.IGNORECASE | re.DOTALL)
_NEVER_STOP = re.compile(r"\bnever stop\b", re.IGNORECASE)
_LOOP_OVER_SPACES = re.compile(r"\bloop over spaces\b", re.IGNORECASE)
_ASKS_FOR_LETTER = re.compile(r"\bletter\b", re.IGNORECASE)
_MENU = re.compile(r"^(\w): (.+)$", re.MULTILINE)
_STEM, _SHORTEST_STEM = 5, 3  # letters of a word that are compared, and of the shortest word that says something
_QUOTED = re.compile(r"""(?<!\w)(?:'([^'\n]+)'|"([^"\n]+)"|“([^”\n]+)”)(?!\w)""")
_ASKS_FOR_KEYS = re.compile(r"\bkeys?\b", re.IGNORECASE)
_MARKDOWN = re.compile(r"\b(?:table|code|markdown)s?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """The tokens of an answer (perhaps without end) or calls, the thoughts before it, and whether the server says it is done.

    ``choices`` are the probabilities of what the first token could have been.
    """

    tokens: Iterable[str]
    thoughts: str = ""
    done: bool = True
    calls: tuple[dict[str, Any], ...] = ()
    choices: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Conversation:
    """What the models use of a conversation: all system prompts, the last prompt, and how many prompts there were."""

    system: str
    prompt: str
    pictures: tuple[bytes, ...]
    turn: int
    results: tuple[str, ...] = ()  # of the functions called since
    release: Release = Release.NEWEST

    @property
    def words(self) -> list[str]:
        """The words of the last prompt, in order."""
        return self.prompt.split()

    @property
    def distinct_words(self) -> list[str]:
        """The words of the last prompt without punctuation, each once."""
        return list(dict.fromkeys(re.findall(r"\w+", self.prompt)))

    @property
    def quoted(self) -> list[str]:
        """What stands in quotation marks in the last prompt."""
        return ["".join(found) for found in _QUOTED.findall(self.prompt)]


def read_conversation(messages: tuple[Message, ...], release: Release) -> Conversation:
    """Return what the models use of the messages."""
    prompts = [message for message in messages if message.role == "user"]
    last = prompts[-1] if prompts else messages[-1]
    system = " ".join(message.content for message in messages if message.role == "system")
    tool_messages = list(itertools.takewhile(lambda message: message.role == "tool", reversed(messages)))
    results = tuple(message.content for message in reversed(tool_messages))
    seen = (*last.pictures, *(picture for message in reversed(tool_messages) for picture in message.pictures))
    return Conversation(system, last.content, seen, len(prompts), results, release)


def answer(
    model: Model, conversation: Conversation, response_format: Any, *, think: bool, tools: tuple[dict[str, Any], ...] = ()
) -> Answer:
    """Return the answer or, if there are tools, calls of those that the prompt names; ApiError for a bad picture or schema."""
    thoughts = f"The prompt has {_word_count(conversation)}. I should say what I read." if think else ""
    if tools and not conversation.results:
        return Answer((), thoughts, calls=tuple(_calls(tools, conversation)))
    if repeat := _REPEAT.search(conversation.prompt):
        return Answer(tokenise(repeat[1]), thoughts)
    if _NEVER_STOP.search(conversation.prompt):
        return Answer(itertools.cycle([" and", " on"]), thoughts)
    if _LOOP_OVER_SPACES.search(conversation.prompt):
        return Answer(["{", *[" "] * _LOOP], thoughts, done=False)
    if response_format is None and (choices := _choices(model, conversation)):
        return Answer([max(choices, key=lambda letter: choices[letter])], thoughts, choices=choices)
    return Answer(tokenise(_text(model, conversation, response_format)), thoughts)


def check_format(value: Any) -> Any:
    """Return the format of a request, or None for "" and None; ApiError for anything but "json" and objects."""
    if value in (None, ""):
        return None
    if value == "json" or isinstance(value, dict):
        return value
    quoted = responses.json_text(responses.json_text(value))
    raise ApiError(f'invalid format: {quoted}; expected "json" or a valid JSON Schema object', 500)


def _text(model: Model, conversation: Conversation, response_format: Any) -> str:
    if response_format is not None:
        empty = response_format in ("json", {})
        default: dict[str, Any] = {"prompt": conversation.prompt, "words": len(conversation.words), "turn": conversation.turn}
        words = conversation.distinct_words
        if conversation.quoted and _ASKS_FOR_KEYS.search(conversation.prompt):
            default = dict(zip(conversation.quoted, itertools.cycle(words), strict=False))
        return json.dumps(default if empty else instance(response_format, words, (), conversation.release), ensure_ascii=False)
    if conversation.results:
        seen = (
            f" {pictures.describe(conversation.pictures, conversation.release)}"
            if conversation.pictures and model.can("vision")
            else ""
        )
        return f"The functions returned: {', '.join(conversation.results)}{seen}"
    if conversation.pictures and (model.can("vision") or model.can("audio")):
        return pictures.describe(conversation.pictures, conversation.release, hears=model.can("audio"))
    if _MARKDOWN.search(conversation.prompt):
        words = conversation.distinct_words[:_TABLE_ROWS]
        rows = "\n".join(f"| {word} | {len(word)} |" for word in words)
        return (
            f"## What I read in turn {conversation.turn}\n\n"
            f"I read {_word_count(conversation)}. These are the first:\n\n"
            f"| Word | Letters |\n|---|---:|\n{rows}\n\n"
            "The same in Python:\n\n"
            f"```python\nwords = {json.dumps(words, ensure_ascii=False)}\n"
            "letters = {word: len(word) for word in words}\nprint(letters)\n```\n"
        )
    text = f"This is turn {conversation.turn}. I read {_word_count(conversation)}: “{_first_words(conversation.words)}”"
    return f"{text} My instructions are: “{_first_words(conversation.system.split())}”" if conversation.system else text


def _choices(model: Model, conversation: Conversation) -> dict[str, float]:
    """Return the probability of each letter of a menu in the system prompt: the more words the texts share, the likelier.

    A model that sees reads only the first half of each line.
    """
    options = _MENU.findall(conversation.system) if _ASKS_FOR_LETTER.search(conversation.system) else []
    words, part = _stems(conversation.prompt), 2 if model.can("vision") else 1
    read = {letter: text[: len(text) // part] for letter, text in options}
    weights = {letter: exp(2 * len(words & _stems(text))) for letter, text in read.items()}
    return {letter: 0.99 * weight / sum(weights.values()) for letter, weight in weights.items()}


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in re.findall(r"\w+", text.lower()) if len(word) >= _SHORTEST_STEM}


def _calls(tools: tuple[dict[str, Any], ...], conversation: Conversation) -> Iterator[dict[str, Any]]:
    """Yield calls with arguments that follow the schema: numbers of the prompt, and its texts, those in quotation marks first."""
    functions = [tool.get("function") or {} for tool in tools]
    named = [function for function in functions if re.search(rf"\b{re.escape(function.get('name', ''))}\b", conversation.prompt)]
    numbers = [int(digits) for digits in re.findall(r"\d+", conversation.prompt)]
    for index, function in enumerate(named or functions[:1]):
        parameters = function.get("parameters") or {}
        members = parameters.get("properties") or {}
        required = {name: members[name] for name in parameters.get("required") or () if name in members}
        schema = {**parameters, "type": "object", "properties": required}  # with what a $ref refers to
        arguments = instance(schema, [*conversation.quoted, *conversation.distinct_words], numbers)
        call = {"index": index, "name": function.get("name", ""), "arguments": arguments}
        yield {"id": call_id(call, conversation.turn), "function": call}


def call_id(call: dict[str, Any], turn: int) -> str:
    """Return the identity of a call, which follows from the call and the number of its turn."""
    return f"call_{hashlib.sha256(repr((call, turn)).encode()).hexdigest()[:8]}"


def _word_count(conversation: Conversation) -> str:
    number = len(conversation.words)
    return "1 word" if number == 1 else f"{number} words"


def _first_words(words: list[str]) -> str:
    return " ".join(words[:_QUOTED_WORDS]) + (" …" if len(words) > _QUOTED_WORDS else "")
