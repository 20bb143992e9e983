"""Write a value as text for a model: tables with facts about their columns, lists by items, functions as source."""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import re
import sys
import textwrap
from collections import deque
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType, MethodWrapperType, ModuleType
from typing import Any

from ollama_magics.conversation.notes import Note
from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Phrase, group_digits

ALL = sys.maxsize  # rows: everything, whatever its size
_ROWS = 20  # of a table, items of a list
_COLUMNS = 30
_NUMBERS = 1000  # of an array
_CELL = 200  # characters
_TEXT = 4000  # characters of a value that is no text
_COUNTED = 2_000_000  # cells of a table whose columns are described
_LONGEST_FACT = 40  # characters of the smallest and largest value of a column
_DEEPEST = 10  # levels of lists in lists
_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9A-Fa-f]+>")  # all that many classes write of themselves
_MATRIX = 2  # dimensions
_COLLECTIONS = (list, tuple, set, frozenset, dict, deque, KeysView, ValuesView, ItemsView)
_BYTES = (bytes, bytearray, memoryview)
_PLAIN = (str, int, float, type(None))
_UNCALLED = (MethodType, BuiltinFunctionType, MethodDescriptorType, MethodWrapperType)
_COMPUTING = ("collect", "compute", "toPandas")  # methods that compute the rows of a lazy table


