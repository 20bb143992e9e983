"""Find texts in Python code that stand where a secret stands: assigned, passed or compared under a name of one."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import pairwise

from ollama_magics.secret import is_called_secret, is_secret


def secrets_in_code(code: str) -> list[str]:
    r"""Return these texts, however many lines lie between a name and its text; none of code that is no Python.

    Example
    -------
    >>> secrets_in_code("login(password=('hunter'\\n  '2'))")
    ['hunter2']

    """
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = {text: None for node in nodes for name, value in _named(node) for text in _texts(value) if is_secret(name, text)}
    return [*found]


def _named(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the values in a node, each with what it is called there."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _assigned(target, node.value)
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and node.value:
        yield from _assigned(node.target, node.value)
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg, node.value
    elif isinstance(node, ast.arguments):
        places = [*node.posonlyargs, *node.args]
        yield from ((place.arg, value) for place, value in zip(places[::-1], node.defaults[::-1], strict=False))
        yield from ((place.arg, value) for place, value in zip(node.kwonlyargs, node.kw_defaults, strict=True) if value)
    elif isinstance(node, ast.Dict):
        yield from ((_constant(key), value) for key, value in zip(node.keys, node.values, strict=True) if key)
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        yield from ((name, other) for side in sides for name in _names(side) for other in sides if other is not side)
    elif isinstance(node, (ast.Call, ast.List, ast.Tuple)):  # the value of ["--password", "…"] and of setdefault("password", "…")
        items = node.args if isinstance(node, ast.Call) else node.elts
        yield from ((_constant(one).lstrip("-"), other) for one, other in pairwise(items) if is_called_secret(_constant(one)))


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        for one, other in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, other)
    else:
        yield from ((name, value) for name in _names(target))


def _names(node: ast.expr) -> Iterator[str]:
    """Yield what a variable, an attribute or an item is called."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Subscript) and (name := _constant(node.slice)):
        yield name


def _constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _texts(node: ast.expr) -> Iterator[str]:
    """Yield the texts of an expression that are its value or parts of it."""
    if isinstance(node, ast.Constant):
        value = node.value.decode("utf-8", "replace") if isinstance(node.value, bytes) else node.value
        if isinstance(value, str):
            yield value
    for part in _parts(node):
        yield from _texts(part)


def _parts(node: ast.expr) -> Iterable[ast.expr]:
    if isinstance(node, (ast.JoinedStr, ast.BoolOp)):
        return node.values
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return node.elts
    if isinstance(node, (ast.BinOp, ast.IfExp)):
        return (node.left, node.right) if isinstance(node, ast.BinOp) else (node.body, node.orelse)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):  # "…".encode()
        return (node.func.value,)
    if isinstance(node, ast.Call) and any("secret" in name.lower() for name in _names(node.func)):  # SecretStr("…")
        return node.args
    return ()
