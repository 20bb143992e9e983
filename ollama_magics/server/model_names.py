"""Read the name of a model from what people copy: a command, a link to a page, or the name itself."""

from __future__ import annotations

import re
from urllib.parse import unquote

_COMMAND = re.compile(r"^[$>!%\s]*(?:docker\s+exec\s+(?:-\w+\s+)*\S+\s+)?ollama(?:\s+|_)(?:run|pull|show|stop|rm)\s+")
_LINK = re.compile(r"(?:https?://)?(?:www\.)?(ollama\.com|hf\.co|huggingface\.co)/(\S+)", re.IGNORECASE)
_NO_MODELS = {"search", "models", "download", "blog", "docs", "settings", "signin", "signup", "pricing", "cloud", "public"}
_NO_USERS = {"datasets", "spaces", "docs", "blog", "models", "collections", "papers"}
# the part of a file's name that says how its numbers are stored, such as Q4_K_M
_QUANTISATION = re.compile(r"[-._]((?:UD-)?(?:I?Q\d\w*|B?F16|F32|MXFP4\w*))(?:-\d{5}-of-\d{5})?\.gguf$", re.IGNORECASE)
_PART = r"[A-Za-z0-9_][\w.-]{0,79}"
_NAME = re.compile(rf"(?:(?:[A-Za-z0-9][\w.:-]{{0,349}}/)?[A-Za-z0-9_][\w.-]{{0,79}}/)?{_PART}(?::{_PART})?", re.ASCII)


def without_command(typed: str) -> str:
    """Return what follows ``ollama run`` and the like, which may stand behind a prompt or in a container."""
    return _COMMAND.sub("", typed)


def read_name(typed: str) -> str:
    """Return the name of the model that a command, a link or a name means; what is none of these stays as it is."""
    text = without_command(typed).strip()
    link = _LINK.fullmatch(text)
    if link is None:
        return text
    path, _, query = link[2].partition("#")[0].partition("?")
    parts = [unquote(part) for part in path.split("/") if part]
    return (_in_library(parts) if link[1].lower() == "ollama.com" else _on_hugging_face(parts, query)) or text


def is_name(name: str) -> bool:
    """Return whether a server can have a model of that name."""
    return bool(_NAME.fullmatch(name))


def _in_library(parts: list[str]) -> str:
    """Return the model of a page of ollama.com, or an empty text for a page of no model."""
    if parts[:1] == ["library"]:
        return parts[1] if len(parts) > 1 else ""
    if not parts or parts[0] in _NO_MODELS:
        return ""
    return "/".join(parts[:2])


def _on_hugging_face(parts: list[str], query: str) -> str:
    """Return the model of a repository or of one of its files, with the quantisation where the link names it."""
    if len(parts) < 2 or parts[0] in _NO_USERS:
        return ""
    file = _QUANTISATION.search(parts[-1]) or _QUANTISATION.search(unquote(query.partition("&")[0]))
    tag = f":{file[1]}" if file and ":" not in parts[1] else ""
    return f"hf.co/{parts[0]}/{parts[1]}{tag}"
