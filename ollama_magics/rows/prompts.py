"""Make the request of each row: the template filled from its columns, and its pictures."""

from __future__ import annotations

import keyword
import re
from collections import ChainMap, Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ollama_magics.conversation import sounds
from ollama_magics.conversation.notes import Note, refuse_losses
from ollama_magics.conversation.pages import Pages
from ollama_magics.conversation.prompt import Prompt, read_rows
from ollama_magics.conversation.sounds import Sound
from ollama_magics.conversation.template import fill_template, names_in
from ollama_magics.errors import PictureProblem, PromptProblem, RowsProblem
from ollama_magics.messages import Phrase
from ollama_magics.rows.formats import Request
from ollama_magics.rows.table import Table

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture

_MOST_NOTES = 5
_MOST_NAMED = 20  # columns
Build = Callable[[str, "tuple[Picture | Sound, ...]"], Request]


@dataclass(frozen=True)
class ColumnPicture:
    """That each row brings a picture in this column: a path, bytes, an image, an array or a figure."""

    column: str


def abilities_for(pictures: Sequence[Picture | Sound | ColumnPicture], table: Table) -> set[str]:
    """Return what a model must be able to do for the pictures and sounds of the rows, of columns by their first row."""
    if not pictures:
        return set()
    from ollama_magics.conversation import image_sources  # noqa: PLC0415 - brings in Pillow, which text does not need

    first = table.row(0) if table.length else {}
    heard = (
        image_sources.is_sound(first.get(one.column)) if isinstance(one, ColumnPicture) else isinstance(one, Sound)
        for one in pictures
    )
    return set(map(sounds.ability, heard))


