"""Fill ``{{name}}``, ``{{name.attribute}}`` and ``{{name["key"]}}`` in a prompt, and refuse other expressions there."""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.value_text import ValueText
from ollama_magics.errors import OllamaMagicsError, PromptProblem
from ollama_magics.messages import Phrase

# \{{…}} | {{…}}, with pairs of braces inside, as in a dict; of three opening braces the first is text
_PLACE = re.compile(r"(?P<escaped>\\)?\{\{(?!\{)(?P<inside>(?:[^{}]|\{[^{}]*\})*)\}\}")
_FIRST_NAME = re.compile(r"[^\W\d]\w*")
_RESULT_NAMES = ("summary", "result", "filled", "prompt_part")  # the first that is free stands in the advice
_LONGEST_SHOWN = 200  # characters of an expression, or of another library's error


class Filled(NamedTuple):
    """A prompt with its values in it, and what was left out of them."""

    text: str
    notes: tuple[Note, ...] = ()


def fill_template(template: str, values: Mapping[str, Any], rows: int | None = None) -> Filled:
    r"""Return the template with every ``{{name}}`` replaced in one pass; ``\{{name}}`` sends the braces.

    Attributes and constant subscripts are looked up, nothing is called. ``rows`` is how many rows of a table and items of a list
    go in (None: 20). What is no Python expression, or one without a name in ``values``, stays as it is.

    Raises PromptProblem: ``name-unknown``, ``value-part-missing``, ``expression-in-braces``, ``value-not-text``,
    ``value-is-picture``, ``value-unprintable``.
    """
    done: dict[str, Filled] = {}

    def replace(place: re.Match[str]) -> str:
        typed = place[0]
        if place["escaped"]:
            return typed.removeprefix("\\")
        if typed not in done:
            done[typed] = _fill(typed, values, rows)
        return done[typed].text

    text = _PLACE.sub(replace, template)
    return Filled(text, tuple(note for filled in done.values() for note in filled.notes))


def fill_system(text: str, values: Mapping[str, Any], rows: int | None = None) -> Filled:
    """Fill a system prompt as ``fill_template`` does; raises PromptProblem (system-name-unknown) for an unknown name."""
    try:
        return fill_template(text, values, rows)
    except PromptProblem as error:
        if error.code != "name-unknown":
            raise
        raise PromptProblem("system-name-unknown", **error.facts) from None


def names_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stands in braces and could be filled, and the name with which it begins."""
    for place in _PLACE.finditer(text):
        expression = None if place["escaped"] else _parse(place["inside"].strip())
        if expression is not None and _is_path(expression):
            yield place[0], next(iter(_names(expression)))


def item_of(text: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the value of ``name["key"]`` in a tuple, which is empty for any other text and for a name not in ``values``.

    Raises PromptProblem (``value-part-missing``) where there is no such key.
    """
    path = _parse(text) if text.endswith("]") and text.partition("[")[0].isidentifier() else None
    is_item = path is not None and _is_path(path) and next(iter(_names(path))) in values
    return (_look_up(path, values),) if path is not None and is_item else ()


def _fill(typed: str, values: Mapping[str, Any], rows: int | None) -> Filled:
    """Return the text for one pair of braces; raises PromptProblem as fill_template does."""
    inside = typed[2:-2].strip()
    expression = _parse(inside)
    if expression is None:
        first = _FIRST_NAME.match(inside)
        is_name = first is not None and first[0] in values  # such as {{price:.2f}}, or a filter of another template language
        return Filled(typed, (Note(Phrase("braces_kept", typed=_shown(typed)), loses=False),) if is_name else ())
    if _is_path(expression):
        written = _unparse(expression)
        return Filled(*ValueText(rows).of(_look_up(expression, values), written))
    if any(name in values for name in _names(expression)):
        free = next((name for name in _RESULT_NAMES if name not in values), "value_as_text")
        raise PromptProblem("expression-in-braces", typed=_shown(typed), expression=_shown(inside), name=free)
    return Filled(typed)


@lru_cache(maxsize=64)  # a job fills one template for each of its rows
def _parse(inside: str) -> ast.expr | None:
    """Return the expression, or None where the text is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a backslash in a string
            return ast.parse(" ".join(inside.splitlines()), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


_unparse = lru_cache(maxsize=64)(ast.unparse)


def _is_path(node: ast.expr) -> bool:
    """Return whether an expression is a name, with attributes and constant subscripts, none of which is private."""
    match node:
        case ast.Name():
            return True
        case ast.Attribute(value=inner, attr=name):
            return not name.startswith("_") and _is_path(inner)
        case ast.Subscript(value=inner, slice=key):
            return _is_constant(key) and _is_path(inner)
    return False


def _is_constant(node: ast.expr | None) -> bool:
    match node:
        case None | ast.Constant() | ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
            return True
        case ast.Tuple(elts=parts):
            return all(map(_is_constant, parts))
        case ast.Slice(lower=lower, upper=upper, step=step):
            return all(map(_is_constant, (lower, upper, step)))
    return False


def _names(expression: ast.expr) -> Iterable[str]:
    return (node.id for node in ast.walk(expression) if isinstance(node, ast.Name))


def _look_up(path: ast.expr, values: Mapping[str, Any]) -> Any:
    """Return the value of a path; raises PromptProblem where a part of it is not there."""
    if isinstance(path, ast.Name):
        if path.id in values:
            return values[path.id]
        raise PromptProblem("name-unknown", name=path.id, nearest=_nearest(path.id, values))
    if not isinstance(path, (ast.Attribute, ast.Subscript)):  # which _is_path() lets through no others
        raise TypeError(type(path).__name__)
    value, key = _look_up(path.value, values), None
    try:
        if isinstance(path, ast.Attribute):
            return getattr(value, path.attr)
        key = _constant(path.slice)
        return value[key]
    except OllamaMagicsError:
        raise
    except Exception as error:  # noqa: BLE001 - the code of a value may raise anything
        known = dir(value) if isinstance(path, ast.Attribute) else _keys(value)
        nearest = _nearest(path.attr if isinstance(path, ast.Attribute) else key, known)
        said = f"{type(error).__name__}: {error}"[:_LONGEST_SHOWN]
        written, owner = ast.unparse(path), ast.unparse(path.value)
        raise PromptProblem("value-part-missing", path=written, owner=owner, said=said, nearest=nearest) from None


def _constant(node: ast.expr | None) -> Any:
    """Return the key that a subscript holds; only an own number is negative."""
    match node:
        case ast.Tuple(elts=parts):
            return tuple(map(_constant, parts))
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*map(_constant, (lower, upper, step)))
    return None if node is None else ast.literal_eval(node)


def _keys(value: Any) -> Iterable[Any]:
    return value if isinstance(value, Mapping) else getattr(value, "columns", ())


def _nearest(name: Any, known: Iterable[Any]) -> Phrase:
    names = [key for key in known if isinstance(key, str) and not key.startswith("_")]
    near = difflib.get_close_matches(name, names, n=1) if isinstance(name, str) else []
    return Phrase("nearest_name", near=near[0]) if near else Phrase("none_near")


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
