"""Types are kept wherever they stand: what is sent of each, what is accepted and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ollama_magics.conversation.json_answer import SchemaMismatchError
from tests.conversation.schema.type_cases import CASES, PLACES, Case, Reader


def check(case: Case, place: str) -> list[str]:
    """Return what is wrong with a type in one place."""
    reader = Reader(case.kind, place)
    wrong = [
        f"sent {key}: {reader.sent[key]}" for key, value in case.sent.items() if _differs(reader.sent.get(key, value), value)
    ]
    for text, value in case.accepted.items():
        found = reader.read(text)
        if found != value or type(found) is not type(value):
            wrong.append(f"{text} became {found!r}")
    for text in case.refused:
        try:
            wrong.append(f"{text[:40]} was accepted as {reader.read(text)!r}")
        except (SchemaMismatchError, msgspec.DecodeError) as error:
            if not str(error):
                wrong.append(f"{text[:40]} has no reason")
    return wrong + [f"sends {part}" for part in dangerous_parts(reader.sent)]


def dangerous_parts(node: Any) -> list[str]:
    """Return the parts of a schema that end the runner of a real server."""
    if isinstance(node, list):
        return [part for inner in node for part in dangerous_parts(inner)]
    if not isinstance(node, dict):
        return []
    found = [f"{key} {node[key]}" for key in ("minLength", "maxLength", "minItems", "maxItems") if node.get(key, 0) > 1996]
    found += ["a pattern"] if isinstance(node.get("pattern"), str) else []
    return found + dangerous_parts(list(node.values()))


def _differs(sent: Any, expected: Any) -> bool:
    if isinstance(sent, dict) and isinstance(expected, dict):
        return any(_differs(sent.get(key), value) for key, value in expected.items())
    if isinstance(sent, list) and isinstance(expected, list):
        return len(sent) != len(expected) or any(map(_differs, sent, expected))
    return bool(sent != expected)


@pytest.mark.finding("A4", "A5", "B10")
@pytest.mark.parametrize("place", PLACES)
def test_what_is_sent_accepted_and_refused(place: str, record_property: Any) -> None:
    """The same in a dataclass, a TypedDict, a Struct, a pydantic model, and as a parameter of a function."""
    cases = {name: case for name, case in CASES.items() if place not in case.without}
    wrong = {name: problems for name, case in cases.items() if (problems := check(case, place))}
    assert wrong == {}
    texts = sum(len(case.accepted) + len(case.refused) for case in cases.values())
    record_property("figure", f"{len(cases)} types in a {place}: {texts} answers")
