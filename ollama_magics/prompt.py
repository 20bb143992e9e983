"""A turn as the person typed it, and what of the settings goes with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollama_magics import settings
from ollama_magics.conversation import Place
from ollama_magics.settings import OllamaSettings

if TYPE_CHECKING:
    from ollama_magics.images import Picture

# Ollama's option: our setting, and how a value of it is read (plain calls may pass any)
_OPTIONS: dict[str, tuple[str, Callable[[object, str], Any]]] = {
    "num_ctx": ("context_length", settings.count),
    "num_predict": ("max_tokens", settings.most_tokens),
    "temperature": ("temperature", settings.temperature),
    "top_p": ("top_p", settings.top_p),
    "top_k": ("top_k", settings.top_k),
    "seed": ("seed", settings.whole),
    "stop": ("stop", settings.stops),
}
_THINKING: dict[str, bool] = {"off": False, "on": True}


@dataclass(frozen=True)
class Prompt:
    """A turn as the person typed it; what is None or empty comes from the settings.

    ``format`` is "json", a JSON schema or a type; ``tools`` are functions that the model may call, where ``confirm`` says yes.
    """

    text: str
    model: str = ""
    system: str | None = None
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
    local_only: bool = False
    format: Any = None
    tools: Any = ()
    confirm: Callable[[Any], bool] | None = None
    place: Place = field(default_factory=Place)
    new: bool = False
    once: bool = False

    def options(self, chosen: OllamaSettings) -> dict[str, Any]:
        """Return Ollama's options, without what the server decides; raises SettingError for a bad value."""
        options = {}
        for option, (name, read) in _OPTIONS.items():
            typed = getattr(self, name)
            value = getattr(chosen, name) if typed is None else read(typed, name)
            if value is not None and value != ():
                options[option] = value
        return options

    def beside(self, chosen: OllamaSettings) -> dict[str, Any]:
        """Return what stands beside the options in a request: ``think`` and ``keep_alive``, in forms that the server takes."""
        think = self.thinking(chosen)
        stay = settings.keep_alive(chosen.keep_alive if self.keep_alive is None else self.keep_alive, "keep_alive")
        asked = {"think": None if think == "auto" else _THINKING.get(think, think), "keep_alive": stay}
        return {name: value for name, value in asked.items() if value is not None}

    def thinking(self, chosen: OllamaSettings) -> str:
        """Return whether and how much the model shall think, as a word of the form; raises SettingError."""
        return str(settings.think(chosen.think if self.think is None else self.think, "think"))
