"""What a prompt wants besides an answer in words: a value of a type, and functions that the model may call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.schema import kinds
from ollama_magics.conversation.tools import signatures
from ollama_magics.conversation.tools.toolbox import Toolbox
from ollama_magics.errors import PromptProblem, SettingError, ToolProblem
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    from ollama_magics.session.notebook import Session


@dataclass(frozen=True)
class Wanted:
    """The type of the answer and the functions that may be called, where there are any."""

    schema: kinds.Schema | None = None
    toolbox: Toolbox | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What the request says of them."""
        fields: dict[str, Any] = {"format": self.schema.sent} if self.schema else {}
        return fields | ({"tools": self.toolbox.sent} if self.toolbox else {})

    def fits(self, text: str, done_reason: str) -> bool:
        """Whether a whole answer is what was asked for, and not cut inside of an object."""
        return self.schema is None or (done_reason != "length" and self.schema.takes(text))


def wanted(session: Session, prompt: Prompt) -> Wanted:
    """Return what the prompt wants; raises FormatProblem, ToolProblem, PromptProblem or SettingError before anything is asked."""
    kind = None if prompt.format is None else kinds.of(prompt.format)
    offered = signatures.offered(prompt.tools or ())
    _check_together(prompt, has_tools=bool(offered))
    if not offered:
        return Wanted(kind)
    if prompt.completes(session.settings):
        raise ToolProblem("OM-K05")
    if session.settings.tools == "no":
        raise SettingError("OM-S15", setting="tools", what=Phrase("a_function"))
    return Wanted(kind, Toolbox(offered, prompt.confirm))


def _check_together(prompt: Prompt, *, has_tools: bool) -> None:
    if prompt.go_on and (prompt.format is not None or has_tools):
        # a server begins an object, or its calls, anew: it cannot go on with half of one
        raise PromptProblem("OM-T09", one="go_on", other="tools" if has_tools else "format", reason=Phrase("goes_on_in_words"))
    if prompt.reuse and has_tools:
        raise PromptProblem("OM-T09", one="reuse", other="tools", reason=Phrase("functions_run_anew"))
