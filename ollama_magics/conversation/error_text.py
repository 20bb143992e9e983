"""Write an exception as text for a model: its message, the user's code around it, and short values of the names there."""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.value_text import ValueText
from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Phrase, strip_controls
from ollama_magics.secret import held, is_secret

_MOST_LINKS = 4  # exceptions of a chain, the last ones
_MOST_IN_GROUP = 3
_FIRST_FRAMES, _LAST_FRAMES = 2, 4
_WHOLE_CELL, _AROUND = 60, 8  # lines
_LONGEST_LINE, _LONGEST_MESSAGE = 200, 1000  # characters
_MOST_NAMES = 12
_ROWS, _ITEMS = 3, 10  # of a table or list, and of a dict
_LONGEST_VALUE, _LONGEST_TABLE, _LONGEST_TEXT = 300, 1200, 100  # characters
_NAME = re.compile(r"[^\W\d]\w*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PLAIN = (int, float, complex, type(None))
_CAUSED, _DURING = "That caused:", "While that was handled, this came up:"


@dataclass(frozen=True)
class Source:
    """Code of the user: ``label`` is what it is called, such as "Cell 3"."""

    label: str
    lines: Sequence[str]
    is_cell: bool = False


class _Place(NamedTuple):
    """A line of the user at which an exception passed."""

    source: Source
    first: int  # the lines of the failing expression
    last: int
    frame: FrameType | None = None
    column: int = 0  # of a mistake in the syntax
    calls: int = 1  # how often the exception passed it


class ErrorText:
    """Writes exceptions; ``source_of`` returns the code in a file, or None for a library's, which stays out."""

    def __init__(self, source_of: Callable[[str], Source | None]) -> None:
        self._source_of = source_of
        self._shown_cells: set[str] = set()
        self._written: dict[int, tuple[str, Any]] = {}  # by id: the name under which a value was written, and the value
        self._shortened: dict[str, None] = {}
        self._hidden: dict[str, None] = {}
        self._lines_left_out = 0

    def of(self, error: BaseException, otherwise: Source | None = None) -> tuple[str, tuple[Note, ...]]:
        """Return the text of an exception and its causes, the first one first, and what was left out of it.

        ``otherwise`` is the code to show where no frame of the user is left, as after a mistake that IPython found.
        """
        parts: list[str] = []
        for word, link in _chain(error):
            parts += [word, *self._parts(link)] if word else self._parts(link)
            if isinstance(link, BaseExceptionGroup):
                count = len(link.exceptions)
                for number, one in enumerate(link.exceptions[:_MOST_IN_GROUP], 1):
                    parts += [f"Exception {number} of {count} in the group:", *self._parts(one)]
        if otherwise and not any(self._places(link) for _, link in _chain(error)):
            parts.append(self._code(otherwise, []))
        # half of a surrogate pair, which a message may hold, can be neither sent nor shown
        return "\n\n".join(parts).encode("utf-8", "backslashreplace").decode(), tuple(self._notes())

    def _notes(self) -> Iterator[Note]:
        if self._lines_left_out:
            yield Note(Phrase("explain_lines", count=self._lines_left_out))
        if self._shortened:
            yield Note(Phrase("explain_short", names=", ".join(self._shortened)))
        if self._hidden:
            yield Note(Phrase("explain_hidden", names=", ".join(self._hidden)))

    def _parts(self, error: BaseException) -> Iterator[str]:
        yield _message(error)
        places = self._places(error)
        frames = list(_frames(error))
        is_library = bool(frames) and self._source_of(frames[-1][0].f_code.co_filename) is None
        if is_library and not isinstance(error, SyntaxError):
            code = frames[-1][0].f_code
            yield f"Raised by a library: {frames[-1][0].f_globals.get('__name__')}, in {code.co_qualname}"
        for source in dict.fromkeys(place.source.label for place in places):
            marked = [place for place in places if place.source.label == source]
            yield self._code(marked[0].source, marked)
        for place in places:
            if place.frame is not None and (values := self._values(place, place.frame)):
                yield values

    # The code.

    def _places(self, error: BaseException) -> list[_Place]:
        """Return the lines of the user, the outermost first: of many calls the first and the last ones."""
        found: dict[tuple[object, int], _Place] = {}
        for frame, line, instruction in _frames(error):
            known = found.get((frame.f_code, line))
            if known:
                found[frame.f_code, line] = known._replace(calls=known.calls + 1)
            elif source := self._source_of(frame.f_code.co_filename):
                found[frame.f_code, line] = _Place(source, *_lines_of(frame, line, instruction), frame)
        places = list(found.values())
        if isinstance(error, SyntaxError) and error.lineno:
            source = self._source_of(error.filename or "") or Source(error.filename or "code", [error.text or ""] * error.lineno)
            places.append(_Place(source, error.lineno, error.lineno, column=error.offset or 0))
        return places if len(places) <= _FIRST_FRAMES + _LAST_FRAMES else places[:_FIRST_FRAMES] + places[-_LAST_FRAMES:]

    def _code(self, source: Source, places: Sequence[_Place]) -> str:
        """Return a cell, or the lines around the marked ones, with numbers and ``>`` at each that is marked."""
        marked = {line for place in places for line in range(place.first, place.last + 1)}
        count = len(source.lines)
        shown = {line for one in marked for line in range(one - _AROUND, one + _AROUND + 1)}
        if source.label in self._shown_cells:
            shown = marked
        elif source.is_cell and count <= _WHOLE_CELL:
            shown = set(range(1, count + 1))
        elif not marked:
            shown = set(range(1, _WHOLE_CELL + 1))
        if source.is_cell and source.label not in self._shown_cells:
            self._shown_cells.add(source.label)
            self._lines_left_out += count - len(shown & set(range(1, count + 1)))
        columns = {place.first: place.column for place in places if place.column}
        lines = [f"{source.label}:"]
        for number, text in enumerate(source.lines, 1):
            if number in shown:
                line = text.rstrip("\r\n")
                line = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}… (cut)"
                lines.append(f"{'>' if number in marked else ' '}{number:4}  {line}".rstrip())
                lines += [f"       {' ' * (columns[number] - 1)}^"] if number in columns else []
            elif number - 1 in shown or (number == 1 and shown):
                lines.append("   …")
        return "\n".join(lines)

    # The names.

    def _values(self, place: _Place, frame: FrameType) -> str:
        lines = place.source.lines[place.first - 1 : place.last]
        lines = [self._value(path, value) for path, value in islice(_named(lines, frame), _MOST_NAMES)]
        where = f"{place.source.label}, line {place.first}"
        inside = "" if frame.f_code.co_name.startswith("<module") else f", in {frame.f_code.co_qualname}"
        calls = f", the first of {place.calls} calls" if place.calls > 1 else ""
        return "\n".join([f"Names in {where}{inside}{calls}:", *(f"- {line}" for line in lines)]) if lines else ""

    def _value(self, name: str, value: Any) -> str:
        """Return a name with the type of its value and a short text of it, or without one where it looks like a key."""
        kind = type(value).__name__
        try:
            return self._described(name, value, kind)
        except (Exception, SystemExit):  # noqa: BLE001 - the code of a value may raise anything
            return f"{name}: {kind}"

    def _described(self, name: str, value: Any, kind: str) -> str:
        is_hidden = is_secret(name.rpartition(".")[2], value) or is_secret(str(getattr(value, "name", "")), "")
        if is_hidden or isinstance(value, type(os.environ)):
            self._hidden[name] = None
            return f"{name}: {kind} (not shown)"
        if isinstance(value, ModuleType):
            return f"{name}: module {value.__name__}"
        if isinstance(value, (type, FunctionType)) or callable(value):
            return f"{name}: {kind} {_signature(value)}"
        if isinstance(value, _PLAIN):
            return f"{name}: {kind}: {value!r}"
        if id(value) in self._written:
            return f"{name}: the same as {self._written[id(value)][0]}"
        self._written[id(value)] = (name, value)
        text = self._short(name, value)
        return f"{name}: {text if text.startswith(kind) else f'{kind}: {text}'}"

    def _short(self, name: str, value: Any) -> str:
        if isinstance(value, str):
            text, most = repr(value[: _LONGEST_TEXT + 1]), _LONGEST_TEXT
            return (
                text if len(value) <= most else f"{text[: most + 1]}… (first {most} of {self._cut(name, len(value))} characters)"
            )
        if isinstance(value, Mapping):
            items = (f"{key!r}: {self._item(f'{name}[{key!r}]', str(key), one)}" for key, one in islice(value.items(), _ITEMS))
            more = f", … ({self._cut(name, len(value))} items)" if len(value) > _ITEMS else ""
            return f"{{{', '.join(items)}{more}}}"
        try:
            text, notes = ValueText(_ROWS).of(self._without_secrets(name, value), name)
        except PromptProblem:  # a picture, an iterator, an object without a text
            return "(no text)"
        if notes:
            self._cut(name, 0)
        most = _LONGEST_TABLE if hasattr(value, "columns") else _LONGEST_VALUE
        return text if len(text) <= most else f"{text[:most]}… (cut at {most} of {self._cut(name, len(text))} characters)"

    def _item(self, path: str, key: str, value: Any) -> str:
        """Return the value of a dict, if it is as short as its type."""
        if is_secret(key, value):
            self._hidden[path] = None
            return "(not shown)"
        is_short = isinstance(value, _PLAIN) or (isinstance(value, str) and len(value) <= _LONGEST_TEXT)
        return repr(value) if is_short else type(value).__name__

    def _without_secrets(self, name: str, value: Any) -> Any:
        """Return a table without the columns that are called like keys."""
        is_arrow = hasattr(value, "column_names")
        columns = list(value.column_names if is_arrow else getattr(value, "columns", ()) if hasattr(value, "shape") else ())
        kept = [column for column in columns if not is_secret(str(column), "")]
        if len(kept) == len(columns):
            return value
        self._hidden |= {f"{name}[{column!r}]": None for column in columns if column not in kept}
        return value.select(kept) if is_arrow else value[kept]

    def _cut(self, name: str, count: int) -> int:
        self._shortened[name] = None
        return count


