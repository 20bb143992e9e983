"""Build one frozen request from a prompt, the settings and the earlier turns."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

from msgspec import Struct
from msgspec.structs import replace

from ollama_magics.conversation import history_window, sounds
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.exchange import ReplyContext
from ollama_magics.conversation.history_window import HistoryWindow, fitted, recall
from ollama_magics.conversation.notes import Note, refuse_losses
from ollama_magics.conversation.prompt import Prompt, read_rows
from ollama_magics.conversation.prompt_file import refuse_path
from ollama_magics.conversation.reply import Reply
from ollama_magics.conversation.schema import Schema, make_schema
from ollama_magics.conversation.sounds import Sound
from ollama_magics.conversation.template import fill_system, fill_template
from ollama_magics.conversation.tool_definitions import make_tools
from ollama_magics.conversation.tools import Toolbox
from ollama_magics.errors import PictureProblem, PromptProblem, SettingError, ToolProblem
from ollama_magics.messages import Phrase
from ollama_magics.server import wire
from ollama_magics.server.address import Address
from ollama_magics.server.client import Client
from ollama_magics.server.model_card import version_number
from ollama_magics.server.models import InstalledModels
from ollama_magics.server.transport import ConnectionOptions
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest, Message
from ollama_magics.session.thinking import think_level
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.store import keys
from ollama_magics.store.answers import AnswerStore

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture

# None of these changes an answer; the model is in the key by its digest.
_NOT_IN_KEY = {"model", "keep_alive", "stream"}
_HEARS_MP3 = (0, 30)  # since this version llama-server reads sounds


class RequestContext(Protocol):
    """What a request is built from: the settings, the client with its models, and the conversations of a session."""

    settings: OllamaSettings
    conversations: dict[str, Conversation]

    @property
    def address(self) -> Address:
        """Return where the requests go."""

    @property
    def language(self) -> str:
        """Return the language of messages."""

    @property
    def client(self) -> Client:
        """Return the client of the address."""

    @property
    def installed(self) -> InstalledModels:
        """Return what is known about the models of the server."""

    @property
    def answers(self) -> AnswerStore:
        """Return the stored answers."""

    @property
    def uses_stores(self) -> bool:
        """Return whether stored answers may be read and written."""

    def result_of(self, awaitable: Awaitable[Any]) -> Any:
        """Return the result of what an asynchronous function returned."""


class _LookedUpOnce:
    """A context for one request: each look-up of client and models goes through all settings and the environment."""

    def __init__(self, session: RequestContext) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    @cached_property
    def client(self) -> Client:
        return self._session.client

    @cached_property
    def installed(self) -> InstalledModels:
        return self._session.installed


class ResponseSpec(Struct, frozen=True):
    """The type of the answer and the functions that may be called, where there are any."""

    schema: Schema | None = None
    toolbox: Toolbox | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the request that ask for them."""
        fields: dict[str, Any] = {"format": self.schema.format} if self.schema else {}
        return fields | ({"tools": self.toolbox.definitions} if self.toolbox else {})

    def fits(self, text: str, done_reason: str) -> bool:
        """Return whether a whole answer is of the type, and not cut inside of an object."""
        return self.schema is None or (done_reason != "length" and self.schema.accepts(text))


