"""Read the rows of data frames, columns, lists and dicts, and put the columns of a result beside them."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from ollama_magics.errors import RowsProblem
from ollama_magics.messages import Phrase

ITEM = "item"  # the name of the values of a list
_TAKEN = "_reply"  # is put behind the name of a column that is there already


@dataclass(frozen=True)
class Column:
    """A column of a result: its values in the order of the rows, None where there is none, and their type."""

    values: Sequence[Any]
    kind: type = object


_Join = Callable[[Sequence[int] | None, Mapping[str, Column]], Any]


@dataclass(frozen=True)
class Table:
    """The columns of the data by name; ``join`` returns the data, or some of its rows, with more columns beside them."""

    columns: Mapping[str, Sequence[Any]]
    length: int
    join: _Join

    def row(self, number: int) -> dict[str, Any]:
        """Return the values of a row by their names."""
        return {name: values[number] for name, values in self.columns.items()}

    def with_columns(self, added: Mapping[str, Column], rows: Sequence[int] | None = None) -> Any:
        """Return the data, or only these rows of it, with the columns; a name that is taken gets ``_reply`` behind it."""
        named: dict[str, Column] = {}
        for name, column in added.items():
            while name in self.columns or name in named:
                name += _TAKEN  # noqa: PLW2901 - until it is free
            named[name] = column
        return self.join(rows, named)


def table_of(data: Any) -> Table:
    """Return the rows of a data frame, Series, Arrow table or array, list, or dict of columns.

    Raises RowsProblem: data-not-rows for anything else, rows-missing for none, columns-unequal, column-twice.
    """
    table = read_table(data)
    if not table.length:
        raise RowsProblem("rows-missing", kind=type(data).__name__)
    return table


def read_table(data: Any) -> Table:
    """Return the rows of data, of which there may be none."""
    if isinstance(data, Mapping):
        return _dict_table(data)
    if isinstance(data, (list, tuple, range)):
        return _list_table(list(data))
    if hasattr(data, "tolist") and getattr(data, "ndim", 0) == 1 and type(data).__module__.partition(".")[0] == "numpy":
        return _list_table(_array_values(data))
    return _frame_table(data)


def _dict_table(data: Mapping[Any, Any]) -> Table:
    columns = {str(name): _values(name, column) for name, column in data.items()}
    if len(columns) < len(data):
        raise RowsProblem("column-twice", said=", ".join(map(repr, data))[:200])
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise RowsProblem("columns-unequal", lengths=shown)

    def join(rows: Sequence[int] | None, added: Mapping[str, Column]) -> dict[str, list[Any]]:
        kept = columns if rows is None else {name: [values[row] for row in rows] for name, values in columns.items()}
        return {name: list(values) for name, values in kept.items()} | {name: list(one.values) for name, one in added.items()}

    return Table(columns, max(lengths.values(), default=0), join)


def _array_values(array: Any) -> Any:
    """Return the values of a NumPy array, of which dates of less than a microsecond stay what they are: else they were counts."""
    return list(array) if array.dtype.kind in "mM" and array.ndim else array.tolist()


def _values(name: Any, column: Any) -> Sequence[Any]:
    to_list = next((getattr(column, method) for method in ("to_pylist", "to_list") if hasattr(column, method)), None)
    found = to_list() if to_list else _array_values(column) if hasattr(column, "tolist") else column
    if not isinstance(found, (list, tuple, range)):
        raise _not_rows(Phrase("column_of_kind", name=name, kind=type(column).__name__), '{{\'text\': ["first", "second"]}}')
    return found


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
    try:
        found: Any = nw.from_native(data, allow_series=True)
    except TypeError:
        raise _not_rows(type(data).__name__, 'om.map(["first", "second"], "… {{item}}")') from None
    except nw.exceptions.DuplicateError as error:
        raise RowsProblem("column-twice", said=" ".join(str(error).split())[:200]) from None
    if isinstance(found, nw.LazyFrame):
        raise _not_rows(Phrase("lazy_kind", kind=type(data).__name__), "om.map(frame.collect(), …)")
    if isinstance(found, nw.Series):
        name = found.name if isinstance(found.name, str) and found.name else ITEM
        found = found.alias(name).to_frame()
    names = {str(name): name for name in found.columns if isinstance(name, (str, int))}

    def join(rows: Sequence[int] | None, added: Mapping[str, Column]) -> Any:
        kept = found if rows is None else found[list(rows)]
        return _joined(kept, added, nw)

    return Table({text: found.get_column(name).to_list() for text, name in names.items()}, len(found), join)


def _joined(frame: Any, added: Mapping[str, Column], nw: Any) -> Any:
    if frame.implementation.is_pandas_like():
        native = frame.to_native()
        library = frame.implementation.to_native_namespace()
        more = library.DataFrame({name: _pandas_series(library, column, native.index) for name, column in added.items()})
        more.attrs = native.attrs
        return library.concat([native, more], axis=1)
    series = [_series(name, column, frame.implementation, nw) for name, column in added.items()]
    return frame.with_columns(*series).to_native()


# Types with a value for "missing", so that the type of a column does not depend on whether a row has failed.
_PANDAS_TYPES: dict[type, str] = {int: "Int64", bool: "boolean", float: "float64"}


def _pandas_series(library: Any, column: Column, index: Any) -> Any:
    values = list(column.values)
    if column.kind is str:
        return library.Series(values, index=index, dtype=library.Series([""]).dtype)
    if column.kind in (dt.datetime, dt.date):
        return library.Series(values, index=index)
    try:
        return library.Series(values, index=index, dtype=_PANDAS_TYPES.get(column.kind, "object"))
    except (OverflowError, TypeError, ValueError):  # a number of more than 64 bits
        return library.Series(values, index=index, dtype="object")


def _series(name: str, column: Column, implementation: Any, nw: Any) -> Any:
    """Return a column of polars or Arrow: of its type if all values fit, else of the library's nested types, objects or JSON."""
    kinds = {str: nw.String, int: nw.Int64, float: nw.Float64, bool: nw.Boolean}
    values = list(column.values)
    is_plain = column.kind in kinds
    for dtype in (kinds[column.kind], None) if is_plain else (None,):
        with suppress(OverflowError, TypeError, ValueError):
            series = nw.new_series(name, values, dtype, backend=implementation)
            if is_plain or series.to_list() == values:  # polars drops what the first value has no place for
                return series
    if implementation.is_polars():
        return nw.new_series(name, values, nw.Object, backend=implementation)
    texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
    return nw.new_series(name, texts, nw.String, backend=implementation)


def _not_rows(kind: str | Phrase, instead: str) -> RowsProblem:
    return RowsProblem("data-not-rows", kind=kind, instead=instead)