def _chain(error: BaseException) -> list[tuple[str, BaseException]]:
    """Return an exception after those that led to it, each with the words that stand before it."""
    found: list[tuple[str, BaseException]] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(found) < _MOST_LINKS:
        seen.add(id(link))
        before = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
        found.append((_CAUSED if link.__cause__ else _DURING, link))
        link = before
    (_, first), *others = reversed(found)
    return [("", first), *others]


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int, int]]:
    """Yield each frame with its line and its instruction, the outermost first."""
    step = error.__traceback__
    while step is not None:
        yield step.tb_frame, step.tb_lineno, step.tb_lasti
        step = step.tb_next


def _lines_of(frame: FrameType, line: int, instruction: int) -> tuple[int, int]:
    """Return the first and last line of the expression that failed."""
    first, last, *_ = next(islice(frame.f_code.co_positions(), instruction // 2, None), (line, line))
    return (first, last) if first and last and first <= line <= last else (line, line)


def _message(error: BaseException) -> str:
    # Python 3.13 has classes of its own for what it could not read, such as _IncompleteInputError
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ != "builtins" or not kind.__name__.startswith("_"))
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    try:
        said = str(error.msg if isinstance(error, SyntaxError) else error)
    except (Exception, SystemExit) as failure:  # noqa: BLE001 - the code of an exception may raise anything
        said = f"(its text cannot be made: {type(failure).__name__})"
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    text = "\n".join([f"{name}: {said}" if said else name, *notes])
    text = "\n".join(map(strip_controls, _COLOUR.sub("", text).split("\n")))
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}… (cut)"