class CachedAnswer:
    """Asks like the client does, unless the answer of an equal request is stored; ``stored`` is the day of one that was.

    Only whole answers that ``fits`` accepts are stored, and none if ``digest`` returns an empty text for the model. ``problem``
    says in one sentence why the store could not be used, if so.
    """

    def __init__(
        self,
        answers: AnswerStore,
        digest: Callable[[str], str],
        send: Callable[[Any], Iterator[Chunk]],
        fits: Callable[[str, str], bool],
    ) -> None:
        self._answers, self._digest, self._send, self._fits = answers, digest, send, fits
        self.stored = self.problem = ""

    def __call__(self, request: ChatRequest | GenerateRequest) -> Iterator[Chunk]:
        """Yield the stored answer, or the server's as it comes."""
        digest = self._digest(request.model)
        if not digest:
            yield from self._send(request)
            return

        fields = {name: value for name, value in json.loads(wire.encode(request)).items() if name not in _NOT_IN_KEY}
        key = keys.key(digest, fields)(type(request).__name__)
        if found := self._answers.find(key):
            lines, self.stored = found[0].split(b"\n"), found[1]
            yield from map(wire.chunk, lines)
            return

        self._take_problem()
        chunks: list[Chunk] = []
        for chunk in self._send(request):
            chunks.append(chunk)
            if chunk.done and self._fits("".join(one.text for one in chunks), chunk.done_reason or ""):
                self._answers.put(key, b"\n".join(map(wire.encode, chunks)))
                self._take_problem()
            yield chunk

    def _take_problem(self) -> None:
        self.problem, self._answers.problem = self._answers.problem or self.problem, ""


_ANY_TEXT = ResponseSpec()


def response_spec(settings: OllamaSettings, prompt: Prompt) -> ResponseSpec:
    """Return what kind of answer the prompt asks for.

    Raises FormatProblem, ToolProblem, PromptProblem or SettingError before anything is sent.
    """
    schema = None if prompt.format is None else make_schema(prompt.format)
    offered = make_tools(prompt.tools or ())
    if prompt.go_on and (prompt.format is not None or offered):
        # a server begins an object, or its calls, anew: it cannot continue half of one
        other = "tools" if offered else "format"
        raise PromptProblem("options-conflict", one="go_on", other=other, reason=Phrase("continue_text_only"))
    if not offered:
        return ResponseSpec(schema)

    if prompt.reuse:
        raise PromptProblem("options-conflict", one="reuse", other="tools", reason=Phrase("functions_run_anew"))
    if prompt.completes(settings):
        raise ToolProblem("tools-need-chat")
    if settings.tools == "no":
        raise SettingError("ability-switched-off", setting="tools", what=Phrase("a_function"))
    return ResponseSpec(schema, Toolbox(offered, prompt.confirm))


def ask(session: RequestContext, prompt: Prompt, notes: tuple[Note, ...] = ()) -> Reply:
    """Return the reply to a prompt, which is filled; nothing is sent yet, except for the request for the model's card."""
    session, text = cast("RequestContext", _LookedUpOnce(session)), prompt.text
    window = recall(_memory(session, prompt), prompt.place, new=prompt.new, go_on=prompt.go_on)
    if turn := window.continues:
        if text.strip() and text.strip() != turn.prompt.content.strip():
            raise PromptProblem("continue-with-prompt")
        prompt, text = replace(prompt, model=prompt.model or turn.model, images=()), turn.prompt.content
    if not text.strip():
        raise PromptProblem("prompt-empty")

    spec = response_spec(session.settings, prompt)
    model = able_model(session, prompt, _abilities(prompt, window))
    require_readable(session, model, prompt.images)
    window = _readable(session, window, model)
    prompt, changed = suited(session, prompt, model, continues=window.continues is not None)
    frozen = request(session.settings, prompt, model, text, window, spec)
    context = _reply_context(session, prompt, frozen.options["num_ctx"], model, spec)
    context = replace(context, notes=(*notes, *changed, *context.notes, *window.notes))
    if prompt.strict:
        refuse_losses(context.notes)
    if isinstance(frozen, ChatRequest):
        window = fitted(window, frozen, context.context_length, strict=prompt.strict)
        frozen = history_window.without_oldest(frozen, window.left_out)

    context = replace(
        context,
        conversation=window.conversation,
        known=tuple(window.conversation.turns) if window.conversation else None,
        place=window.place,
        history=window.sizes,
        fixed_tokens=window.fixed_tokens,
        left_out=window.left_out,
        continues=window.continues,
        system=window.system if prompt.system is None else prompt.system,
    )
    if not (prompt.reuse and session.uses_stores):
        return Reply(frozen, session.client.chat, context)
    cached = CachedAnswer(session.answers, session.client.digest, session.client.chat, spec.fits)
    return Reply(frozen, cached, replace(context, stored=lambda: cached.stored, store_problem=lambda: cached.problem))


