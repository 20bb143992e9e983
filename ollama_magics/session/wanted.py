"""What a prompt wants besides an answer in words: a value of a type, and functions that the model may call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_magics import schema, tools
from ollama_magics.errors import SettingError, ToolProblem
from ollama_magics.prompt import Prompt

if TYPE_CHECKING:
    from ollama_magics.session.notebook import Session


@dataclass(frozen=True)
class Wanted:
    """The type of the answer and the functions that may be called, where there are any."""

    schema: schema.Schema | None = None
    toolbox: tools.Toolbox | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What the request says of them."""
        fields: dict[str, Any] = {"format": self.schema.sent} if self.schema else {}
        return fields | ({"tools": self.toolbox.sent} if self.toolbox else {})


def wanted(session: Session, prompt: Prompt) -> Wanted:
    """Return what the prompt wants; raises FormatProblem, ToolProblem or SettingError, before anything is asked."""
    kind = None if prompt.format is None else schema.of(prompt.format)
    offered = tools.offered(prompt.tools or ())
    if not offered:
        return Wanted(kind)
    if session.settings.model_type == "completion":
        raise ToolProblem("OM-K05")
    if session.settings.tools == "no":
        reason, example = "The form says that it calls none (tools: no).", "%ollama_config --tools auto"
        raise SettingError("OM-S01", value="a function", setting="this model", reason=reason, example=example)
    return Wanted(kind, tools.Toolbox(offered, prompt.confirm))
