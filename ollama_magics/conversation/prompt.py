"""A prompt as it was typed: what it and the settings put into a request, and how ``{{name}}`` is filled."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_magics.conversation.conversation import Conversation, Place
from ollama_magics.errors import PromptProblem, SettingError
from ollama_magics.messages import Phrase
from ollama_magics.settings import form, values
from ollama_magics.settings.cell_options import runner_options
from ollama_magics.settings.form import OllamaSettings

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture

_MOST_ALTERNATIVES = 20  # for each token; a server refuses more


@dataclass(frozen=True)
class Prompt:
    """A turn as it was typed; what is None or empty comes from the settings."""

    text: str
    model: str = ""
    system: str | None = None
    is_verbatim: bool = False  # the system prompt came from a value, in which braces are not replaced
    images: tuple[Picture, ...] = ()
    # settings for this prompt alone, by name: those of form.request_places()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)  # options of Ollama by Ollama's names
    local_only: bool = False
    format: Any = None  # "json", a JSON schema or a type
    tools: Any = ()  # functions that the model may call if confirm returns true
    confirm: Callable[[Any], bool] | None = None
    place: Place = field(default_factory=Place)
    new: bool = False
    once: bool = False
    chat: str | Conversation = ""  # a conversation, or its name; empty: that of the notebook
    go_on: bool = False  # with the cut answer
    strict: bool = False
    generate: bool = False
    suffix: str = ""
    logprobs: int | None = None  # number of alternatives for each token; None: no log probabilities at all
    reuse: bool = False

    def __post_init__(self) -> None:
        if unknown := set(self.overrides) - set(form.request_places()):
            raise TypeError(f"a prompt does not override {', '.join(sorted(unknown))}")

    def options(self, chosen: OllamaSettings) -> dict[str, Any]:
        """Return Ollama's options, without those left to the server; raises SettingError for a bad value."""
        sent = {option: self._encoded(name, chosen) for option, name in form.ollama_options().items()}
        sent = {option: value for option, value in sent.items() if value is not None and value != ()}
        return sent | runner_options(self.extra)

    def other_fields(self, chosen: OllamaSettings) -> dict[str, Any]:
        """Return the fields beside the options in a request, such as ``think``; raises SettingError for a bad value."""
        places = form.request_places().items()
        sent = {wire: self._encoded(name, chosen) for name, wire in places if not wire.startswith("options.")}
        sent["shift"] = False if self.strict else None
        if self.logprobs is not None:
            sent |= {"logprobs": True, "top_logprobs": _read_alternatives(self.logprobs) or None}
        return {name: value for name, value in sent.items() if value is not None}

    def value(self, name: str, chosen: OllamaSettings) -> Any:
        """Return a setting as it holds for this prompt; raises SettingError for a bad value, and for one given twice."""
        wire = form.SETTINGS[name].wire
        option = wire.removeprefix("options.")
        by_flag, by_name = self.overrides.get(name), None if option == wire else self.extra.get(option)
        if by_flag is not None and by_name is not None:
            reason, example = Phrase("typed_twice", option=option, flag=form.flag(name)), form.flag(name)
            raise SettingError("setting-invalid", value=repr(str(by_name)), setting=option, reason=reason, example=example)
        typed = by_name if by_flag is None else by_flag
        return getattr(chosen, name) if typed is None else form.SETTINGS[name].read(typed, name)

    def _encoded(self, name: str, chosen: OllamaSettings) -> Any:
        return form.SETTINGS[name].encode(self.value(name, chosen))

    def completes(self, chosen: OllamaSettings) -> bool:
        """Return whether the prompt is a text to be completed, and no turn of a conversation."""
        return self.generate or bool(self.suffix) or chosen.model_type == "completion"


def _read_alternatives(given: object) -> int:
    """Return the number of alternatives for each token; raises SettingError."""
    with suppress(SettingError):
        if (alternatives := values.count(given, "logprobs", least=0)) <= _MOST_ALTERNATIVES:
            return alternatives
    reason = Phrase("need_between", least=0, most=_MOST_ALTERNATIVES)  # no setting: %ollama_config has no such option
    raise SettingError("setting-invalid", value=repr(str(given)[:60]), setting="logprobs", reason=reason, example="--logprobs=5")


_MAX_LENGTH = 4000  # characters of one value that is not a text
_MAX_ROWS, _MAX_COLUMNS = 20, 30
_MAX_NUMBERS = 1000  # of an array; NumPy writes out as many
_MAX_CELL = 200  # characters

# \{{name}} | {{ name }}, where the name is a Python identifier in any script
_PLACEHOLDER = re.compile(r"(?P<escaped>\\)?\{\{\s*(?P<name>[^\W\d]\w*)\s*\}\}")


