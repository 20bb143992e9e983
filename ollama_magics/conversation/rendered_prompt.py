"""Ask a server what text it would give to the model for a prompt, without asking the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec

from ollama_magics import messages
from ollama_magics.conversation.history_window import Sender
from ollama_magics.conversation.turns import message_dict
from ollama_magics.render.answer import Output, answer_html, footer_html
from ollama_magics.render.cleaning import normalise, plain
from ollama_magics.render.code import code_html
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest

_FIRST_TOKEN = {"num_predict": 1}  # a server that does not know the option answers


@dataclass(frozen=True)
class RenderedPrompt:
    """The text that the server would give to the model for a prompt; ``str()`` of it is that text.

    It is made by the template of the model, with ``[img-0]`` where a picture stands. Where the server does not tell it,
    ``is_rendered`` is false and ``text`` holds the messages as JSON. ``notes`` are what was left out or changed before.
    """

    text: str
    model: str
    is_rendered: bool
    notes: Sequence[str] = ()
    language: str = "en"

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return "\n".join([plain(self.text).rstrip("\n"), *self.notes, self._facts()])

    def _facts(self) -> str:
        key = "prompt_rendered" if self.is_rendered else "prompt_not_rendered"
        count = messages.group_digits(len(self.text))
        parts = (messages.strip_controls(self.model), messages.phrase("characters", self.language, count=count))
        return " · ".join((*parts, messages.phrase(key, self.language)))

    def _repr_mimebundle_(self, **_: object) -> Output:
        page = code_html(normalise(self.text), "" if self.is_rendered else "json")
        return {"text/html": answer_html(page, footer_html([self._facts()], self.notes)), "text/plain": repr(self)}, {}


def render_prompt(sender: Sender, *, asks: bool, notes: Sequence[str], language: str) -> RenderedPrompt:
    """Return the prompt of a request as the server renders it; unless it ``asks``, nothing is sent."""
    request = sender.request
    text = _rendered(sender) if asks else None
    if text is None:
        text = json.dumps(_as_sent(request), ensure_ascii=False, indent=2)
        return RenderedPrompt(text, request.model, is_rendered=False, notes=notes, language=language)
    return RenderedPrompt(text, request.model, is_rendered=True, notes=notes, language=language)


def _rendered(sender: Sender) -> str | None:
    """Return the text, or None where the answer holds none."""
    request = sender.request
    options = {**request.options, **_FIRST_TOKEN}
    asked = msgspec.structs.replace(request, stream=False, debug_render_only=True, options=options)
    with closing(msgspec.structs.replace(sender, request=asked)(())) as chunks:  # type: ignore[type-var] # it is a generator
        info = next(chunks, Chunk()).debug_info
    text = info.get("rendered_template") if isinstance(info, dict) else None
    return text if isinstance(text, str) else None


def _as_sent(request: ChatRequest | GenerateRequest) -> Any:
    if isinstance(request, ChatRequest):
        return [message_dict(message) for message in request.messages]
    fields = {"system": request.system, "prompt": request.prompt, "suffix": request.suffix}
    return {name: value for name, value in fields.items() if value}  # UNSET is false
