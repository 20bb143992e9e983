"""Requests as values, and as the JSON that goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ollama_magics.errors import PromptProblem

# Every request carries "truncate": false, so that the server refuses what it would otherwise cut without a word
# (known to servers from 0.12.6 on; for embeddings much longer).


_ENCODER = msgspec.json.Encoder()


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a conversation; ``images`` are base64 texts of PNG or JPEG files, ``tool_…`` those of called functions."""

    role: str
    content: str
    images: tuple[str, ...] = ()
    thinking: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


class _Prompted(msgspec.Struct, frozen=True, kw_only=True):
    # What /api/chat and /api/generate have in common.
    model: str
    options: dict[str, Any] = {}
    format: Any = msgspec.UNSET
    think: bool | str | msgspec.UnsetType = msgspec.UNSET
    keep_alive: float | str | msgspec.UnsetType = msgspec.UNSET
    stream: bool = True
    truncate: bool = False
    shift: bool | msgspec.UnsetType = msgspec.UNSET
    logprobs: bool | msgspec.UnsetType = msgspec.UNSET
    top_logprobs: int | msgspec.UnsetType = msgspec.UNSET


class ChatRequest(_Prompted, frozen=True, kw_only=True):
    """A turn for /api/chat."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] | msgspec.UnsetType = msgspec.UNSET


class GenerateRequest(_Prompted, frozen=True, kw_only=True):
    """A prompt to be completed by /api/generate."""

    prompt: str
    suffix: str | msgspec.UnsetType = msgspec.UNSET
    system: str | msgspec.UnsetType = msgspec.UNSET
    images: tuple[str, ...] = ()


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of texts for /api/embed."""

    model: str
    input: tuple[str, ...]
    truncate: bool = False
    dimensions: int | msgspec.UnsetType = msgspec.UNSET
    keep_alive: float | str | msgspec.UnsetType = msgspec.UNSET
    options: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def embed_request(  # noqa: PLR0913 - one for each field
    model: str,
    texts: Sequence[str],
    *,
    truncate: bool = False,
    dimensions: int | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> EmbedRequest:
    """Return the request for a batch of texts; what is None is left to the server."""
    return EmbedRequest(
        model=model,
        input=tuple(texts),
        truncate=truncate,
        dimensions=dimensions or msgspec.UNSET,
        keep_alive=msgspec.UNSET if keep_alive is None else keep_alive,
        options=dict(options) if options else msgspec.UNSET,
    )


def is_held_back(request: ChatRequest | GenerateRequest) -> bool:
    """Whether the server may keep text to itself until it is whole: calls of functions, and answers in a format."""
    return request.format is not msgspec.UNSET or (isinstance(request, ChatRequest) and request.tools is not msgspec.UNSET)


def encode(request: msgspec.Struct | Mapping[str, Any]) -> bytes:
    """Return the request as JSON; raises PromptProblem for a text that UTF-8 cannot write."""
    try:
        return _ENCODER.encode(request)
    except UnicodeEncodeError:
        raise PromptProblem("OM-T04") from None
