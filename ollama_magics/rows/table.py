"""Read the rows of data frames, columns, lists and dicts, and put the columns of a result beside them."""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter, deque
from collections.abc import Callable, Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from ollama_magics.errors import RowsProblem
from ollama_magics.messages import Phrase

ITEM = "item"  # the name of the values of a list
_TAKEN = "_reply"  # is put behind the name of a column that is there already
_LISTED = (list, tuple, range, deque, KeysView, ValuesView, ItemsView)


@dataclass(frozen=True)
class Column:
    """A column of a result: its values in the order of the rows, None where there is none, and their type."""

    values: Sequence[Any]
    kind: Any = object  # as in RowFormat.columns


_Join = Callable[[Sequence[int] | None, Mapping[str, Column]], Any]


@dataclass(frozen=True)
class Table:
    """The columns of the data by the text of their names; ``join`` returns some rows or all with more columns beside them.

    ``doubled`` are names that several columns have, which no prompt can use; ``taken`` those that no other column may get.
    """

    columns: Mapping[str, Sequence[Any]]
    length: int
    join: _Join
    doubled: Collection[str] = ()
    taken: Collection[str] = ()

    def row(self, number: int) -> dict[str, Any]:
        """Return the values of a row by their names."""
        return {name: values[number] for name, values in self.columns.items()}

    def with_columns(self, answers: Mapping[str, Column], own: Mapping[str, Column], rows: Sequence[int] | None = None) -> Any:
        """Return the data, or only these rows of it, with the columns of the answers and the ``own`` ones of the job.

        A name that is taken gets ``_reply`` behind it: one of the job where the data have it, one of the answers where the data
        or the job have it.
        """
        own_names = free_names(own, {*self.columns, *self.doubled, *self.taken})
        names = free_names(answers, {*self.columns, *self.doubled, *self.taken, *own_names.values()})
        added = {names[name]: column for name, column in answers.items()}
        return self.join(rows, added | {own_names[name]: column for name, column in own.items()})


