"""Lines that are a prompt and nothing else, whose reply a terminal has shown and shall not announce with an empty ``Out``."""

from __future__ import annotations

import ast


class Bare(ast.NodeTransformer):
    """Turns ``%ollama …`` as a statement into ``%%ollama``, which has no value; ``r = %ollama …`` is left as it is."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        """Return the statement, as a cell magic if it is one of ours."""
        match node.value:
            case ast.Call(func=ast.Attribute(attr="run_line_magic") as called, args=[ast.Constant("ollama"), _] as words):
                called.attr = "run_cell_magic"
                words.append(ast.copy_location(ast.Constant("\n"), words[-1]))
        return node
