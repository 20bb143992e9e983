"""Build one frozen request from a prompt, the settings and the earlier turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ollama_magics.conversation import history_window, template, tools
from ollama_magics.conversation.conversation import Conversation, Turn
from ollama_magics.conversation.history_window import HistoryWindow, fitted, recall
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.replies import Replies
from ollama_magics.conversation.reply import Reply
from ollama_magics.conversation.reply_context import ReplyContext
from ollama_magics.conversation.schema import Schema, of
from ollama_magics.conversation.tools import Toolbox
from ollama_magics.errors import PromptProblem, SettingError, ToolProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.wire import ChatRequest, GenerateRequest, Message, ModelCard
from ollama_magics.session.answer_cache import CachedAnswer

if TYPE_CHECKING:
    from ollama_magics.session.session import Session

_LEVELS = ("low", "medium", "high", "max")
_ALWAYS = ("gptoss", "gpt-oss")  # architectures that know three levels, and think in any case
_NAMES_LEVELS = ("ThinkLevel", "reasoning_effort")  # in a template of Go or Jinja: this model tells levels apart
_NAMES_SWITCH = (".Think", "enable_thinking")


def asked(word: str, card: ModelCard, model: str) -> tuple[str, tuple[Phrase, ...]]:
    """Return the word of the form that the model understands instead, and what the person has to know of it.

    A server takes any level for any model that thinks, and says nothing where the model only knows on and off.
    """
    if (card.model_info or {}).get("general.architecture") in _ALWAYS:
        return _always(word, model)
    if word in _LEVELS and _only_switches(card):
        return "on", (Phrase("think_no_levels", model=model, level=word),)
    return word, ()


def _always(word: str, model: str) -> tuple[str, tuple[Phrase, ...]]:
    if word == "off":
        return "low", (Phrase("think_always", model=model),)
    if word == "max":
        return "high", (Phrase("think_max", model=model),)
    return word, ()


def _only_switches(card: ModelCard) -> bool:
    # a renderer inside the server shows nothing of what it knows
    if card.renderer or any(name in card.template for name in _NAMES_LEVELS):
        return False
    return any(name in card.template for name in _NAMES_SWITCH)


@dataclass(frozen=True)
class ResponseSpec:
    """The type of the answer and the functions that may be called, where there are any."""

    schema: Schema | None = None
    toolbox: Toolbox | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What the request says of them."""
        fields: dict[str, Any] = {"format": self.schema.sent} if self.schema else {}
        return fields | ({"tools": self.toolbox.sent} if self.toolbox else {})

    def fits(self, text: str, done_reason: str) -> bool:
        """Whether a whole answer is what was asked for, and not cut inside of an object."""
        return self.schema is None or (done_reason != "length" and self.schema.takes(text))


def response_spec(session: Session, prompt: Prompt) -> ResponseSpec:
    """Return what the prompt wants; raises FormatProblem, ToolProblem, PromptProblem or SettingError before anything is asked."""
    kind = None if prompt.format is None else of(prompt.format)
    offered = tools.offered(prompt.tools or ())
    _check_together(prompt, has_tools=bool(offered))
    if not offered:
        return ResponseSpec(kind)
    if prompt.completes(session.settings):
        raise ToolProblem("tools-need-chat")
    if session.settings.tools == "no":
        raise SettingError("ability-switched-off", setting="tools", what=Phrase("a_function"))
    return ResponseSpec(kind, Toolbox(offered, prompt.confirm))


def _check_together(prompt: Prompt, *, has_tools: bool) -> None:
    if prompt.go_on and (prompt.format is not None or has_tools):
        # a server begins an object, or its calls, anew: it cannot go on with half of one
        raise PromptProblem(
            "options-conflict", one="go_on", other="tools" if has_tools else "format", reason=Phrase("continue_text_only")
        )
    if prompt.reuse and has_tools:
        raise PromptProblem("options-conflict", one="reuse", other="tools", reason=Phrase("functions_run_anew"))


_CLOUD = "ollama.com"  # where models go whose name ends in "cloud", if their server does not say
_NOTHING = ResponseSpec()


def ask(session: Session, prompt: Prompt, values: Mapping[str, Any] | None) -> Reply:
    """Return the reply to a prompt, for which nothing but the model's card has been asked yet."""
    text = _filled(prompt.text, values)
    ahead = recall(_memory(session, prompt), prompt)
    if ahead.goes_on:
        prompt, text = _same(prompt, text, ahead.goes_on), ahead.goes_on.prompt.content
    if not text.strip():
        raise PromptProblem("prompt-empty")
    more = response_spec(session, prompt)
    session.installed.require_recent()
    model = _able(session, prompt)
    prompt, notes = _thoughtful(session, prompt, model, goes_on=ahead.goes_on is not None)
    frozen = request(session, prompt, model, text, values, ahead, more)
    here = _circumstances(session, prompt, frozen.options["num_ctx"], model, more)
    if isinstance(frozen, ChatRequest):
        ahead = fitted(ahead, frozen, here.context, strict=prompt.strict)
        frozen = history_window.without_oldest(frozen, ahead.left_out)
    typed = _typed_system(prompt, values)
    here = _remembering(here, ahead, ahead.system if typed is None else typed, notes)
    if not prompt.reuse:
        return Reply(frozen, session.client.chat, here)
    reused = CachedAnswer(session, session.client.chat, more.fits)
    return Reply(frozen, reused, replace(here, stored=lambda: reused.stored))