def fill(prompt: Prompt, values: Mapping[str, Any] | None) -> tuple[Prompt, tuple[Note, ...]]:
    """Return the prompt with ``{{name}}`` replaced in its text and system prompt, and what was left out of the values."""
    if prompt.system is not None and all(file.text != prompt.system for file in prompt.files):
        refuse_path(prompt.system)
    if values is None:
        return prompt, prompt.notes
    rows = read_rows(prompt.rows)
    text = fill_template(prompt.text, values, rows)
    if prompt.system is None or prompt.is_verbatim:
        return replace(prompt, text=text.text), (*prompt.notes, *text.notes)
    system = fill_system(prompt.system, values, rows)
    return replace(prompt, text=text.text, system=system.text), (*prompt.notes, *text.notes, *system.notes)


def request(  # noqa: PLR0913, PLR0917 - all that meets in a request
    chosen: OllamaSettings,
    prompt: Prompt,
    model: str,
    text: str,
    window: HistoryWindow | None = None,
    spec: ResponseSpec = _ANY_TEXT,
) -> ChatRequest | GenerateRequest:
    """Return the frozen request in which settings, options of the cell and earlier turns meet."""
    window = window or HistoryWindow()
    pictures = tuple(picture.base64 for picture in prompt.images)
    system = window.system if prompt.system is None else prompt.system
    if system is None:
        refuse_path(system := chosen.system)
    options, fields = prompt.options(chosen), prompt.other_fields(chosen) | spec.fields
    if prompt.completes(chosen):
        fields |= {"suffix": prompt.suffix} if prompt.suffix else {}
        return GenerateRequest(model=model, prompt=text, system=system, images=pictures, options=options, **fields)
    first = (Message("system", system),) if system else ()
    return ChatRequest(model=model, messages=(*first, *window.messages(text, pictures)), options=options, **fields)


def _memory(session: RequestContext, prompt: Prompt) -> Conversation | None:
    if prompt.once or prompt.completes(session.settings):
        return None
    if isinstance(prompt.chat, Conversation):
        return prompt.chat
    return session.conversations.setdefault(prompt.chat.strip(), Conversation())


def _readable(session: RequestContext, window: HistoryWindow, model: str) -> HistoryWindow:
    """Return the window with what the model can read."""
    able = {ability for ability in ("vision", "tools", "audio") if _can(session, model, ability)}
    return history_window.readable(window, model, able)


def _abilities(prompt: Prompt, window: HistoryWindow) -> set[str]:
    """Return what a model must be able to do for the pictures and sounds that are sent with the prompt."""
    if window.continues:
        return {sounds.ability(sounds.is_sound(text)) for text in window.continues.prompt.images}
    return {sounds.ability(isinstance(one, Sound)) for one in prompt.images}


def _can(session: RequestContext, model: str, ability: str) -> bool:
    """Return whether the model has the ability by the settings, else by what the server lists, where it lists anything.

    A sound ends some servers whose model does not hear, so that it must be listed.
    """
    card = session.installed.card(model)
    if ability == "audio":
        return card.can(ability)
    setting = getattr(session.settings, ability)
    return setting == "yes" or (setting == "auto" and (card.capabilities is None or card.can(ability)))


def suited(session: RequestContext, prompt: Prompt, model: str, *, continues: bool = False) -> tuple[Prompt, tuple[Note, ...]]:
    """Return the prompt with a thinking level that the model has, and what to report about it.

    To texts that end the answer come those of the Modelfile, which a server would drop for them.
    """
    card = session.installed.card(model)
    word = prompt.value("think", session.settings)
    if continues and word == "auto" and card.can("thinking"):
        word = "off"  # it has thought already
    word, notes = think_level(word, card, model)
    overrides = {**prompt.overrides, "think": word}
    if "stop" not in prompt.extra and (typed := prompt.value("stop", session.settings)):
        overrides["stop"] = tuple(dict.fromkeys((*typed, *card.stops)))
    return replace(prompt, overrides=overrides), notes