class ValueText:
    """Writes values as text; ``rows`` is how many rows of a table and items of a list go in (None: 20, and 1000 numbers).

    With ALL nothing is left out. Otherwise the text says what is, and so do the notes.
    """

    def __init__(self, rows: int | None = None) -> None:
        self._rows, self._numbers = rows or _ROWS, rows or _NUMBERS
        self._cell, self._columns, self._text = (ALL, ALL, ALL) if rows == ALL else (_CELL, _COLUMNS, _TEXT)
        self._notes: list[Note] = []

    def of(self, value: Any, name: str) -> tuple[str, tuple[Note, ...]]:
        """Return the text of a value, which notes and errors call ``name``, and the notes; raises PromptProblem."""
        try:
            return self._of(value, name), tuple(self._notes)
        except PromptProblem:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the code of a value may raise anything
            kind, said = type(value).__name__, f"{type(error).__name__}: {error}"[:200]
            raise PromptProblem("value-unprintable", name=name, kind=kind, said=said) from None

    def _of(self, value: Any, name: str) -> str:
        # Libraries are known by the methods of their values. narwhals would read more of them, but drop the index of pandas.
        if isinstance(value, str):
            return value
        if isinstance(value, (type, FunctionType)):
            return _source(value, name)
        _refuse(value, name)
        write: Callable[[Any, str], str] = self._other
        if hasattr(value, "tocoo"):
            write = self._sparse
        elif hasattr(value, "columns") and len(getattr(value, "shape", ())) == _MATRIX:
            write = self._table
        elif hasattr(value, "dtype") and getattr(value, "shape", None):  # NumPy's single numbers have an empty shape
            write = self._series if hasattr(value, "head") and hasattr(value, "name") and len(value.shape) == 1 else self._array
        elif hasattr(value, "to_pylist") and hasattr(value, "slice"):
            write = self._arrow_column
        elif isinstance(value, _COLLECTIONS):
            write = self._collection
        return write(value, name)

    # Tables and arrays.

    def _table(self, table: Any, name: str) -> str:
        """Return shape, a line for each column, and the first rows, with the index of pandas."""
        count, width = table.shape
        labels, columns, rows = _parts(table, min(self._rows, count))
        axis = _axis_name(getattr(table, "columns", ()))  # what the columns are, such as the years of a pivot table
        lines = [f"{type(table).__name__} of {count} rows × {width} columns{axis and f' ({axis})'}"]
        described = zip(labels[-width:] if width else (), columns, strict=False)
        lines += [_described(label, column, cells=count * width) for label, column in islice(described, self._columns)]
        if width > self._columns:
            lines.append(f"({self._leave_out(name, self._columns, width, 'columns')})")
        shown = min(width, self._columns) + len(labels) - width
        return "\n".join([*lines, self._rows_text(labels, rows, name, count, shown)])

    def _series(self, series: Any, name: str) -> str:
        count = series.shape[0]
        label = "value" if series.name is None else series.name
        heading = f"{type(series).__name__} of {count} values\n{_described(label, series, cells=count)}"
        first = series.head(min(self._rows, count))
        if hasattr(first, "items"):
            return f"{heading}\n{self._rows_text([_axis_name(series.index), label], first.items(), name, count)}"
        return f"{heading}\n{self._rows_text([label], ((value,) for value in first), name, count)}"

    def _sparse(self, matrix: Any, name: str) -> str:
        found = matrix.tocoo()
        places = getattr(found, "coords", None) or (found.row, found.col)
        entries = islice(zip(*(place.tolist() for place in places), found.data, strict=True), self._rows)
        shape, labels = " × ".join(map(str, matrix.shape)), [f"axis {axis}" for axis in range(len(matrix.shape))]
        heading = f"sparse array of {shape} ({matrix.dtype}), {found.nnz} stored values, all others 0"
        return f"{heading}\n{self._rows_text([*labels, 'value'], entries, name, found.nnz, what='values')}"

    def _array(self, array: Any, name: str) -> str:
        heading = f"array of {' × '.join(map(str, array.shape))} ({array.dtype})"
        if not hasattr(array, "tolist") or type(array).__name__ == "matrix":  # whose rows are matrices again
            array = array.__array__()
        is_numpy = type(array).__module__.startswith("numpy")  # whose own numbers are written with as few digits as they have
        if len(array.shape) == _MATRIX:
            count, width = array.shape
            first = array[: self._rows, : self._columns]
            if width > self._columns:
                heading += f", {self._leave_out(name, self._columns, width, 'columns')}"
            return (
                f"{heading}\n{self._rows_text(range(width), first if is_numpy else first.tolist(), name, count, self._columns)}"
            )
        values = array if is_numpy else array.tolist()
        count = len(array) if len(array.shape) == 1 else int(array.size)
        if count <= self._numbers:
            return f"{heading}:\n{_written(values)}"
        flat = array.ravel() if len(array.shape) > 1 else values
        return f"{heading}, {self._leave_out(name, self._numbers, count, 'values')}:\n{_written(flat[: self._numbers])}"

    def _rows_text(  # noqa: PLR0913, PLR0917 - what a table is made of
        self, labels: Iterable[Any], rows: Iterable[Iterable[Any]], name: str, count: int, width: int = ALL, what: str = "rows"
    ) -> str:
        """Return a heading and rows as a Markdown table of ``width`` columns; ``count`` is how many rows there are."""
        long: list[object] = []
        lines = [list(islice(labels, width))]
        lines += [["---"] * len(lines[0]), *(list(islice(row, width)) for row in rows)]
        text = "\n".join("| " + " | ".join(self._cell_text(value, long) for value in line) + " |" for line in lines)
        facts = [self._leave_out(name, self._rows, count, what) if count > self._rows else f"all {count} {what}"]
        if long:
            self._notes.append(Note(Phrase("cells_cut", name=name, count=group_digits(len(long)), most=self._cell)))
            facts.append(f"{len(long)} cells cut at {self._cell} characters, where they end in …")
        return f"{', '.join(facts)}:\n{text}"

    def _cell_text(self, value: Any, long: list[object]) -> str:
        text = _written(value) if getattr(value, "shape", None) else str(value)
        if len(text) > self._cell:
            long.append(value)
            text = f"{text[: self._cell]}…"
        return "<br>".join(text.replace("|", "\\|").splitlines())

    # Lists, and anything else.

    def _other(self, value: Any, name: str) -> str:
        return self._printed(str(value), name, value)

    def _arrow_column(self, column: Any, name: str) -> str:
        heading = f"{type(column).__name__} of {len(column)} values ({column.type})"
        return self._items(column.slice(0, self._rows).to_pylist(), len(column), name, heading)

    def _collection(self, value: Any, name: str) -> str:
        """Return a collection as Python writes it, or item by item where it is long or holds tables and arrays."""
        count, kind = len(value), type(value).__name__
        shown = list(islice(value.values() if isinstance(value, Mapping) else value, self._rows))
        if any(map(_has_own_text, shown)):
            return self._blocks(value, name)
        if isinstance(value, (set, frozenset, KeysView)):
            return self._items(
                _sorted(value), count, name, f"{kind} of {count} items"
            )  # an order that is the same in each kernel
        if count <= self._rows:
            return self._printed(repr(value), name, value, ALL)
        if isinstance(value, Mapping):
            first = ", ".join(f"{key!r}: {item!r}" for key, item in islice(value.items(), self._rows))
            heading = f"{kind} of {count} items, {self._leave_out(name, self._rows, count, 'items')}"
            return f"{heading}:\n{self._printed(f'{{{first}}}', name, shown, ALL)}"
        return self._items(shown, count, name, f"{kind} of {count} items")

    def _items(self, items: Iterable[Any], count: int, name: str, heading: str) -> str:
        first = list(islice(items, self._rows))
        cut = f", {self._leave_out(name, self._rows, count, 'items')}" if count > self._rows else ""
        return f"{heading}{cut}:\n{self._printed(repr(first), name, first, ALL)}"

    def _blocks(self, value: Any, name: str) -> str:
        """Return the items one below the other: a table inside of a list would be printed with gaps."""
        count = len(value)
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        cut = f", {self._leave_out(name, self._rows, count, 'items')}" if count > self._rows else ""
        paths = [(f"{name}[{key!r}]", item) for key, item in islice(pairs, self._rows)]
        blocks = (f"{path}:\n{self._of(item, path)}" for path, item in paths)
        return "\n\n".join([f"{type(value).__name__} of {count} items{cut}:", *blocks])

    def _printed(self, text: str, name: str, value: Any, most: int | None = None) -> str:
        """Return a text that Python or a library wrote of a value, cut at ``most`` characters."""
        most = self._text if most is None else most
        is_own = any(not _is_builtin(type(one)) for one in (value if isinstance(value, list) else [value]))
        if is_own and not isinstance(value, BaseException) and ("..." in text or "…" in text):
            self._notes.append(Note(Phrase("text_abbreviated", name=name)))  # NumPy, torch and others leave out the middle
        if len(text) <= most:
            return text
        self._notes.append(Note(Phrase("text_cut", name=name, shown=group_digits(most), count=group_digits(len(text)))))
        return f"{text[:most]}\n(cut: {most} of {len(text)} characters)"

    def _leave_out(self, name: str, shown: int, count: int, what: str) -> str:
        """Note for the user that only the first are shown, and return the same for the model."""
        facts = {"shown": group_digits(shown), "count": group_digits(count), "what": Phrase(f"what_{what}")}
        self._notes.append(Note(Phrase("part_shown", name=name, **facts)))
        return f"first {shown} of {count} {what}"


