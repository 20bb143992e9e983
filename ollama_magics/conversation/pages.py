"""Choose the pages of a document that go out as pictures."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from msgspec import Struct

from ollama_magics.conversation.notes import Note
from ollama_magics.errors import PictureProblem, SettingError
from ollama_magics.messages import Phrase
from ollama_magics.server.failures import quote

MOST_BY_DEFAULT, _MOST_CHOSEN = 20, 100  # pages of a document, each a picture
_RANGE = re.compile(r"\s*(\d{1,9})\s*(-\s*(\d{1,9})?)?\s*", re.ASCII)


class Pages(Struct, frozen=True):
    """Ranges of page numbers, from 1; the last one is None where a range has no end. Without ranges: the first pages."""

    ranges: tuple[tuple[int, int | None], ...] = ()

    def of(self, count: int, source: str) -> tuple[list[int], Note | None]:
        """Return the positions, from 0, of the pages of a document with so many, and what to report about the others.

        Raises PictureProblem (page-missing, pages-too-many).
        """
        if not self.ranges:
            cut = Note(Phrase("first_pages", most=MOST_BY_DEFAULT, count=count)) if count > MOST_BY_DEFAULT else None
            return list(range(min(count, MOST_BY_DEFAULT))), cut
        found: dict[int, None] = {}
        for first, end in self.ranges:
            last = max(first, count) if end is None else end
            if first > count or last > count:
                page = first if first > count else last
                raise PictureProblem("page-missing", source=source, page=page, count=count)
            found |= dict.fromkeys(range(first - 1, min(last, first + _MOST_CHOSEN)))
        if len(found) > _MOST_CHOSEN:
            raise PictureProblem("pages-too-many", source=source, most=_MOST_CHOSEN)
        return list(found), None


def read_pages(given: Any) -> Pages:
    """Return the pages of a text such as ``1-3,5,9-``, a number, or numbers; None: the first ones. Raises SettingError."""
    if given is None:
        return Pages()
    ranges = tuple(_ranges(given))
    if not ranges or any(first < 1 or (end is not None and end < first) for first, end in ranges):
        raise _invalid(given)
    return Pages(ranges)


def refuse_without_document(pages: Any, pictures: Collection[Any]) -> None:
    """Raise PictureProblem (pages-without-document) where pages were chosen and no picture or document was given."""
    if pages is not None and not pictures:
        raise PictureProblem("pages-without-document", pages=quote(str(pages)))


def _ranges(given: Any) -> Iterator[tuple[int, int | None]]:
    if isinstance(given, str):
        for part in given.split(","):
            found = _RANGE.fullmatch(part)
            if found is None:
                raise _invalid(given)
            first = int(found[1])
            yield first, int(found[3]) if found[3] else None if found[2] else first
        return
    numbers = given if isinstance(given, Sequence) and not isinstance(given, bytes) and len(given) <= _MOST_CHOSEN else (given,)
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool):
            raise _invalid(given)
        yield number, number


def _invalid(given: Any) -> SettingError:
    example = "--pages 1-3"
    return SettingError("setting-invalid", value=repr(given)[:60], setting="pages", reason=Phrase("need_pages"), example=example)