def able_model(session: RequestContext, prompt: Prompt, abilities: Collection[str] = ()) -> str:
    """Return the model that answers; raises ModelProblem or SettingError if it cannot do what the prompt needs.

    ``abilities``: vision and audio, where pictures and sounds are sent.
    """
    chosen, sees = session.settings, "vision" in abilities
    stays = prompt.local_only or chosen.local_only == "yes"
    ConnectionOptions(local_only=stays).require_allowed(session.address)  # before the server is asked anything
    session.installed.require_recent()
    model = prompt.model or chosen.model
    ability = "vision" if sees else "tools" if prompt.tools and not model else "completion"
    if sees and model and chosen.vision == "yes":
        ability = "completion"
    elif sees and chosen.vision == "no":
        raise SettingError("ability-switched-off", setting="vision", what=Phrase("a_picture"))
    if "audio" in abilities:
        model = session.installed.choose(model, "audio")
    model = session.installed.choose(model, ability)
    if prompt.value("think", chosen) not in ("auto", "off"):
        session.installed.choose(model, "thinking")
    if prompt.suffix:
        session.installed.choose(model, "insert")
    if prompt.tools and chosen.tools != "yes":
        session.installed.choose(model, "tools")
    if stays:
        session.installed.require_local(model)
    return model


def require_readable(session: RequestContext, model: str, sent: Iterable[Picture | Sound]) -> None:
    """Raise ModelProblem or PictureProblem for a picture or sound that the model, or its server, cannot read."""
    for one in sent:
        if not _can(session, model, ability := sounds.ability(isinstance(one, Sound))):
            session.installed.choose(model, ability)
        if isinstance(one, Sound) and one.kind != "WAV" and version_number(session.installed.server_version) < _HEARS_MP3:
            reason = Phrase("sound_old_server", version=session.installed.server_version)
            raise PictureProblem("sound-format", source=one.source, kind=one.kind, reason=reason)


def _reply_context(session: RequestContext, prompt: Prompt, requested: int, model: str, spec: ResponseSpec) -> ReplyContext:
    """Return what the reply knows before the earlier turns are chosen; ``requested`` is the context length that is sent."""
    card = session.installed.card(model)
    context_length = card.usable_context(requested, session.installed.server_version)
    unconstrained = (Note(Phrase("logprobs_unconstrained"), loses=False),) if spec.schema and prompt.logprobs is not None else ()
    clamped = (Note(Phrase("over_maximum", count=context_length), loses=False),) if requested > context_length else ()
    pictures = [note for picture in prompt.images for note in picture.notes]
    pictures += [one.summary for one in prompt.images if isinstance(one, Sound)]
    return ReplyContext(
        new=prompt.new,
        files=prompt.files,
        images=prompt.images,
        context_length=context_length,
        remote_host="" if session.client.is_recorded else _remote_host(session, model),
        renders=not session.installed.remote_host(model),
        proxy=session.client.proxy,
        secrets=session.client.secrets,
        language=session.language,
        in_python=prompt.in_python,
        digest=session.installed.digest(model),
        server_version=session.installed.server_version,
        strict=prompt.strict,
        schema=spec.schema,
        toolbox=adapted_toolbox(session, prompt, spec, model),
        notes=(*pictures, *(spec.schema.notes if spec.schema else ()), *unconstrained, *clamped),
    )


def adapted_toolbox(session: RequestContext, prompt: Prompt, spec: ResponseSpec, model: str) -> Toolbox | None:
    """Return the functions that the model may call, or None where there are none."""
    if spec.toolbox is None:
        return None
    awaits = prompt.awaits or session.result_of
    return spec.toolbox.adapted(sees=_can(session, model, "vision"), strict=prompt.strict, awaits=awaits)


def _remote_host(session: RequestContext, model: str) -> str:
    """Return the host to which a prompt for the model leaves this machine, or an empty text."""
    here = session.address
    return session.installed.remote_host(model) or ("" if here.is_loopback else here.host)
