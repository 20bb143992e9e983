"""From a typed turn, the settings and the earlier turns to one frozen request and its reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ollama_magics import fill
from ollama_magics.errors import PromptProblem, SettingError
from ollama_magics.prompt import Prompt
from ollama_magics.reply import Circumstances, Reply
from ollama_magics.session.wanted import Wanted, wanted
from ollama_magics.wire import ChatRequest, GenerateRequest, Message, ModelCard

if TYPE_CHECKING:
    from ollama_magics.session.notebook import Session

_NOTHING = Wanted()


def ask(session: Session, prompt: Prompt, values: Mapping[str, Any] | None) -> Reply:
    """Return the reply to a prompt, for which nothing but the model's card has been asked yet."""
    text = prompt.text if values is None else fill.fill(prompt.text, values)
    if not text.strip():
        raise PromptProblem("OM-T01")
    more = wanted(session, prompt)
    session.installed.require_recent()
    model = _able(session, prompt)
    frozen = request(session, prompt, model, text, values, more=more)
    return Reply(frozen, session.client.chat, _circumstances(session, prompt, frozen.options["num_ctx"], model, more))


def stay_here(session: Session, model: str, *, local_only: bool) -> None:
    """Raise SettingError where a prompt for the model would leave this machine and may not."""
    if not (local_only or session.settings.local_only == "yes"):
        return
    if host := _remote_host(session, session.installed.card(model)):
        raise SettingError("OM-S13", what=host)


def request(  # noqa: PLR0913 - what meets in it
    session: Session, prompt: Prompt, model: str, text: str, values: Mapping[str, Any] | None, *, more: Wanted = _NOTHING
) -> Any:
    """Return the frozen request in which settings, options of the cell and earlier turns meet."""
    chosen = session.settings
    system = chosen.system if prompt.system is None else prompt.system
    system = system if values is None else fill.fill(system, values)
    pictures = tuple(picture.base64 for picture in prompt.images)
    options, beside = prompt.options(chosen), prompt.beside(chosen) | more.fields
    if chosen.model_type == "completion":
        return GenerateRequest(model=model, prompt=text, system=system, images=pictures, options=options, **beside)
    first = (Message("system", system),) if system else ()
    earlier = () if prompt.once or prompt.new else session.conversation.before(prompt.place)
    messages = (*first, *earlier, Message("user", text, pictures))
    return ChatRequest(model=model, messages=messages, options=options, **beside)


def _able(session: Session, prompt: Prompt) -> str:
    chosen = session.settings
    model = prompt.model or chosen.model
    ability = "vision" if prompt.images else "tools" if prompt.tools and not model else "completion"
    if prompt.images and model and chosen.vision == "yes":
        ability = "completion"
    elif prompt.images and chosen.vision == "no":
        reason, example = "The form says that it does not see (vision: no).", "%ollama_config --vision auto"
        raise SettingError("OM-S01", value="a picture", setting="this model", reason=reason, example=example)
    model = session.installed.choose(model, ability)
    if prompt.thinking(chosen) not in ("auto", "off"):
        session.installed.choose(model, "thinking")
    if prompt.tools and chosen.tools != "yes":
        session.installed.choose(model, "tools")
    stay_here(session, model, local_only=prompt.local_only)
    return model


def _circumstances(session: Session, prompt: Prompt, asked: int, model: str, more: Wanted) -> Circumstances:
    card = session.installed.card(model)
    return Circumstances(
        conversation=None if prompt.once else session.conversation,
        place=prompt.place,
        new=prompt.new,
        images=prompt.images,
        context=min(asked, card.context_length or asked),
        asked_context=asked,
        remote_host=_remote_host(session, card),
        language=session.language,
        schema=more.schema,
        toolbox=more.toolbox,
    )


def _remote_host(session: Session, card: ModelCard) -> str:
    here = session.address
    return card.remote_host or ("" if here.is_loopback else here.host)
