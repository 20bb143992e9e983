"""Read the options of %%ollama --each and om.map that are not those of a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase
from ollama_magics.settings import values

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture
    from ollama_magics.conversation.sounds import Sound
    from ollama_magics.rows.prompts import ColumnPicture

_MOST_PARALLEL = 64


@dataclass(frozen=True)
class RowOptions:
    """The options of one job besides those of its prompt."""

    pictures: Sequence[Picture | Sound | ColumnPicture] = ()
    labels: Any = None  # a list, a dict with descriptions, an Enum or a comma-separated text; None: no labels are chosen
    abstain: object = None  # the probability below which a label is left open
    examples: Sequence[tuple[str, Any]] = ()  # prompts with their labels
    parallel: int | None = None  # requests in flight for each server; None: found by measuring
    sample: int | None = None  # rows that are asked, drawn by a fixed seed; None: all
    servers: Sequence[str] = ()
    store: bool = True
    reuse: bool = False
    is_part: bool = False  # of a larger job, which says when the rows are finished


def read_row_options(
    *, parallel: object = None, sample: object = None, base_url: str | Iterable[str] = "", **others: Any
) -> RowOptions:
    """Return the checked options; ``others`` are fields of RowOptions. Raises SettingError (setting-invalid)."""
    in_flight = None if parallel is None else row_count(parallel, "parallel", 2)
    if in_flight and in_flight > _MOST_PARALLEL:
        raise _invalid(parallel, "parallel", Phrase("need_most", most=_MOST_PARALLEL), 2)
    return RowOptions(
        parallel=in_flight,
        sample=None if sample is None else row_count(sample, "sample", 20),
        servers=values.addresses(base_url),
        **others,
    )


def row_count(given: object, setting: str, example: int, *, least: int = 1) -> int:
    """Return a number of rows, requests or examples, also from its text; raises SettingError (setting-invalid)."""
    try:
        return values.count(given, setting, least=least)
    except SettingError:
        raise _invalid(given, setting, Phrase("need_whole_least", least=least), example) from None


def _invalid(given: object, setting: str, reason: Phrase, example: int) -> SettingError:
    shown = f"--{setting} {example}   ·   {setting}={example}"
    return SettingError("setting-invalid", value=repr(str(given)[:60]), setting=setting, reason=reason, example=shown)
