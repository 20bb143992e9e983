"""Translate requests of OpenAI's interface below /v1 into Ollama's own, and answers back, as Ollama does."""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from random import randrange
from typing import Any

from ollama_magics.fake_server import responses
from ollama_magics.fake_server.requests import Fields
from ollama_magics.fake_server.responses import ApiError, Events, Line, Lines, Response

_TYPE = "application/json"
_KINDS = {400: "invalid_request_error", 404: "not_found_error"}
_EFFORTS = ("high", "medium", "low", "max", "none")
_PICTURES = tuple(f"data:{kind};base64," for kind in ("", "image/jpeg", "image/jpg", "image/png", "image/webp"))
_MOST_IDS = 999
_BAD_MESSAGE = "invalid message format"


def error_response(error: ApiError) -> Response:
    """Return an error in OpenAI's form."""
    said = {"message": error.text, "type": _KINDS.get(error.status, "api_error"), "param": None, "code": None}
    return Response(responses.json_bytes({"error": said}) + b"\n", error.status, _TYPE)


# Requests


def chat_document(fields: Fields) -> dict[str, Any]:
    """Return the request of /api/chat that a request of /v1/chat/completions means."""
    sent = fields.sequence("messages", "[]openai.Message", dict, "openai.Message")
    if not sent:
        raise ApiError("[] is too short - 'messages'")
    document: dict[str, Any] = {
        "model": fields.text("model"),
        "messages": [one for message in sent for one in _messages(message)],
        "stream": fields.flag("stream", default=False),
        "options": _options(fields),
        "tools": fields.any("tools"),
        "logprobs": fields.any("logprobs"),
        "top_logprobs": fields.any("top_logprobs"),
        "format": _format(fields.mapping("response_format")),
    }
    effort = fields.mapping("reasoning").get("effort") or fields.text("reasoning_effort")
    if effort and effort not in _EFFORTS:
        listed = '"high", "medium", "low", "max", or "none"'
        raise ApiError(f"invalid reasoning value: '{effort}' (must be {listed})")
    if effort:
        document["think"] = False if effort == "none" else effort
    return document


def generate_document(fields: Fields) -> dict[str, Any]:
    """Return the request of /api/generate that a request of /v1/completions means."""
    alternatives = fields.whole("logprobs")
    return {
        "model": fields.text("model"),
        "prompt": fields.text("prompt"),
        "suffix": fields.text("suffix"),
        "stream": fields.flag("stream", default=False),
        "options": _options(fields),
        "logprobs": alternatives > 0,
        "top_logprobs": alternatives,
    }


def embed_document(fields: Fields) -> dict[str, Any]:
    """Return the request of /api/embed that a request of /v1/embeddings means."""
    encoding, given = fields.text("encoding_format"), fields.any("input")
    if encoding.lower() not in ("", "float", "base64"):
        raise ApiError(f"Invalid value for 'encoding_format' = {encoding}. Supported values: ['float', 'base64'].")
    if given is None or given == []:
        raise ApiError("invalid input")
    return {"model": fields.text("model"), "input": given or [""], "dimensions": fields.any("dimensions")}


def _options(fields: Fields) -> dict[str, Any]:
    stop = fields.any("stop")
    names = ("seed", "frequency_penalty", "presence_penalty")
    options = {name: value for name in names if (value := fields.any(name)) is not None}
    options |= {name: 1.0 if (value := fields.any(name)) is None else value for name in ("temperature", "top_p")}
    if isinstance(stop, str | list):
        options["stop"] = [stop] if isinstance(stop, str) else [text for text in stop if isinstance(text, str)]
    if (longest := fields.any("max_tokens")) is not None:
        options["num_predict"] = longest
    return options


def _format(wanted: dict[str, Any]) -> Any:
    kind = str(wanted.get("type", "")).strip().lower()
    return "json" if kind == "json_object" else (wanted.get("json_schema") or {}).get("schema") if kind == "json_schema" else None


