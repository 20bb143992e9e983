"""What IPython reads: prompts that end in ``?``, magic lines that show no Out, cells of one line, the last line of a cell."""

from __future__ import annotations

import ast
import re
from typing import Any

from IPython.core.inputtransformer2 import TokenTransformBase


class QuestionMarkPrompt(TokenTransformBase):
    """Lets a prompt end with a question mark, which IPython reads as help; ``%ollama?`` stays help."""

    priority = 4  # before IPython's HelpEnd, which has 5

    def __init__(self, start: tuple[int, int], percent: tuple[int, int]) -> None:
        super().__init__(start)
        self._line, self._column = percent[0] - 1, percent[1]

    @classmethod
    def find(cls, tokens_by_line: list[list[Any]]) -> QuestionMarkPrompt | None:
        """Return where the first such line begins, or None."""
        for line in tokens_by_line:
            texts = [token.string for token in line]
            place = next((i for i in range(len(texts) - 1) if texts[i : i + 2] == ["%", "ollama"]), None)
            if place is None or "?" not in texts[-2:]:
                continue
            before = [text for text in texts[:place] if text.strip()]
            if before and before[-1] != "=":
                continue
            if any(text.strip(" ?\r\n") for text in texts[place + 2 :]):
                first = next(token for token in line if token.string.strip())
                return cls(first.start, line[place].start)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Return the lines with the magic as the call that IPython itself makes of it."""
        line = lines[self._line]
        prompt = line[self._column :].rstrip("\r\n").removeprefix("%ollama").strip()
        call = f"get_ipython().run_line_magic('ollama', {prompt!r})\n"
        return [*lines[: self._line], line[: self._column] + call, *lines[self._line + 1 :]]


class StatementMagic(ast.NodeTransformer):
    """Turns ``%ollama …`` as a statement into ``%%ollama``, which has no value; ``r = %ollama …`` is left as it is."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        """Return the statement, as a cell magic if it is one of ours."""
        match node.value:
            case ast.Call(func=ast.Attribute(attr="run_line_magic") as called, args=[ast.Constant("ollama"), _] as words):
                called.attr = "run_cell_magic"
                words.append(ast.copy_location(ast.Constant("\n"), words[-1]))
        return node


class LastStatement(ast.NodeTransformer):
    """Changes nothing; ``kind`` is what the last line of the running cell is: a ``name``, a ``magic`` line, or empty."""

    kind = ""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Return the cell as it is."""
        match node.body[-1] if node.body else None:
            case ast.Expr(value=ast.Name() | ast.Attribute() | ast.Subscript()):
                self.kind = "name"
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="run_line_magic"))):
                self.kind = "magic"
            case _:
                self.kind = ""
        return node


_NEEDS_NO_BODY = re.compile(r"%%ollama\s(?:.*\s)?(?:--continue(?:\s|$)|-p|--prompt-file)")


def add_empty_body(lines: list[str]) -> list[str]:
    """Return the lines of a cell, with an empty body for ``%%ollama --continue`` or ``--prompt-file`` alone."""
    alone = len(lines) == 1 and _NEEDS_NO_BODY.match(lines[0])
    return [lines[0].rstrip("\r\n") + "\n", "\n"] if alone else lines
