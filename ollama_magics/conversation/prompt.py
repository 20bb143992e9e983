"""A turn as the person typed it, and what of the settings goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_magics import messages
from ollama_magics.conversation.conversation import Conversation, Place
from ollama_magics.errors import SettingError
from ollama_magics.settings import form, runner_options, values
from ollama_magics.settings.form import OllamaSettings

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture

# our setting: how a value of it is read (plain calls may pass any)
_READERS: dict[str, Callable[[object, str], Any]] = {
    "context_length": values.count,
    "max_tokens": values.most_tokens,
    "temperature": values.temperature,
    "top_p": values.top_p,
    "top_k": values.top_k,
    "seed": values.whole,
    "stop": values.stops,
}
_MOST_ALTERNATIVES = 20  # for each token; a server refuses more
_THINKING: dict[str, bool] = {"off": False, "on": True}


@dataclass(frozen=True)
class Prompt:
    """A turn as the person typed it; what is None or empty comes from the settings.

    ``format`` is "json", a JSON schema or a type; ``tools`` are functions that the model may call, where ``confirm`` says yes.
    """

    text: str
    model: str = ""
    system: str | None = None
    is_verbatim: bool = False  # the system prompt came from a value, whose braces are not ours to fill
    images: tuple[Picture, ...] = ()
    context_length: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: Sequence[str] | str | None = None
    think: str | None = None
    keep_alive: float | str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)  # options of Ollama by their own names
    local_only: bool = False
    format: Any = None
    tools: Any = ()
    confirm: Callable[[Any], bool] | None = None
    place: Place = field(default_factory=Place)
    new: bool = False
    once: bool = False
    chat: str | Conversation = ""  # a conversation, or its name; empty: that of the notebook
    go_on: bool = False  # with the cut answer
    strict: bool = False
    generate: bool = False
    suffix: str = ""
    logprobs: int | None = None  # likely alternatives to tell for each token, 0 for none; None: no logprobs at all
    reuse: bool = False

    def options(self, chosen: OllamaSettings) -> dict[str, Any]:
        """Return Ollama's options, without what the server decides; raises SettingError for a bad value."""
        options = {}
        for option, name in runner_options.OF_THE_FORM.items():
            typed = self._typed(option, name)
            value = getattr(chosen, name) if typed is None else _READERS[name](typed, name)
            if value is not None and value != ():
                options[option] = value
        return options | runner_options.runner_options(self.extra)

    def _typed(self, option: str, name: str) -> Any:
        by_flag, by_name = getattr(self, name), self.extra.get(option)
        if by_flag is not None and by_name is not None:
            reason, example = messages.Phrase("typed_twice", option=option, flag=form.flag(name)), form.flag(name)
            raise SettingError("setting-invalid", value=repr(str(by_name)), setting=option, reason=reason, example=example)
        return by_name if by_flag is None else by_flag

    def beside(self, chosen: OllamaSettings) -> dict[str, Any]:
        """Return what stands beside the options in a request, in forms that the server takes; raises SettingError."""
        think = self.thinking(chosen)
        stay = values.keep_alive(chosen.keep_alive if self.keep_alive is None else self.keep_alive, "keep_alive")
        asked = {"think": None if think == "auto" else _THINKING.get(think, think), "keep_alive": stay}
        asked |= {"shift": False if self.strict else None, **self._logprobs()}
        return {name: value for name, value in asked.items() if value is not None}

    def _logprobs(self) -> dict[str, Any]:
        if self.logprobs is None:
            return {}
        alternatives = values.count(self.logprobs, "logprobs", least=0)
        if alternatives > _MOST_ALTERNATIVES:
            raise values.refused(alternatives, "logprobs", f"It must be at most {_MOST_ALTERNATIVES}.", "5")
        return {"logprobs": True, "top_logprobs": alternatives or None}

    def completes(self, chosen: OllamaSettings) -> bool:
        """Whether the prompt is a text to be completed, and no turn of a conversation."""
        return self.generate or bool(self.suffix) or chosen.model_type == "completion"

    def thinking(self, chosen: OllamaSettings) -> str:
        """Return whether and how much the model shall think, as a word of the form; raises SettingError."""
        return str(values.think(chosen.think if self.think is None else self.think, "think"))
