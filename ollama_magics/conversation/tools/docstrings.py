"""What a docstring says about a function and about each of its parameters, in Google's, NumPy's or Sphinx's way."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 1000  # characters of a description
_RULE = re.compile(r"-{3,}\s*$")
_GOOGLE = re.compile(r"(Args|Arguments|Parameters|Returns?|Raises|Yields|Examples?|Notes?)\s*:\s*$")
_SPHINX = re.compile(r":(?P<field>\w+)(?:\s+[^:]*?(?P<name>\w+))?\s*:\s*(?P<text>.*)$")
_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)$")
_NUMPY_ENTRY = re.compile(r"(?P<name>\w+)\s*(?::.*)?$")
_OF_PARAMETERS = {"Args", "Arguments", "Parameters"}


def summary(docstring: str) -> str:
    """Return what stands before the first section, in one line."""
    lines = docstring.splitlines()
    end = next((i for i, line in enumerate(lines) if _begins_section(lines, i) or _SPHINX.match(line.strip())), len(lines))
    return _joined(lines[:end])


def parameters(docstring: str) -> dict[str, str]:
    """Return the description of each parameter that has one."""
    lines = docstring.splitlines()
    found = _sphinx(lines)
    for i, line in enumerate(lines):
        if _begins_section(lines, i) and line.strip().rstrip(": ") in _OF_PARAMETERS:
            is_numpy = _is_ruled(lines, i)
            found |= _entries(_section(lines, i + 1 + is_numpy), _NUMPY_ENTRY if is_numpy else _ENTRY)
    return {name: text for name, text in found.items() if text}


def _begins_section(lines: list[str], i: int) -> bool:
    return bool(_GOOGLE.match(lines[i])) or _is_ruled(lines, i)


def _is_ruled(lines: list[str], i: int) -> bool:
    return bool(lines[i].strip()) and i + 1 < len(lines) and bool(_RULE.match(lines[i + 1]))


def _section(lines: list[str], start: int) -> list[str]:
    end = next((i for i in range(start, len(lines)) if _begins_section(lines, i)), len(lines))
    return lines[start:end]


def _entries(lines: list[str], pattern: re.Pattern[str]) -> dict[str, str]:
    """Return the entries of a section: what is indented deeper than the first line goes on with the entry before it."""
    found: dict[str, list[str]] = {}
    width = next((_indent(line) for line in lines if line.strip()), 0)
    name = ""
    for line in lines:
        match = pattern.match(line.strip()) if _indent(line) == width else None
        if match:
            name = match["name"]
            found[name] = [match.groupdict().get("text") or ""]
        elif name and _indent(line) > width:
            found[name].append(line)
        elif line.strip():
            break
    return {name: _joined(words) for name, words in found.items()}


def _sphinx(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if match := _SPHINX.match(line.strip()):
            name = match["name"] or "" if match["field"] in ("param", "parameter", "arg", "argument") else ""
            found |= {name: [match["text"]]} if name else {}
        elif name and line.startswith(" "):
            found[name].append(line)
    return {name: _joined(words) for name, words in found.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split())[:_LONGEST]