def _named(lines: Sequence[str], frame: FrameType) -> Iterator[tuple[str, Any]]:
    """Yield the names in lines of code, and attributes that a value holds itself, with their values."""
    done: set[str] = set()
    for name, attribute in _paths("".join(f"{line.rstrip()}\n" for line in lines)):
        names = next((names for names in (frame.f_locals, frame.f_globals) if name in names), None)
        if names is None:
            continue
        value = names[name]
        if name not in done:
            yield name, value
        own = {} if isinstance(value, (ModuleType, type)) else held(value)
        if attribute in own and f"{name}.{attribute}" not in done:
            yield f"{name}.{attribute}", own[attribute]
        done |= {name, f"{name}.{attribute}"}


def _paths(code: str) -> list[tuple[str, str]]:
    """Return the names in a piece of code, in its order, each with its attribute if it has one; it may be no whole statement."""
    try:
        nodes = list(ast.walk(ast.parse(code.strip())))
    except (SyntaxError, ValueError):
        return [(name, "") for name in _NAME.findall(code)]
    owners = {id(node.value): node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    return [(node.id, owners.get(id(node), "")) for node in sorted(names, key=lambda node: (node.lineno, node.col_offset))]


def _signature(value: Any) -> str:
    name = getattr(value, "__qualname__", "") or type(value).__name__
    try:
        return f"{name}{inspect.signature(value)}"[:_LONGEST_VALUE]
    except Exception:  # noqa: BLE001 - many callables have none, and their code may raise anything
        return str(name)[:_LONGEST_VALUE]