class RowPrompts:
    """Fills the template for each row of a table, and builds its request.

    ``{{column}}`` comes from the row, other names from ``names``. ``pictures`` are sent with each row. Raises RowsProblem:
    column-unknown for a name that is neither, or a picture of a column that is not there; rows-unused where no column is used.
    """

    def __init__(
        self,
        table: Table,
        prompt: Prompt,
        names: Mapping[str, Any],
        pictures: Sequence[Picture | Sound | ColumnPicture],
        build: Build,
    ) -> None:
        self._table, self._prompt, self._names = table, prompt, names
        self._rows, self._pictures, self._build = read_rows(prompt.rows), pictures, build
        self._template, self._aliases = _with_aliases(prompt.text, (*table.columns, *table.doubled))
        for picture in pictures:
            if isinstance(picture, ColumnPicture) and picture.column not in table.columns:
                raise self._unknown(picture.column, Phrase("none_near"))

        # filled once with marks, which tells the columns in use and where in the text they stand
        marks = {name: _Mark(f"\0{uuid4().hex}") for name in (*table.columns, *table.doubled)}
        filled = self._filled_with_marks(marks)
        self.used = [name for name, mark in marks.items() if mark in filled]
        if doubled := [name for name in self.used if name in table.doubled]:
            raise RowsProblem("column-twice", name=doubled[0])
        if not table.columns:
            raise RowsProblem("columns-missing")
        if not self.used and not any(isinstance(picture, ColumnPicture) for picture in pictures):
            raise RowsProblem("rows-unused", columns=", ".join("{{" + name + "}}" for name in list(table.columns)[:_MOST_NAMED]))
        self._both = [name for name in names if name in self.used]
        system = () if prompt.is_verbatim else dict.fromkeys(name for _, name in names_in(prompt.system or ""))
        self._in_system = [name for name in system if name in table.columns and name in names]
        self._changed: dict[str, Phrase] = {}
        self._changed_rows: Counter[str] = Counter()
        self.text_behind = _behind(filled, [marks[name] for name in self.used])

    def _filled_with_marks(self, marks: Mapping[str, str]) -> str:
        try:
            return fill_template(self._template, _behind_columns(self._aliased(marks), self._names)).text
        except PromptProblem as error:
            if error.code != "name-unknown":
                raise
            raise self._unknown(error.facts["name"], error.facts["nearest"]) from None

    def _aliased(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        return {self._aliases.get(name, name): value for name, value in columns.items()}

    def _unknown(self, name: str, nearest: object) -> RowsProblem:
        if name in self._table.doubled:
            return RowsProblem("column-twice", name=name)
        if not self._table.columns:
            return RowsProblem("columns-missing")
        columns = ", ".join(list(self._table.columns)[:_MOST_NAMED])
        return RowsProblem("column-unknown", name=name, columns=columns, nearest=nearest)

    def request(self, row: int) -> Request:
        """Return the request of a row; raises the error of the row where a value is missing or cannot be sent."""
        values = self._table.row(row)
        for name in self.used:
            if is_missing(values[name]):
                raise RowsProblem("row-value-missing", name=name, value=repr(values[name])[:40])
        filled = fill_template(self._template, _behind_columns(self._aliased(values), self._names), self._rows)
        if not filled.text.strip():
            raise PromptProblem("prompt-empty")
        found = (
            _picture(values[picture.column], picture.column, self._prompt.pages)
            if isinstance(picture, ColumnPicture)
            else (picture,)
            for picture in self._pictures
        )
        pictures = tuple(picture for some in found for picture in some)
        notes = [*filled.notes, *(note for picture in pictures for note in picture.notes)]
        if self._prompt.strict:
            refuse_losses(notes)
        self._note(notes)
        return self._build(filled.text, pictures)

    def notes(self) -> Iterator[Note]:
        """Yield names that are a column and a variable, and what was changed or left out in how many rows."""
        yield from (Note(Phrase("rows_name_both", name="{{" + name + "}}"), loses=False) for name in self._both)
        for name in self._in_system:
            yield Note(Phrase("rows_system_variable", name="{{" + name + "}}"), loses=False)
        for words, count in self._changed_rows.most_common(_MOST_NOTES):
            yield Note(Phrase("rows_noted", count=count, note=self._changed[words]))

    def _note(self, notes: Iterable[Note]) -> None:
        phrases = {str(note.phrase): note.phrase for note in notes}
        self._changed |= phrases
        self._changed_rows.update(list(phrases))


def is_missing(value: Any) -> bool:
    """Return whether a value stands for a missing one: None, a NaN of any kind of number, NaT or NA."""
    kind = type(value).__name__
    if value is None or kind in ("NAType", "NaTType"):
        return True
    is_scalar = isinstance(value, Number) or kind in ("datetime64", "timedelta64")
    return is_scalar and bool(value != value)  # noqa: PLR0124 - only what is missing differs from itself


class _Mark(str):
    """Stands for the value of a column, its attributes and its parts."""

    __slots__ = ()

    def __getitem__(self, _: object) -> _Mark:
        return self

    def __getattr__(self, _: str) -> _Mark:
        return self


def _with_aliases(template: str, columns: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return the template with an identifier in place of each ``{{column}}`` whose name is none, such as ``review text``."""
    aliases: dict[str, str] = {}
    for number, name in enumerate(columns):
        place = re.compile(r"(?<!\\)\{\{\s*" + re.escape(name) + r"\s*\}\}")
        if (not name.isidentifier() or keyword.iskeyword(name)) and place.search(template):
            aliases[name] = f"column{number}of{uuid4().hex}"
            template = place.sub("{{" + aliases[name] + "}}", template)
    return template, aliases


def _behind_columns(columns: Mapping[str, Any], names: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the columns, and behind them the other names, which are not copied: they may be those of a whole notebook."""
    return ChainMap(columns, names)  # type: ignore[arg-type] # nothing is written into it


def _picture(value: Any, column: str, pages: Pages) -> Sequence[Picture | Sound]:
    from ollama_magics.conversation import image_sources  # noqa: PLC0415 - brings in Pillow, which text does not need

    if is_missing(value):
        raise RowsProblem("row-value-missing", name=column, value=repr(value)[:40])
    if isinstance(value, str):
        if "://" in value[:10]:
            raise PictureProblem("picture-is-url", source=value[:80])
        return image_sources.from_file(Path(value).expanduser(), pages)
    return image_sources.collect(value, name=column, pages=pages)


def _behind(filled: str, marks: Sequence[str]) -> str:
    """Return the fixed text that stands behind the first value of a row."""
    starts = [filled.index(mark) for mark in marks]
    rest = filled[min(starts) :] if starts else ""
    for mark in marks:
        rest = rest.replace(mark, "")
    return rest