def ask_several(session: Session, prompt: Prompt, models: Sequence[str], values: Mapping[str, Any] | None) -> Replies:
    """Return the replies of several models to a prompt, for which nothing has been asked yet; none is remembered."""
    response_spec(session, prompt)  # what is wrong with it is not to be told by each model
    return Replies(models, lambda model: ask(session, replace(prompt, model=model, once=True), values), session.language)


def stay_here(session: Session, model: str, *, local_only: bool) -> None:
    """Raise SettingError where a prompt for the model would leave this machine and may not."""
    if not (local_only or session.settings.local_only == "yes"):
        return
    if host := _remote_host(session, model, session.installed.card(model)):
        raise SettingError("local-only", what=host)


def request(  # noqa: PLR0913, PLR0917 - all that meets in a request
    session: Session,
    prompt: Prompt,
    model: str,
    text: str,
    values: Mapping[str, Any] | None,
    ahead: HistoryWindow | None = None,
    more: ResponseSpec = _NOTHING,
) -> Any:
    """Return the frozen request in which settings, options of the cell and earlier turns meet."""
    chosen, ahead = session.settings, ahead or HistoryWindow()
    pictures = tuple(picture.base64 for picture in prompt.images)
    typed = _typed_system(prompt, values)
    system = next(text for text in (typed, ahead.system, chosen.system) if text is not None)
    options, beside = prompt.options(chosen), prompt.beside(chosen) | more.fields
    if prompt.completes(chosen):
        beside |= {"suffix": prompt.suffix} if prompt.suffix else {}
        return GenerateRequest(model=model, prompt=text, system=system, images=pictures, options=options, **beside)
    first = (Message("system", system),) if system else ()
    return ChatRequest(model=model, messages=(*first, *ahead.messages(text, pictures)), options=options, **beside)


def _memory(session: Session, prompt: Prompt) -> Conversation | None:
    if prompt.once or prompt.completes(session.settings):
        return None
    if isinstance(prompt.chat, Conversation):
        return prompt.chat
    return session.conversations.setdefault(prompt.chat.strip(), Conversation())


def _same(prompt: Prompt, text: str, turn: Turn) -> Prompt:
    """Return the prompt for going on with a turn: its model, unless another is named, and its own pictures."""
    if text.strip() and text.strip() != turn.prompt.content.strip():
        raise PromptProblem("continue-with-prompt")
    return replace(prompt, model=prompt.model or turn.model, images=())


def _filled(text: str, values: Mapping[str, Any] | None) -> str:
    return text if values is None else template.fill_template(text, values)


def _typed_system(prompt: Prompt, values: Mapping[str, Any] | None) -> str | None:
    return prompt.system if prompt.system is None or prompt.is_verbatim else _filled(prompt.system, values)


def _thoughtful(session: Session, prompt: Prompt, model: str, *, goes_on: bool) -> tuple[Prompt, tuple[Phrase, ...]]:
    card = session.installed.card(model)
    word = prompt.thinking(session.settings)
    if goes_on and word == "auto" and card.can("thinking"):
        word = "off"  # it has thought already
    word, notes = asked(word, card, model)
    return replace(prompt, think=word), notes


def _able(session: Session, prompt: Prompt) -> str:
    chosen = session.settings
    model = prompt.model or chosen.model
    ability = "vision" if prompt.images else "tools" if prompt.tools and not model else "completion"
    if prompt.images and model and chosen.vision == "yes":
        ability = "completion"
    elif prompt.images and chosen.vision == "no":
        raise SettingError("ability-switched-off", setting="vision", what=Phrase("a_picture"))
    model = session.installed.choose(model, ability)
    if prompt.thinking(chosen) not in ("auto", "off"):
        session.installed.choose(model, "thinking")
    if prompt.suffix:
        session.installed.choose(model, "insert")
    if prompt.tools and chosen.tools != "yes":
        session.installed.choose(model, "tools")
    stay_here(session, model, local_only=prompt.local_only)
    return model


def _circumstances(session: Session, prompt: Prompt, asked: int, model: str, more: ResponseSpec) -> ReplyContext:
    card = session.installed.card(model)
    return ReplyContext(
        new=prompt.new,
        images=prompt.images,
        context=min(asked, card.context_length or asked),
        asked_context=asked,
        remote_host=_remote_host(session, model, card),
        language=session.language,
        digest=session.installed.digest(model),
        server_version=session.installed.server_version,
        strict=prompt.strict,
        schema=more.schema,
        toolbox=more.toolbox,
    )


def _remembering(here: ReplyContext, ahead: HistoryWindow, system: str | None, notes: tuple[Phrase, ...]) -> ReplyContext:
    return replace(
        here,
        conversation=ahead.conversation,
        place=ahead.place,
        ahead=ahead.sizes,
        before=ahead.before,
        left_out=ahead.left_out,
        goes_on=ahead.goes_on,
        system=system,
        notes=notes,
    )


def _remote_host(session: Session, model: str, card: ModelCard) -> str:
    here = session.address
    if card.remote_host:
        return urlsplit(card.remote_host).hostname or card.remote_host
    if session.installed.is_elsewhere(model):
        return _CLOUD
    return "" if here.is_loopback else here.host