def free_names(names: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """Return a free name for each of the names: itself, or with ``_reply`` behind it, as often as is needed."""
    names = list(names)
    used, found = {*taken, *names}, dict[str, str]()
    for name in names:
        free = name
        while name in taken and free in used:
            free += _TAKEN
        used.add(free)
        found[name] = free
    return found


def table_of(data: Any) -> Table:
    """Return the rows of data as ``read_table`` does; raises RowsProblem (rows-missing) where there are none."""
    table = read_table(data)
    if not table.length:
        raise RowsProblem("rows-missing", kind=type(data).__name__)
    return table


def read_table(data: Any) -> Table:
    """Return the rows of a data frame, Series or Index, Arrow table or array, list, or dict of columns; there may be none.

    Raises RowsProblem: data-not-rows for anything else, columns-unequal.
    """
    if isinstance(data, Mapping):
        return _dict_table(data)
    if isinstance(data, _LISTED):
        return _list_table(list(data))
    if isinstance(data, Iterator):
        raise _not_rows(type(data).__name__, "om.map(list(rows), …)")  # which may have no end
    if isinstance(data, (set, frozenset)):
        raise _not_rows(type(data).__name__, "om.map(sorted(rows), …)")
    if hasattr(data, "to_flat_index"):  # an Index of pandas
        named = data.rename(ITEM) if data.nlevels == 1 and data.name is None else data
        return _frame_table(named.to_frame(index=False))
    is_array = hasattr(data, "tolist") and getattr(data, "ndim", 0) == 1 and not hasattr(data, "iloc")
    if is_array and type(data).__module__.partition(".")[0] in ("numpy", "pandas"):
        return _list_table(_array_values(data))
    return _frame_table(data)


def _dict_table(data: Mapping[Any, Any]) -> Table:
    read = {name: _values(name, column) for name, column in data.items()}
    lengths = {name: len(values) for name, values in read.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise RowsProblem("columns-unequal", lengths=shown)

    def join(rows: Sequence[int] | None, added: Mapping[str, Column]) -> dict[Any, list[Any]]:
        kept = read if rows is None else {name: [values[row] for row in rows] for name, values in read.items()}
        return {name: list(values) for name, values in kept.items()} | {name: list(one.values) for name, one in added.items()}

    columns, doubled = _by_text(list(read), list(read.values()).__getitem__)
    return Table(columns, max(lengths.values(), default=0), join, doubled)


def _by_text(names: Sequence[Any], read: Callable[[int], Sequence[Any]]) -> tuple[dict[str, Sequence[Any]], set[str]]:
    """Return the columns by the text of their names, and the texts that several names have, such as 1 and "1"."""
    texts = list(map(str, names))
    counts = Counter(texts)
    columns = {text: read(place) for place, text in enumerate(texts) if counts[text] == 1}
    return columns, {text for text, count in counts.items() if count > 1}


def _array_values(array: Any) -> Any:
    """Return the values of a NumPy array, of which dates of less than a microsecond stay what they are: else they were counts."""
    return list(array) if array.dtype.kind in "mM" and array.ndim else array.tolist()


def _values(name: Any, column: Any) -> Sequence[Any]:
    to_list = next((getattr(column, method) for method in ("to_pylist", "to_list") if hasattr(column, method)), None)
    found = to_list() if to_list else _array_values(column) if hasattr(column, "tolist") else column
    if not isinstance(found, _LISTED):
        instead = "list(column)" if isinstance(found, Iterator) else '["first", "second"]'
        raise _not_rows(Phrase("column_of_kind", name=name, kind=type(column).__name__), f"om.map({{'text': {instead}}}, …)")
    return found if isinstance(found, (list, tuple, range)) else list(found)


def _list_table(items: list[Any]) -> Table:
    are_records = bool(items) and all(isinstance(item, Mapping) and all(isinstance(key, str) for key in item) for item in items)
    records: list[Mapping[str, Any]] = items if are_records else [{ITEM: item} for item in items]
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [record.get(name) for record in records] for name in names}

    def join(rows: Sequence[int] | None, added: Mapping[str, Column]) -> list[dict[str, Any]]:
        kept = records if rows is None else [records[row] for row in rows]
        return [
            {**record, **{name: column.values[position] for name, column in added.items()}}
            for position, record in enumerate(kept)
        ]

    return Table(columns, len(items), join)


def _frame_table(data: Any) -> Table:
    import narwhals.stable.v2 as nw  # noqa: PLC0415 - 70 ms, which only data of a library pays

    arrow = sys.modules.get("pyarrow")
    if arrow and isinstance(data, arrow.RecordBatch):
        data = arrow.Table.from_batches([data])
    elif arrow and isinstance(data, arrow.Array):
        data = arrow.chunked_array([data])
    if nw.dependencies.is_pandas_like_dataframe(data):
        return _pandas_table(data, nw)  # of which narwhals takes no names twice
    if arrow and isinstance(data, arrow.Table):
        return _arrow_table(data, nw)
    try:
        found: Any = nw.from_native(data, allow_series=True)
    except TypeError:
        raise _not_rows(type(data).__name__, 'om.map(["first", "second"], "… {{item}}")') from None
    if isinstance(found, nw.LazyFrame):
        raise _not_rows(Phrase("lazy_kind", kind=type(data).__name__), "om.map(frame.collect(), …)")
    if isinstance(found, nw.Series):
        name = found.name if isinstance(found.name, str) and found.name else ITEM
        return _frame_table(found.alias(name).to_frame().to_native())

    def join(rows: Sequence[int] | None, added: Mapping[str, Column]) -> Any:
        kept = found if rows is None else found[list(rows)]
        return kept.with_columns(*(_series(name, one, found.implementation, nw) for name, one in added.items())).to_native()

    return Table({name: found.get_column(name).to_list() for name in found.columns}, len(found), join)


def _pandas_table(frame: Any, nw: Any) -> Table:
    library = nw.get_native_namespace(frame)
    levels = frame.columns.nlevels

    def read(place: int) -> list[Any]:
        values: list[Any] = nw.from_native(frame.iloc[:, place], series_only=True).to_list()
        return values

    def join(rows: Sequence[int] | None, added: Mapping[str, Column]) -> Any:
        kept = frame if rows is None else frame.iloc[list(rows)]
        more = library.DataFrame({name: _pandas_series(library, column, kept.index) for name, column in added.items()})
        if levels > 1:  # out["reply"] finds ("reply", "")
            names = [(name, *[""] * (levels - 1)) for name in more.columns]
            more.columns = library.MultiIndex.from_tuples(names, names=frame.columns.names)
        more.attrs = frame.attrs
        return library.concat([kept, more], axis=1)

    columns, doubled = _by_text(list(frame.columns), read)
    taken = {str(name[0]) for name in frame.columns} if levels > 1 else ()
    return Table(columns, len(frame), join, doubled, taken)


def _arrow_table(table: Any, nw: Any) -> Table:
    def join(rows: Sequence[int] | None, added: Mapping[str, Column]) -> Any:
        kept = table if rows is None else table.take(list(rows))
        for name, column in added.items():
            kept = kept.append_column(name, _series(name, column, nw.Implementation.PYARROW, nw).to_native())
        return kept

    columns, doubled = _by_text(table.column_names, lambda place: table.column(place).to_pylist())
    return Table(columns, len(table), join, doubled)


# Types with a value for "missing", so that the type of a column does not depend on whether a row has failed.
_PANDAS_TYPES: dict[type, str] = {int: "Int64", bool: "boolean", float: "float64"}


def _pandas_series(library: Any, column: Column, index: Any) -> Any:
    values = list(column.values)
    if column.kind is str and all(value is None or isinstance(value, str) for value in values):
        return library.Series(values, index=index, dtype=library.Series([""]).dtype)
    if column.kind in (str, dt.datetime, dt.date):  # in JSON bytes, Decimal, UUID and times are strings, too
        return library.Series(values, index=index)
    try:
        dtype = _PANDAS_TYPES.get(column.kind, "object") if isinstance(column.kind, type) else "object"
        return library.Series(values, index=index, dtype=dtype)
    except (OverflowError, TypeError, ValueError):  # a number of more than 64 bits
        return library.Series(values, index=index, dtype="object")


def _series(name: str, column: Column, implementation: Any, nw: Any) -> Any:
    """Return a column of polars or Arrow: of its type if all values fit, else of the library's nested types, objects or JSON."""
    values = list(column.values)
    is_plain = column.kind in (int, float, bool)
    for dtype in dict.fromkeys((_dtype(column.kind, nw), None)):
        with suppress(OverflowError, TypeError, ValueError):
            series = nw.new_series(name, values, dtype, backend=implementation)
            if is_plain or series.to_list() == values:  # polars drops what the first value has no place for
                return series
    if implementation.is_polars():
        return nw.new_series(name, values, nw.Object, backend=implementation)
    texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
    return nw.new_series(name, texts, nw.String, backend=implementation)


def _dtype(kind: Any, nw: Any) -> Any:
    """Return the type of a column of polars or Arrow, None where the values decide."""
    if isinstance(kind, list):
        inner = _dtype(kind[0], nw)
        return inner and nw.List(inner)
    if isinstance(kind, dict):
        fields = {name: _dtype(one, nw) for name, one in kind.items()}
        return nw.Struct(fields) if None not in fields.values() else None
    kinds = {str: nw.String, int: nw.Int64, float: nw.Float64, bool: nw.Boolean, dt.datetime: nw.Datetime(), dt.date: nw.Date}
    return kinds.get(kind)


def _not_rows(kind: str | Phrase, instead: str) -> RowsProblem:
    return RowsProblem("data-not-rows", kind=kind, instead=instead)
