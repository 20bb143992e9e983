"""Prepare the requests of a job of rows: the model, the servers that have it, and the fields that all rows share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec.structs import replace

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.errors import ModelProblem
from ollama_magics.jobs.event_loop import Awaits
from ollama_magics.messages import Phrase
from ollama_magics.rows.map_rows import RowTarget
from ollama_magics.rows.prompts import Build
from ollama_magics.server.address import Address
from ollama_magics.server.client import Client
from ollama_magics.server.models import InstalledModels
from ollama_magics.server.wire import ChatRequest, GenerateRequest, Message
from ollama_magics.session import build_request
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.store.answers import AnswerStore

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture
    from ollama_magics.conversation.sounds import Sound


class ServerSource(build_request.RequestContext, Protocol):
    """A session, which also connects to other servers."""

    def connected(self, url: str = "") -> tuple[Client, InstalledModels]:
        """Return client and models of the address in force, or of another."""


@dataclass
class _OtherServer:
    """The settings of a session with another server."""

    settings: OllamaSettings
    language: str
    answers: AnswerStore
    client: Client
    installed: InstalledModels
    conversations: dict[str, Conversation]
    result_of: Awaits
    uses_stores: bool = False

    @property
    def address(self) -> Address:
        return self.client.address


def row_target(  # noqa: PLR0913 - what a job of rows needs besides its rows
    session: ServerSource,
    prompt: Prompt,
    values: Mapping[str, Any],
    servers: Sequence[str],
    stack: ExitStack,
    *,
    abilities: Collection[str],
) -> RowTarget:
    """Return the model, its servers and how a request is built; the stack closes the clients of other ``servers``.

    ``abilities``: vision and audio, where rows bring pictures and sounds. Raises what a prompt raises before it is sent, and
    ModelProblem (models-differ) where the servers have different models of the name.
    """
    spec = build_request.response_spec(session.settings, prompt)
    contexts: list[build_request.RequestContext] = [session]
    if servers:
        contexts = [_other_server(session, url, stack) for url in servers]
    digests: dict[str, str] = {}
    for context in contexts:
        model = build_request.able_model(context, prompt, abilities)
        prompt = replace(prompt, model=model)
        digests[context.client.address.url] = context.client.digest(model)
    (first, digest), *others = digests.items()
    for url, other in others:
        if other != digest:
            raise ModelProblem("models-differ", model=model, first=first, second=url)

    prompt, left_out = build_request.fill(replace(prompt, text=""), values)  # the system prompt; the text is filled row by row
    prompt, notes = build_request.suited(contexts[0], prompt, model)
    shared = build_request.request(session.settings, replace(prompt, images=()), model, "", spec=spec)
    card, version = contexts[0].installed.card(model), contexts[0].installed.server_version
    requested = shared.options.get("num_ctx", 0)
    context_length = card.usable_context(requested, version)
    is_less = prompt.overrides.get("context_length") is not None and requested > context_length
    clamped = (Note(Phrase("over_maximum", count=context_length), loses=False),) if is_less else ()
    return RowTarget(
        build=_builder(shared, contexts),
        model=model,
        digest=digest,
        clients=[context.client for context in contexts],
        schema=spec.schema,
        toolbox=build_request.adapted_toolbox(contexts[0], prompt, spec, model),
        defaults=card.numbers,
        context_length=context_length,
        notes=(*left_out, *notes, *clamped, *(spec.schema.notes if spec.schema else ())),
    )


def _other_server(session: ServerSource, url: str, stack: ExitStack) -> _OtherServer:
    client, installed = session.connected(url)
    stack.callback(client.close)
    return _OtherServer(session.settings, session.language, session.answers, client, installed, {}, session.result_of)


def _builder(shared: ChatRequest | GenerateRequest, contexts: Sequence[build_request.RequestContext]) -> Build:
    """Return a function that puts text and pictures of a row behind what all rows share, which servers read only once."""
    # whole answers instead of streams: nobody sees them grow
    shared = msgspec.structs.replace(shared, stream=False)

    def build(text: str, pictures: tuple[Picture | Sound, ...]) -> ChatRequest | GenerateRequest:
        for context in contexts if pictures else ():  # a sound may stand in a column of pictures
            build_request.require_readable(context, shared.model, pictures)
        images = tuple(picture.base64 for picture in pictures)
        if isinstance(shared, GenerateRequest):
            return msgspec.structs.replace(shared, prompt=text, images=images)
        return msgspec.structs.replace(shared, messages=(*shared.messages[:-1], Message("user", text, images=images)))

    return build