def _messages(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a message, or one for each part of its content."""
    role, content, calls = message.get("role"), message.get("content"), message.get("tool_calls")
    called = {"tool_calls": [_own_call(call) for call in calls]} if calls is not None else {}
    if isinstance(content, str):
        yield {"role": role, "content": content, **called}
    elif isinstance(content, list):
        parts = [_part(part) for part in content]
        yield from ({"role": role, **part, **(called if part is parts[-1] else {})} for part in parts)
    elif calls is None:
        kind = "<nil>" if content is None else "map[string]interface {}"
        raise ApiError(f"invalid message content type: {kind}")
    else:
        yield {"role": role, **called}


def _own_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    try:
        arguments = json.loads(function.get("arguments") or "")
    except ValueError:
        raise ApiError("invalid tool call arguments") from None
    return {"id": call.get("id"), "function": {"name": function.get("name"), "arguments": arguments}}


def _part(part: Any) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"content": part["text"]}
    url = part.get("image_url") if kind == "image_url" else None
    url = url.get("url") if isinstance(url, dict) else url
    if not isinstance(url, str):
        raise ApiError(_BAD_MESSAGE)
    if url.startswith(("http://", "https://")):
        raise ApiError("image URLs are not currently supported, please use base64 encoded data instead")
    prefix = next((prefix for prefix in _PICTURES if url.startswith(prefix)), None)
    if prefix is None:
        raise ApiError("invalid image input")
    return {"images": [url.removeprefix(prefix)]}


# Answers


def chat_answer(answer: Response | Lines, fields: Fields) -> Response | Events:
    """Return the answer of /api/chat, whole or as a stream, in OpenAI's form."""
    return _answer(answer, fields, "chatcmpl", "chat.completion", _chat_choices)


def completion_answer(answer: Response | Lines, fields: Fields) -> Response | Events:
    """Return the answer of /api/generate in OpenAI's form."""
    return _answer(answer, fields, "cmpl", "text_completion", _text_choices)


def _answer(
    answer: Response | Lines, fields: Fields, prefix: str, kind: str, choices: Callable[[Line, bool], Iterator[Line]]
) -> Response | Events:
    identity = f"{prefix}-{randrange(_MOST_IDS)}"  # noqa: S311 - a name, as Ollama's
    if isinstance(answer, Response):
        line = json.loads(answer.body)
        [choice] = choices(line, False)  # noqa: FBT003 - by position in a Callable
        return _json({**_head(line, identity, kind), "choices": [choice], "usage": _usage(line)})

    has_usage = bool(fields.mapping("stream_options").get("include_usage"))
    named = f"{kind}.chunk" if kind == "chat.completion" else kind
    called = False

    def encode(line: Line) -> bytes:
        nonlocal called
        called = called or bool((line.get("message") or {}).get("tool_calls"))
        head = _head(line, identity, named)
        events = []
        for choice in choices(line, True):  # noqa: FBT003 - as above
            if called and choice["finish_reason"]:
                choice["finish_reason"] = "tool_calls"
            events.append({**head, "choices": [choice]})
        if line.get("done"):
            events += [{**head, "choices": [], "usage": _usage(line)}] if has_usage else []
        data = b"".join(b"data: " + responses.json_bytes(event) + b"\n\n" for event in events)
        return data + (b"data: [DONE]\n\n" if line.get("done") else b"")

    return Events(answer, encode, error_response)


def _head(line: Line, identity: str, kind: str) -> Line:
    return {
        "id": identity,
        "object": kind,
        "created": int(time.time()),
        "model": line.get("model", ""),
        "system_fingerprint": "fp_ollama",
    }


def _usage(line: Line) -> Line:
    prompt, answer = line.get("prompt_eval_count", 0), line.get("eval_count", 0)
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def _chat_choices(line: Line, is_chunk: bool) -> Iterator[Line]:  # noqa: FBT001 - as above
    said = line.get("message") or {}
    thoughts = {"reasoning": said["thinking"]} if said.get("thinking") else {}
    calls = [_their_call(call) for call in said.get("tool_calls") or ()]
    message = {"role": "assistant", "content": said.get("content", ""), **thoughts, **({"tool_calls": calls} if calls else {})}
    reason = line.get("done_reason") or None
    if calls and not is_chunk:
        reason = "tool_calls"
    known = {"logprobs": {"content": line["logprobs"]}} if line.get("logprobs") else {}
    yield {"index": 0, "delta" if is_chunk else "message": message, "finish_reason": reason, **known}


def _their_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    written = {"name": function["name"], "arguments": responses.json_text(function["arguments"])}
    return {"id": call["id"], "index": function["index"], "type": "function", "function": written}


def _text_choices(line: Line, _is_chunk: bool) -> Iterator[Line]:  # noqa: FBT001 - as above
    yield {"text": line.get("response", ""), "index": 0, "finish_reason": line.get("done_reason") or None}


def embed_answer(answer: Response, fields: Fields) -> Response:
    """Return the answer of /api/embed in OpenAI's form."""
    found = json.loads(answer.body)
    is_packed = fields.text("encoding_format").lower() == "base64"
    data = [
        {"object": "embedding", "embedding": _packed(vector) if is_packed else vector, "index": index}
        for index, vector in enumerate(found["embeddings"])
    ]
    tokens = found.get("prompt_eval_count", 0)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _json({"object": "list", "data": data, "model": fields.text("model"), "usage": usage})


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def model_list(answer: Response) -> Response:
    """Return the answer of /api/tags in OpenAI's form."""
    listed = json.loads(answer.body)["models"]
    return _json({"object": "list", "data": [_model(one["name"], one) for one in listed]})


def model(answer: Response, name: str) -> Response:
    """Return the answer of /api/show in OpenAI's form."""
    return _json(_model(name, json.loads(answer.body)))


def _model(name: str, found: Line) -> Line:
    modified = datetime.fromisoformat(found["modified_at"]).timestamp()
    owner = name.rpartition("/")[0].rpartition("/")[2] or "library"
    return {"id": name, "object": "model", "created": int(modified), "owned_by": owner}


def _json(value: Line) -> Response:
    whole = responses.json_response(value)
    return replace(whole, body=whole.body + b"\n", content_type=_TYPE)