def _refuse(value: Any, name: str) -> None:
    """Raise PromptProblem for a value whose text would tell the model nothing."""
    kind, new = type(value).__name__, "_".join(re.findall(r"\w+", name)) + "_text"
    if _is_picture(value):
        code = "value-is-picture" if name.isidentifier() else "value-part-is-picture"  # -i takes no part of a value
        raise PromptProblem(code, name=name, kind=kind, new=new.replace("_text", "_picture"))
    is_lazy = hasattr(value, "toPandas") or "Lazy" in kind or getattr(value, "__dask_graph__", lambda: None)() is not None
    computing = next((method for method in _COMPUTING if is_lazy and callable(getattr(value, method, None))), "")
    checks = (
        (isinstance(value, _BYTES), "is_bytes", f'{name}.decode("utf-8")'),
        (bool(computing), "is_lazy", f"{name}.{computing}()"),
        (isinstance(value, io.IOBase), "is_open_file", f"{name}.read()"),
        (inspect.isawaitable(value), "is_awaitable", f"await {name}"),
        (hasattr(value, "__next__"), "is_iterator", f"list({name})"),
        (isinstance(value, _UNCALLED), "is_uncalled", f"{name}()"),
        (isinstance(value, ModuleType), "is_module_value", f"dir({name})"),
        (_prints_address(value), "has_no_own_text", f"list({name})" if hasattr(value, "__iter__") else f"vars({name})"),
    )
    for is_true, reason, expression in checks:
        if is_true:
            line = f"{new} = {expression}"
            raise PromptProblem("value-not-text", name=name, kind=kind, reason=Phrase(reason), line=line, new=new)


def _has_own_text(value: Any, depth: int = _DEEPEST) -> bool:
    """Return whether the value, or one in it, is a table, an array, bytes or the like, which a list would print badly."""
    if isinstance(value, (dict, list, tuple)):
        inner = value.values() if isinstance(value, dict) else value
        return depth > 0 and any(_has_own_text(one, depth - 1) for one in inner)
    if isinstance(value, _PLAIN):
        return False
    has_rows = isinstance(value, _BYTES) or bool(getattr(value, "shape", None)) or hasattr(value, "__next__")
    return has_rows or _is_picture(value) or _prints_address(value)


def _is_picture(value: Any) -> bool:
    has_picture_methods = all(hasattr(value, method) for method in ("getpixel", "mode", "thumbnail"))
    drawn = value.figure if callable(getattr(value, "get_figure", None)) and hasattr(value, "figure") else value  # such as axes
    return has_picture_methods or (callable(getattr(drawn, "savefig", None)) and not isinstance(value, (type, ModuleType)))


def _prints_address(value: Any) -> bool:
    """Return whether Python knows no other text of a value than its type and address."""
    kind: Any = type(value)
    if kind.__str__ is not object.__str__:
        return False
    return kind.__repr__ is object.__repr__ or (not _is_builtin(kind) and bool(_ADDRESS.fullmatch(repr(value))))


def _is_builtin(kind: type) -> bool:
    return kind.__module__ == "builtins"


