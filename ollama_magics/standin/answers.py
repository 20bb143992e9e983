"""What the stand-in's models say, as whole texts that follow from the prompt alone."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ollama_magics.standin import framing, instances, pictures, refusals
from ollama_magics.standin.models import Model
from ollama_magics.standin.tokens import Message, tokenise

_QUOTED_WORDS = 12
_TABLE_ROWS = 8
_LOOP = 31  # equal tokens: more than Ollama 0.24.0 lets a model say

_REPEAT = re.compile(r"repeat after me:\s?(.*)", re.IGNORECASE | re.DOTALL)
_NEVER_STOP = re.compile(r"\bnever stop\b", re.IGNORECASE)
_LOOP_OVER_SPACES = re.compile(r"\bloop over spaces\b", re.IGNORECASE)
_SHOWPIECE = re.compile(r"\b(?:table|code|markdown)s?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Spoken:
    """An answer: its tokens (perhaps without end), the thoughts before it, and whether the server calls it done."""

    tokens: Iterable[str]
    thoughts: str = ""
    done: bool = True


@dataclass(frozen=True)
class Heard:
    """A conversation, as far as the models listen."""

    system: str
    prompt: str
    pictures: tuple[bytes, ...]
    turn: int

    @property
    def words(self) -> list[str]:
        """The words of the last prompt."""
        return self.prompt.split()


def hear(messages: tuple[Message, ...]) -> Heard:
    """Return the system prompt, the last prompt and the number of prompts of a conversation."""
    asked = [message for message in messages if message.role == "user"]
    last = asked[-1] if asked else messages[-1]
    system = " ".join(message.content for message in messages if message.role == "system")
    return Heard(system, last.content, last.pictures, len(asked))


def answer(model: Model, heard: Heard, form: Any, *, think: bool) -> Spoken:
    """Return what the model says. ``form`` is the request's format: None, "json" or a JSON schema.

    Raises RefusalError for a picture or a schema that Ollama cannot use.
    """
    thoughts = _thoughts(heard) if think else ""
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
    if heard.pictures and model.can("vision"):
        return pictures.describe(heard.pictures)
    if _SHOWPIECE.search(heard.prompt):
        return _showpiece(heard)
    return _plain(heard)


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
