"""Rules for all modules: a docstring of one sentence, and a reason for each long module or function."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ollama_magics"
LONGEST_MODULE, LONGEST_FUNCTION = 400, 50  # lines
# What is longer, and why that reads better than parts would.
REASONS: dict[str, str] = {
    "api/prompts.py:chat": "a typed parameter for each option of a prompt, and the docstring that explains them",
    "api/rows.py:map": "a typed parameter for each option of a job of rows, and the docstring that explains them",
    "api/rows.py:experiment": "a typed parameter for each option, and the docstring that explains them",
}


def modules() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")


def test_a_module_is_one_sentence() -> None:
    """The docstring of a module is one sentence that says what it does."""
    offenders = []
    for path, text in modules():
        sentence = (ast.get_docstring(ast.parse(text)) or "").strip()
        if not sentence.endswith(".") or re.search(r"[.!?]\s+[A-Z]", sentence):
            offenders.append(f"{path}: {sentence or 'no docstring'}")
    assert not offenders, "\n".join(offenders)


def test_what_is_long_says_why() -> None:
    """A module of more than 400 lines or a function of more than 50 has a reason in the table, and no reason is left over."""
    found = {}
    for path, text in modules():
        if text.count("\n") > LONGEST_MODULE and not path.startswith("messages/"):
            found[path] = f"{path}: {text.count(chr(10))} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    found[f"{path}:{node.name}"] = f"{path}:{node.name}: {length} lines"
    assert set(found) == set(REASONS), "\n".join(found.values())
