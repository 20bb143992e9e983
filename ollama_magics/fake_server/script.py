"""Answers and failures that a test has written down, by the prompt or path they are for."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ollama_magics.fake_server.answers import Answer, call_id
from ollama_magics.fake_server.embeddings import tokenise
from ollama_magics.fake_server.requests import PromptRequest


@dataclass
class _Rule:
    pattern: re.Pattern[str]
    left: float  # how often it may still be used


@dataclass
class _ScriptedAnswer(_Rule):
    text: str
    thinking: str
    calls: tuple[dict[str, Any], ...]


@dataclass
class Fault(_Rule):
    """A failure: an error with a ``status``, or with 0 a connection that is closed after so many ``lines`` of an answer."""

    path: re.Pattern[str]
    status: int
    error: str
    lines: int


_AnyRule = TypeVar("_AnyRule", bound=_Rule)


class Script:
    """What is written down; of several rules that fit, the one added last holds. Any thread may use it."""

    def __init__(self) -> None:
        self._answers: list[_ScriptedAnswer] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add_answer(self, text: str, when: str, thinking: str, calls: Sequence[dict[str, Any]], times: int | None) -> None:
        """Answer prompts in which the pattern is found with this text or these calls; TypeError for what no server can say."""
        _require_sayable([text, thinking], calls)
        rule = _ScriptedAnswer(_compiled(when), _number(times), text, thinking, tuple(calls))
        with self._lock:
            self._answers.append(rule)

    def add_fault(self, status: int, error: str, lines: int, when: str, path: str, times: int | None) -> None:  # noqa: PLR0913, PLR0917
        """Let requests to matching paths fail in whose prompt or input the pattern is found; ValueError for what would not."""
        _require_fault(status, error, lines)
        rule = Fault(_compiled(when), _number(times), re.compile(path), status, error, lines)
        with self._lock:
            self._faults.append(rule)

    def answer(self, request: PromptRequest) -> Answer | None:
        """Return the answer to a request that is written down, or None."""
        prompts = [message.content for message in request.messages if message.role == "user"]
        with self._lock:
            rule = _use(self._answers, prompts[-1] if prompts else "")
        if rule is None:
            return None
        calls = []
        for index, call in enumerate(rule.calls):
            function = {"index": index, "name": call["name"], "arguments": call.get("arguments", {})}
            calls.append({"id": call_id(function, len(request.messages)), "function": function})
        return Answer(tokenise(rule.text), rule.thinking if request.think is not False else "", calls=tuple(calls))

    def fault(self, path: str, document: Any) -> Fault | None:
        """Return how a request fails that is to fail, or None."""
        with self._lock:
            return _use([rule for rule in self._faults if rule.path.search(path)], _asked(document))


def _require_sayable(texts: Sequence[Any], calls: Sequence[Any]) -> None:
    for text in texts:
        if not isinstance(text, str):
            message = f"an answer is a text, not {type(text).__name__}"
            raise TypeError(message)
    for call in calls:
        is_call = isinstance(call, Mapping) and isinstance(call.get("name"), str)
        if not (is_call and isinstance(call.get("arguments", {}), Mapping) and set(call) <= {"name", "arguments"}):
            message = f'a call is {{"name": "…", "arguments": {{…}}}}, not {call!r:.100}'
            raise TypeError(message)


def _compiled(when: str) -> re.Pattern[str]:
    return re.compile(when, re.IGNORECASE | re.DOTALL)


def _number(times: int | None) -> float:
    if times is None:
        return float("inf")
    if not _is_number(times, 1, None):
        message = f"times is a number from 1, or None for always, not {times!r:.50}"
        raise ValueError(message)
    return times


def _require_fault(status: object, error: object, lines: object) -> None:
    """Raise ValueError for a failure that no client would notice: a status of none, or an end after no line."""
    if not (_is_number(status, 400, 599) or (status == 0 and _is_number(lines, 1, None))):
        given = f"not {status!r:.50}, or is cut after 1 or more lines, not {lines!r:.50}"
        message = f"a request fails with a status from 400 to 599, {given}"
        raise ValueError(message)
    if not isinstance(error, str):
        message = f"an error is a text, not {type(error).__name__}"
        raise TypeError(message)


def _is_number(value: object, least: int, most: int | None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= (value if most is None else most)


def _use(rules: Sequence[_AnyRule], text: str) -> _AnyRule | None:
    found = next((rule for rule in reversed(rules) if rule.left > 0 and rule.pattern.search(text)), None)
    if found:
        found.left -= 1
    return found


def _asked(document: Any) -> str:
    """Return the prompt of a request, or its texts to embed."""
    if not isinstance(document, dict):
        return ""
    messages = [one for one in document.get("messages") or [] if isinstance(one, dict)]
    last = next((one.get("content") for one in reversed(messages) if one.get("role") == "user"), "")
    return "\n".join(map(str, (last, document.get("prompt", ""), document.get("input", ""))))
