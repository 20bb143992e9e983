"""A prompt as it was typed, and what it and the settings put into a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.pages import Pages
from ollama_magics.conversation.prompt_file import PromptFile
from ollama_magics.conversation.turns import Place
from ollama_magics.conversation.value_text import ALL
from ollama_magics.errors import SettingError
from ollama_magics.jobs.event_loop import Awaits
from ollama_magics.messages import Phrase
from ollama_magics.settings import form, values
from ollama_magics.settings.cell_options import runner_options, typed_in_call
from ollama_magics.settings.form import OllamaSettings

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture
    from ollama_magics.conversation.sounds import Sound

_MOST_ALTERNATIVES = 20  # for each token; a server refuses more


class Prompt(Struct, frozen=True):
    """A turn as it was typed; what is None or empty comes from the settings."""

    text: str
    model: str = ""
    system: str | None = None
    is_verbatim: bool = False  # the system prompt came from a value, in which braces are not replaced
    images: tuple[Picture | Sound, ...] = ()
    pages: Pages = field(default_factory=Pages)  # of the documents that rows bring
    # settings for this prompt alone, by name: those of form.request_places()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)  # options of Ollama by Ollama's names
    local_only: bool = False
    format: Any = None  # "json", a JSON schema or a type
    tools: Any = ()  # functions that the model may call if confirm returns true, or "all"
    confirm: Callable[[Any], Any] | None = None
    awaits: Awaits | None = None  # how asynchronous functions are run; None: in the event loop of the session
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
    files: tuple[PromptFile, ...] = ()  # that the prompt and the system prompt were read from
    rows: int | str | None = None  # of a table, and items of a list, that {{name}} sends; "all", or None: 20
    in_python: bool = False  # not from a magic
    notes: tuple[Note, ...] = ()  # on what was given for it

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
        if typed is None:
            return getattr(chosen, name)
        with typed_in_call():
            return form.SETTINGS[name].read(typed, name)

    def _encoded(self, name: str, chosen: OllamaSettings) -> Any:
        return form.SETTINGS[name].encode(self.value(name, chosen))

    def completes(self, chosen: OllamaSettings) -> bool:
        """Return whether the prompt is a text to be completed, and no turn of a conversation."""
        return self.generate or bool(self.suffix) or chosen.model_type == "completion"


def read_rows(given: int | str | None) -> int | None:
    """Return the number of rows and items that a value sends, None for the usual ones; raises SettingError."""
    if given is None or (isinstance(given, str) and given.strip().lower() == "all"):
        return ALL if given else None
    try:
        return values.count(given, "rows")
    except SettingError:
        reason = Phrase("need_rows")
        raise SettingError(
            "setting-invalid", value=repr(str(given)[:60]), setting="rows", reason=reason, example="--rows 100"
        ) from None


def _read_alternatives(given: object) -> int:
    """Return the number of alternatives for each token; raises SettingError."""
    with suppress(SettingError):
        if (alternatives := values.count(given, "logprobs", least=0)) <= _MOST_ALTERNATIVES:
            return alternatives
    reason = Phrase("need_between", least=0, most=_MOST_ALTERNATIVES)  # no setting: %ollama_config has no such option
    raise SettingError("setting-invalid", value=repr(str(given)[:60]), setting="logprobs", reason=reason, example="--logprobs=5")