def _axis_name(labels: Any) -> str:
    """Return the name of an index of pandas, or the names of its levels; an empty text where it has none."""
    names = list(getattr(labels, "names", ()))
    if all(name is None for name in names):
        return ""
    return str(names[0] if len(names) == 1 else tuple(names))


def _parts(table: Any, rows: int) -> tuple[list[Any], Iterable[Any], Iterable[Iterable[Any]]]:
    """Return labels, columns and the first rows of a table; with an index, the first label is its name."""
    if hasattr(table, "itertuples"):  # pandas
        own = (table.iloc[:, place] for place in range(table.shape[1]))
        return [_axis_name(table.index), *table.columns], own, table.head(rows).itertuples(name=None)
    if hasattr(table, "column_names"):  # Arrow
        first = table.slice(0, rows)
        return list(table.column_names), table.columns, zip(*(column.to_pylist() for column in first.columns), strict=True)
    columns = table.get_columns() if hasattr(table, "get_columns") else ()
    return list(table.columns), columns, table.head(rows).rows()


def _described(label: Any, column: Any, *, cells: int) -> str:
    """Return a line about a column: type, missing and distinct values, the smallest and the largest."""
    facts = [str(getattr(column, "dtype", None) or getattr(column, "type", ""))]
    if cells > _COUNTED:
        return f"- {label}: {facts[0]} (too large to be counted)"
    read = next(getattr(column, method) for method in ("tolist", "to_list", "to_pylist") if hasattr(column, method))
    values = read()
    found = [value for value in values if not _is_missing(value)]
    facts.append(f"{len(values) - len(found)} missing")
    try:
        facts.append(f"{len(set(found))} distinct")
        order = _category_order(column)
        facts += [f"{_fact(min(found, key=order))} to {_fact(max(found, key=order))}"] if found else []
    except TypeError:  # lists cannot be counted, and dicts not be compared
        pass
    return f"- {label}: {', '.join(facts)}"


def _category_order(column: Any) -> Callable[[Any], int] | None:
    """Return the place of a value among the ordered categories of a column; None where values are ordered by themselves."""
    dtype = getattr(column, "dtype", None) or getattr(column, "type", None)
    if not (getattr(dtype, "ordered", False) or type(dtype).__name__ == "Enum"):  # of pandas and Arrow, or of polars
        return None
    categories: Any = getattr(dtype, "categories", ())
    if hasattr(column, "unify_dictionaries") and column.num_chunks:
        categories = column.unify_dictionaries().chunk(0).dictionary.to_pylist()
    return {category: place for place, category in enumerate(categories)}.__getitem__


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value  # noqa: PLR0124 - only a NaN differs from itself


def _fact(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_FACT else f"{text[:_LONGEST_FACT]}…"


def _written(values: Any) -> str:
    """Return an array or nested lists as text, each number with all of its digits."""
    if isinstance(values, list) or getattr(values, "shape", None):
        return f"[{', '.join(map(_written, values))}]"
    return repr(str(values)) if isinstance(values, str) else str(values)


def _sorted(values: Iterable[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def _source(value: type | FunctionType, name: str) -> str:
    """Return the source of a function or class; raises PromptProblem where there is none."""
    try:
        return textwrap.dedent(inspect.getsource(inspect.unwrap(value)))
    except (OSError, TypeError):
        found = set(_class_sources(value)) if isinstance(value, type) else set()
    if len(found) == 1:
        return found.pop()
    new = "_".join(re.findall(r"\w+", name)) + "_text"
    reason, line = Phrase("has_no_source"), f'{new} = "…"'
    raise PromptProblem("value-not-text", name=name, kind=type(value).__name__, reason=reason, line=line, new=new)


def _class_sources(kind: type) -> Iterator[str]:
    """Yield the source of each class in a cell that has this name, these annotations and these methods.

    Python knows the file of a module, but not the cell in which a class was defined.
    """
    codes = [value.__code__ for value in vars(kind).values() if isinstance(value, FunctionType)]
    cells = {code.co_filename for code in codes}.intersection(linecache.cache)
    for file in cells or list(linecache.cache):
        source = "".join(linecache.getlines(file)) if kind.__module__ == "__main__" else ""
        if f"class {kind.__name__}" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and node.name == kind.__name__ and _defines(node, kind):
                start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                yield textwrap.dedent("".join(source.splitlines(keepends=True)[start - 1 : node.end_lineno]))


def _defines(node: ast.ClassDef, kind: type) -> bool:
    names = [part.target.id for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)]
    methods = {part.name for part in node.body if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return names == list(vars(kind).get("__annotations__", inspect.get_annotations(kind))) and methods <= set(vars(kind))
