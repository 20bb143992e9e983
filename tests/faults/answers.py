"""Whole answers, fine ones and refusals, as scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.faults.steps import Send, Serve, Step

# The end of the first is the end of the connection, so that any bytes may follow; the second needs Piece, and ends in Piece(b"").
LINES = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"


def whole(found: Any, *, status: int = 200, kind: str = "application/json", extra: str = "") -> list[Step]:
    """Return the script of an answer with its length, after which the connection is kept; bytes go out as they are."""
    body = found if isinstance(found, bytes) else json.dumps(found, ensure_ascii=False).encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return [Send(head.encode() + body)]


def chunk(text: str = "", **fields: Any) -> bytes:
    """Return one line of a chat answer."""
    found = {"model": "m", "message": {"role": "assistant", "content": text}, "done": False, **fields}
    return json.dumps(found, ensure_ascii=False).encode() + b"\n"


def refusing(status: int, body: bytes, kind: str = "application/json") -> list[Step]:
    """Return the script that answers everything alike; for a server whose other paths matter, see fine()."""
    return [Serve(_Always(whole(body, status=status, kind=kind)))]


def fine(**changed: Sequence[Step]) -> list[Step]:
    """Return the script of a healthy server with one model, "m", which can do everything; ``chat=…`` replaces /api/chat."""
    capable = {"capabilities": ["completion", "vision", "embedding", "tools"], "model_info": {}}
    healthy: dict[str, Sequence[Step]] = {
        "version": whole({"version": "0.24.0"}),
        "tags": whole({"models": [{"name": "m:latest", "size": 1}]}),
        "show": whole(capable),
        "ps": whole({"models": []}),
        "chat": whole(chunk("Hello", done=True, done_reason="stop"), kind="application/x-ndjson"),
        "generate": whole({"model": "m", "response": "Hello", "done": True, "done_reason": "stop"}),
        "embed": whole({"model": "m", "embeddings": [[1.0, 2.0]]}),
    }
    return [Serve(_Known({f"/api/{name}": script for name, script in (healthy | changed).items()}))]


class _Known(dict[str, Sequence[Step]]):
    def __missing__(self, _: str) -> Sequence[Step]:
        return whole(b"404 page not found", status=404, kind="text/plain")


class _Always(dict[str, Sequence[Step]]):
    def __init__(self, script: Sequence[Step]) -> None:
        super().__init__()
        self._script = script

    def __missing__(self, _: str) -> Sequence[Step]:
        return self._script
