"""A server whose answer to a row is a rule over its text, and which counts what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

ABILITIES = ["completion", "vision", "tools"]


class RowServer:
    """Answers each chat by ``reply(text)``: a text, or a status and an error, after ``delay`` seconds for each request.

    ``asked`` are the texts of the prompts as they came, ``bodies`` the whole requests, ``most_in_flight`` the largest number of
    requests at a time; ``digest`` is that of the model. With ``one_at_a_time`` it computes like a server without parallel slots.
    """

    def __init__(
        self,
        reply: Callable[[str], str | tuple[int, str]],
        *,
        delay: float = 0.0,
        one_at_a_time: bool = False,
        digest: str = "d" * 64,
    ) -> None:
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.in_flight = self.most_in_flight = 0
        self._reply, self._delay, self.digest = reply, delay, digest
        self._lock, self._slot = threading.Lock(), threading.Semaphore(1 if one_at_a_time else 1000)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                owner.metadata(self)

            def do_POST(self) -> None:
                owner.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.05), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse all connections from now on."""
        self._server.shutdown()
        self._server.server_close()

    def metadata(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer what is asked before the first row."""
        models = [{"name": "m:latest", "size": 1, "digest": self.digest}]
        answers: dict[str, Any] = {
            "/api/version": {"version": "0.24.0"},
            "/api/tags": {"models": models},
            "/api/ps": {"models": []},
        }
        _send(handler, 200, answers.get(handler.path, {}))

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a card or a row."""
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        if handler.path == "/api/show":
            is_known = body["model"].partition(":")[0] == "m"
            card = {"capabilities": ABILITIES, "model_info": {}}
            _send(handler, 200 if is_known else 404, card if is_known else {"error": f"model '{body['model']}' not found"})
            return
        text = body["messages"][-1]["content"]
        with self._lock:
            self.asked.append(text)
            self.bodies.append(body)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        with self._slot:
            time.sleep(self._delay)
        found = self._reply(text)
        with self._lock:
            self.in_flight -= 1
        if isinstance(found, tuple):
            _send(handler, found[0], {"error": found[1]})
            return
        message = {"role": "assistant", "content": found}
        counts = {"prompt_eval_count": 5, "eval_count": 3, "prompt_eval_duration": 1_000_000, "eval_duration": 1_000_000}
        _send(handler, 200, {"model": "m", "message": message, "done": True, "done_reason": "stop", **counts})


def _send(handler: BaseHTTPRequestHandler, status: int, found: Any) -> None:
    body = json.dumps(found).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