def fill_template(template: str, values: Mapping[str, Any]) -> str:
    r"""Return the template with every ``{{name}}`` replaced in one pass; ``\{{name}}`` stays. Raises PromptProblem."""

    def replace(place: re.Match[str]) -> str:
        if place["escaped"]:
            return place[0].removeprefix("\\")
        name = place["name"]
        if name not in values:
            near = difflib.get_close_matches(name, [key for key in values if not key.startswith("_")], n=1)
            nearest = Phrase("nearest_name", near=near[0]) if near else Phrase("none_near")
            raise PromptProblem("name-unknown", name=name, nearest=nearest)
        value = values[name]
        is_image = all(hasattr(value, method) for method in ("getpixel", "mode", "thumbnail"))
        if not isinstance(value, type) and (is_image or callable(getattr(value, "savefig", None))):
            raise PromptProblem("value-is-picture", name=name, kind=type(value).__name__)
        try:
            return as_text(value)
        except Exception as error:  # noqa: BLE001 - the code of a value may raise anything
            kind, said = type(value).__name__, f"{type(error).__name__}: {error}"[:200]
            raise PromptProblem("value-unprintable", name=name, kind=kind, said=said) from None

    return _PLACEHOLDER.sub(replace, template)


def as_text(value: Any) -> str:
    """Return a text as it is, a table or array as a Markdown table, and anything else as Python prints it, cut if it is long."""
    # The kinds are known by their methods. narwhals would read more libraries, but drop the index of pandas.
    if isinstance(value, str):
        return value
    if hasattr(value, "shape") and hasattr(value, "head"):
        return _frame_text(value) if len(value.shape) > 1 else _series_text(value)
    if hasattr(value, "dtype") and getattr(value, "shape", None):  # NumPy's single numbers have an empty shape
        return _array_text(value)
    return _cut(repr(value) if isinstance(value, (list, tuple, dict, set)) else str(value))


def _frame_text(frame: Any) -> str:
    names = [str(name) for name in frame.columns]
    types = [f"{name} {kind}" for name, kind in list(zip(names, frame.dtypes, strict=False))[:_MAX_COLUMNS]]
    cuts = [*_left_out(frame.shape[0], _MAX_ROWS, "rows"), *_left_out(len(names), _MAX_COLUMNS, "columns")]
    heading = _heading(type(frame).__name__, f"{frame.shape[0]} rows × {len(names)} columns", *types, *cuts)
    first = frame.head(_MAX_ROWS)
    if hasattr(first, "itertuples"):  # pandas, whose index belongs to what the user sees
        return heading + _table(["", *names], first.itertuples(name=None), _MAX_COLUMNS + 1)
    return heading + (_table(names, first.rows(), _MAX_COLUMNS) if hasattr(first, "rows") else _cut(str(first)))


def _series_text(series: Any) -> str:
    count = series.shape[0]
    heading = _heading(type(series).__name__, f"{count} values", str(series.dtype), *_left_out(count, _MAX_ROWS, "values"))
    first, name = series.head(_MAX_ROWS), str(series.name or "value")
    if hasattr(first, "items"):
        return heading + _table(["", name], first.items(), 2)
    return heading + _table([name], ((value,) for value in first), 1)


def _array_text(array: Any) -> str:
    shape, kind = " × ".join(map(str, array.shape)), str(array.dtype)
    if len(array.shape) == 2:
        rows, columns = array.shape
        cuts = [*_left_out(rows, _MAX_ROWS, "rows"), *_left_out(columns, _MAX_COLUMNS, "columns")]
        first = array[:_MAX_ROWS, :_MAX_COLUMNS].tolist()
        return _heading("array", shape, kind, *cuts) + _table(list(range(columns)), first, _MAX_COLUMNS)
    if len(array.shape) == 1:
        return _heading("array", shape, kind, *_left_out(array.size, _MAX_NUMBERS, "values")) + _cut(str(array[:_MAX_NUMBERS]))
    cuts = ["the middle left out as ..."] if array.size > _MAX_NUMBERS else []
    return _heading("array", shape, kind, *cuts) + _cut(str(array))


def _heading(kind: str, shape: str, *facts: str) -> str:
    return f"{kind} of {shape} ({', '.join(facts)}):\n"


def _left_out(count: Any, shown: int, what: str) -> list[str]:
    # a lazy frame may not know its length
    return [f"first {shown} {what}"] if not isinstance(count, int) or count > shown else []


def _table(names: Sequence[object], rows: Iterable[Sequence[Any]], columns: int) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return _cut("\n".join("| " + " | ".join(_cell(value) for value in list(line)[:columns]) + " |" for line in lines))


def _cell(value: Any) -> str:
    # 15 digits: a double surely holds them, and fewer could be another number than the user sees
    text = " ".join((f"{value:.15g}" if isinstance(value, float) else str(value)).split())
    text = text if len(text) <= _MAX_CELL else f"{text[:_MAX_CELL]}…"
    return text.replace("|", "\\|")


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}\n(cut: {_MAX_LENGTH} of {len(text)} characters)"
