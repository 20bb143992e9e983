"""Where an answer came from, for the metadata of its output, and neither an address nor a key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ollama_magics.conversation.reply.stream import Reply


def provenance(reply: Reply, *, times: bool = True) -> dict[str, Any]:
    """Return model, digest, the server's version, options, seed, and the time (UTC) at which it was asked.

    What is not known is left out; ``times=False`` leaves the time out, for outputs that are compared.
    """
    here, options = reply.circumstances, dict(reply.request.options)
    facts = {
        "model": reply.model,
        "digest": here.digest,
        "server": f"Ollama {here.server_version}" if here.server_version else "",
        "options": options,
        "seed": options.get("seed"),
        "time": _moment(reply.asked_at) if times else "",
    }
    return {name: fact for name, fact in facts.items() if fact not in ("", None)}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else ""
