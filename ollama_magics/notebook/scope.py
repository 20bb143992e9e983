"""Look names up where a line of a cell or function runs: its locals first, then its globals, then the notebook."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Phrase
from ollama_magics.notebook import usage_error

if TYPE_CHECKING:
    from symtable import SymbolTable

_BETWEEN = ("IPython", "ipykernel", "decorator", "ollama_magics")  # packages between a line and its magic, in IPython 7 too
# Code of its own that runs at once, in the middle of the function around it.
_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>")


class Scope(Mapping[str, Any]):
    """The names that a magic line sees; raises PromptProblem for one that Python does not keep where the line runs.

    IPython's own ``@needs_local_scope`` knows neither cell magics in functions nor comprehensions.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._frame = _calling_frame(shell)
        self._frames = list(_running_frames(self._frame))
        spaces = [frame.f_locals for frame in self._frames] + [self._frame.f_globals, shell.user_ns]
        self._spaces: Sequence[Mapping[str, Any]] = spaces
        self.is_notebook = self._frame.f_locals is shell.user_ns

    def __getitem__(self, name: str) -> Any:
        for frame in self._frames:
            if name in frame.f_locals:
                return frame.f_locals[name]
        self._require_reachable(name)
        for space in (self._frame.f_globals, self._shell.user_ns):
            if name in space:
                return space[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for space in self._spaces for name in space))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def evaluate(self, expression: str) -> Any:
        """Return the value of a Python expression that the user typed on the line."""
        __tracebackhide__ = True  # IPython leaves such a frame out: a mistake in the expression is not ours
        if self.is_notebook:
            return self._shell.ev(expression)
        for name in _free_names(expression):
            self.get(name)  # raises for one that is out of reach
        # one dict, so that lambdas and comprehensions in the expression see the locals too
        names = {name: value for space in reversed(self._spaces) for name, value in space.items()}
        with self._shell.builtin_trap:
            return eval(expression, names)  # noqa: S307 - the user typed it as code

    def require_notebook(self, option: str, magic: str) -> None:
        """Raise UsageError where the line stands in a function, in which an option cannot bind a name."""
        if not self.is_notebook:
            raise usage_error("usage_in_function", option=option, magic=magic)

    def _require_reachable(self, name: str) -> None:
        """Raise PromptProblem for a variable of a function that has no value yet, or that its inner function does not use."""
        for code in (frame.f_code for frame in self._frames):
            if name in (*code.co_varnames, *code.co_cellvars, *code.co_freevars):
                raise PromptProblem("name-unassigned", name=name, function=code.co_name)
        code = self._frames[-1].f_code
        if code.co_flags & inspect.CO_OPTIMIZED and (outer := _outer_function(self._frames[-1], name)):
            error = PromptProblem("name-not-captured", name=name, function=code.co_name, outer=outer)
            # a lambda has no line before the call
            raise error.with_advice(remedy=Phrase("need_def", name=name) if code.co_name.startswith("<") else None)


def _calling_frame(shell: Any) -> FrameType:
    """Return the frame of the code that the user wrote: the first one outside of IPython and of this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - Python's own way to the callers
    while frame.f_back is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in _BETWEEN and frame.f_locals.get("self") is not shell:
            break
        frame = frame.f_back
    return frame


def _running_frames(frame: FrameType) -> Iterator[FrameType]:
    """Yield a frame, and around a comprehension or the body of a class the frames in whose middle it runs."""
    yield frame
    while frame.f_back and (frame.f_code.co_name in _COMPREHENSIONS or _is_class_body(frame)):
        frame = frame.f_back
        yield frame


def _is_class_body(frame: FrameType) -> bool:
    return not frame.f_code.co_flags & inspect.CO_OPTIMIZED and "__qualname__" in frame.f_locals


def _outer_function(frame: FrameType, name: str) -> str:
    """Return which function around the running one has a variable of that name, or an empty text.

    Python keeps such a variable only if the inner function uses it in its code, and a name in a prompt is no use. The global of
    that name would be another value than the reader of the code expects.
    """
    import symtable  # noqa: PLC0415 - only a name that is in no local needs it

    code = frame.f_code
    try:
        source = "".join(linecache.getlines(code.co_filename, frame.f_globals))
        module = symtable.symtable(source, code.co_filename, "exec")
    except (SyntaxError, ValueError):
        return ""
    # with decorators the code starts above the line of its "def"
    nested = [path for path in _nested_tables((module,)) if path[-1].get_name() == code.co_name.strip("<>")]
    found = [path for path in nested if path[-1].get_lineno() >= code.co_firstlineno]
    if not found:
        return ""
    *around, _ = min(found, key=lambda path: path[-1].get_lineno())
    for table in reversed(around):
        if table.get_type() == "function" and name in table.get_identifiers():
            symbol = table.lookup(name)
            return table.get_name() if symbol.is_local() or symbol.is_parameter() else ""
    return ""


def _nested_tables(path: tuple[SymbolTable, ...]) -> Iterator[tuple[SymbolTable, ...]]:
    """Yield the path to each function and class in the last table, from the outermost."""
    for table in path[-1].get_children():
        yield (*path, table)
        yield from _nested_tables((*path, table))


def _free_names(expression: str) -> set[str]:
    """Return the names that an expression takes from around it; of one that Python cannot read, none."""
    try:
        names = [node for node in ast.walk(ast.parse(expression, mode="eval")) if isinstance(node, ast.Name)]
    except (SyntaxError, ValueError):
        return set()
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    return {node.id for node in names} - bound
