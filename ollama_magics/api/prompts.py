"""Ask the model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ollama_magics.api.calls import UserLine, frame_of_user, language_of_user, worded
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.pages import refuse_without_document
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.template import names_in
from ollama_magics.errors import PromptProblem, suggest_names
from ollama_magics.messages import Phrase
from ollama_magics.session.session import Session, current
from ollama_magics.settings import form
from ollama_magics.settings.parameters import require

if TYPE_CHECKING:
    from ollama_magics.conversation.async_reply import AsyncReply
    from ollama_magics.conversation.images import Picture
    from ollama_magics.conversation.reply import Reply
    from ollama_magics.conversation.sounds import Sound
    from ollama_magics.conversation.tools import ToolCall

_CONFIRM = "om.chat(prompt, tools=functions, confirm=lambda call: True)"
_MAPPINGS = {
    "values": 'om.chat("Describe {{x}}", values={"x": x})',
    "options": 'om.chat(prompt, options={"min_p": 0.05})',
}
# What a prompt and a call name alike.
_AS_GIVEN = (
    *("model", "system", "local_only", "format", "tools", "confirm", "new", "go_on", "strict"),
    *("generate", "suffix", "logprobs", "reuse", "rows"),
)


@suggest_names
@worded
def chat(  # noqa: PLR0913 - one parameter for each option of a prompt
    prompt: str,
    *,
    model: str = "",
    system: str | None = None,
    values: Mapping[str, Any] | None = None,
    rows: int | Literal["all"] | None = None,
    images: Any = (),
    pages: str | int | Sequence[int] | None = None,
    format: Any = None,  # noqa: A002 - as Ollama calls it
    tools: Iterable[Callable[..., Any]] = (),
    confirm: Callable[[ToolCall], bool | Literal["all"]] | None = None,
    conversation: str | Conversation | None = None,
    new: bool = False,
    go_on: bool = False,
    strict: bool = False,
    reuse: bool = False,
    generate: bool = False,
    suffix: str = "",
    logprobs: int | None = None,
    local_only: bool = False,
    context_length: int | str | None = None,
    max_tokens: int | str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    stop: str | Sequence[str] | None = None,
    think: str | bool | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Reply:
    """Return the reply to a prompt. The request is sent at the first iteration or where the answer is needed: ``.text``.

    ``model``, ``system`` and the parameters from ``context_length`` to ``keep_alive`` override the settings for this prompt;
    docs/settings.md has their meaning, range and unit. ``options`` are other options of Ollama by Ollama's names, such as
    ``{"min_p": 0.05}``.

    - ``values`` replace ``{{name}}`` in the prompt and in ``system``; without them braces are text. ``rows`` is how many rows of
      a table and items of a list go in (20), or "all". ``images`` are paths, bytes, pictures, arrays or figures, also
      PDFs and, for a model that hears, sounds (WAV, MP3); ``pages`` are those of a PDF or TIFF that are sent, such as "1-3,5"
      (the first 20).
    - ``format`` is "json", a JSON schema or a type; see ``.value`` and ``.frame`` of the reply. ``tools`` are functions that the
      model may call, if ``confirm`` returns true for the call ("all": also for further ones of the same function in this turn);
      asynchronous ones run in an event loop of their own, in a thread.
    - Nothing is remembered without a ``conversation``: a Conversation, or the name of one of this notebook ("" for that of cells
      that name none). ``new`` starts it anew, ``go_on`` continues its cut answer, ``strict`` leaves nothing out
      and changes nothing on the way to the model; ``notes`` of the reply list what was.
    - ``reuse`` takes the stored answer of the same request to the same model. ``generate`` completes the prompt instead of
      answering it, up to ``suffix``. ``logprobs`` is a number of alternatives for each token. ``local_only`` refuses to send the
      prompt off this machine.

    Raises PromptProblem (``prompt-not-text``, ``prompt-empty``, ``left-out``), SettingError (``setting-invalid``), ModelProblem
    (``model-missing``) and, when the request is sent, ConnectionProblem, RequestRefused or AnswerCut.

    Example: ``om.chat("Describe {{x}}", values={"x": x}, images=[fig], temperature=0).text``
    """
    session = current()
    reply = session.ask(_read_prompt(session, dict(locals())), values)
    return UserLine().told_unused(reply, "chat_unused")


@suggest_names
@worded
def achat(  # noqa: PLR0913 - one parameter for each option of a prompt
    prompt: str,
    *,
    model: str = "",
    system: str | None = None,
    values: Mapping[str, Any] | None = None,
    rows: int | Literal["all"] | None = None,
    images: Any = (),
    pages: str | int | Sequence[int] | None = None,
    format: Any = None,  # noqa: A002 - as Ollama calls it
    tools: Iterable[Callable[..., Any]] = (),
    confirm: Callable[[ToolCall], bool | Literal["all"] | Awaitable[bool | Literal["all"]]] | None = None,
    conversation: str | Conversation | None = None,
    new: bool = False,
    go_on: bool = False,
    strict: bool = False,
    reuse: bool = False,
    generate: bool = False,
    suffix: str = "",
    logprobs: int | None = None,
    local_only: bool = False,
    context_length: int | str | None = None,
    max_tokens: int | str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    stop: str | Sequence[str] | None = None,
    think: str | bool | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> AsyncReply:
    """Return the reply to a prompt for an event loop: ``await`` gives the finished Reply, ``async for`` pieces of its text.

    The parameters are those of om.chat. The prompt and its values are read at once, the settings when the reply is awaited. At
    most 16 calls of a loop are at work at once, each in a thread; the others wait for their turn.

    - Cancelling the task that waits closes the connection within 0.2 s, so that the server stops. What was written until then is
      in ``partial`` of the AsyncReply, and with a ``conversation`` kept as a cut turn.
    - Asynchronous functions among the ``tools``, and an asynchronous ``confirm``, are awaited in this event loop; others run in
      the thread of the call.
    - asyncio runs it, also under anyio, Jupyter and FastAPI. Under trio it is an error (``event-loop-unsupported``).

    Raises what om.chat raises: at once for a wrong parameter, later for all else.

    Example: ``replies = await asyncio.gather(*(om.achat(text) for text in texts))``
    """
    given, session, line = dict(locals()), current(), UserLine()
    reply = session.ask_in_loop(_read_prompt(session, given), values, ended=lambda: line.warn_of_settings(session))
    return line.told_unused(reply, "achat_unused")


def _read_prompt(session: Session, given: Mapping[str, Any]) -> Prompt:
    """Return the prompt that the parameters of a call describe; raises PromptProblem, SettingError or PictureProblem."""
    prompt, system, values, conversation = (given[name] for name in ("prompt", "system", "values", "conversation"))
    if not isinstance(prompt, str):
        is_messages = isinstance(prompt, Sequence) and any(isinstance(one, Mapping) and "role" in one for one in prompt)
        raise PromptProblem("prompt-is-messages" if is_messages else "prompt-not-text", kind=type(prompt).__name__)
    for name in ("model", "system", "suffix"):
        fits = isinstance(given[name], str) or (name == "system" and system is None)
        require(name, given[name], "str", f'om.chat(prompt, {name}="…")', fits=fits)
    for name, example in _MAPPINGS.items():
        require(name, given[name], "dict", example, fits=isinstance(given[name] or {}, Mapping))
    require("confirm", given["confirm"], "callable", _CONFIRM, fits=given["confirm"] is None or callable(given["confirm"]))
    is_place = isinstance(conversation, (str, Conversation)) or conversation is None
    example = f"om.chat(prompt, conversation=om.Conversation({'messages' if isinstance(conversation, list) else ''}))"
    require("conversation", conversation, "str, Conversation", example, fits=is_place)
    if values is None:
        _warn_of_names(f"{prompt}\n{system or ''}")
    is_empty = isinstance(given["images"], tuple) and not given["images"]
    images = () if is_empty else tuple(_pictures(session, given["images"], given["pages"]))
    refuse_without_document(given["pages"], images)
    return Prompt(
        prompt,
        images=images,
        notes=() if is_empty or images else (Note(Phrase("no_images"), loses=False),),
        overrides={name: given[name] for name in form.request_places()},
        extra=given["options"] or {},
        once=conversation is None,
        chat=conversation or "",
        in_python=True,
        **{name: given[name] for name in _AS_GIVEN},
    )


def _warn_of_names(text: str) -> None:
    """Warn, once in each line, of a name in braces that is a variable where the call stands."""
    frame = frame_of_user()
    for typed, name in names_in(text):
        if name in frame.f_locals or name in frame.f_globals:
            UserLine(frame).warn(Phrase("braces_are_text", typed=typed, name=name).text(language_of_user()))
            return


def _pictures(session: Session, images: Any, pages: Any) -> Iterator[Picture | Sound]:
    """Yield the pictures and sounds in the values; what is one picture need not stand in a list."""
    from ollama_magics.conversation import image_sources  # noqa: PLC0415 - only a prompt with an image needs it

    if image_sources.is_one(images):
        yield from session.pictures_of(images, "images", pages)
    else:
        for number, what in enumerate(images):
            yield from session.pictures_of(what, f"images[{number}]", pages)
