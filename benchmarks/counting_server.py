"""Serve embeddings that follow from the texts, and count how often each text was requested."""

# python benchmarks/counting_server.py WIDTH MILLISECONDS     prints its address, and ends with its standard input

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "torture"
DIGEST = hashlib.sha256(MODEL.encode()).hexdigest()
# One byte of a hash makes one number: 256 of them, none zero, whose decimals give every bit of the float32
NUMBERS = [(byte - 127.5) / 1024 for byte in range(256)]
_DECIMALS = [repr(number) for number in NUMBERS]


def bytes_of(text: str, width: int) -> bytes:
    """Return the bytes that stand for the vector of a text, each of them an index into NUMBERS."""
    return hashlib.shake_128(text.encode()).digest(width)


class Server(ThreadingHTTPServer):
    """Ollama's embedding endpoints, ``/counts``: what was requested so far, and ``/hold``: how much of it is answered."""

    daemon_threads = True

    def __init__(self, width: int, milliseconds: float) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.width, self.seconds = width, milliseconds / 1000
        self._lock = threading.Lock()
        self._requested: Counter[str] = Counter()
        self._again = self._seen = 0
        self._most, self._released = sys.maxsize, threading.Event()

    def embed(self, texts: list[str]) -> bytes:
        """Count the texts and return the answer with their vectors; what is too much waits for the next ``hold``."""
        with self._lock:
            self._again += sum(text in self._requested for text in texts)
            self._requested.update(texts)
            self._seen += len(texts)
            released = self._released if self._seen > self._most else None
        if released:
            released.wait()
        time.sleep(self.seconds)
        rows = (",".join([_DECIMALS[byte] for byte in bytes_of(text, self.width)]) for text in texts)
        return f'{{"model":"{MODEL}","embeddings":[[{"],[".join(rows)}]]}}'.encode()

    def counts(self) -> dict[str, int]:
        """Return the different texts that were requested, those requested again, and those ``seen`` since ``hold``."""
        with self._lock:
            return {"texts": len(self._requested), "again": self._again, "seen": self._seen}

    def hold(self, most: int) -> None:
        """From now on answer requests for so many texts and let those wait that come after them."""
        with self._lock:
            self._released.set()
            self._seen, self._most, self._released = 0, most, threading.Event()

    def reset(self) -> None:
        """Reset the counts, and answer everything."""
        self.hold(sys.maxsize)
        with self._lock:
            self._requested.clear()
            self._again = 0


class Exchange(BaseHTTPRequestHandler):
    """One connection; requests are counted once they have arrived as a whole."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Answer a request without a body."""
        known: dict[str, Any] = {
            "/api/version": {"version": "0.24.0"},
            "/api/tags": {"models": [{"name": f"{MODEL}:latest", "model": f"{MODEL}:latest", "size": 1, "digest": DIGEST}]},
            "/counts": self.server.counts(),
        }
        self._answer(json.dumps(known[self.path]).encode())

    def do_POST(self) -> None:
        """Answer a request with a body."""
        body = self.rfile.read(length := int(self.headers["Content-Length"]))
        if len(body) < length:  # the client is gone
            return
        if self.path == "/api/embed":
            self._answer(self.server.embed(json.loads(body)["input"]))
        elif self.path == "/api/show":
            self._answer(b'{"capabilities":["embedding"]}')
        elif self.path == "/hold":
            self.server.hold(json.loads(body))
            self._answer(b"{}")
        else:
            self.server.reset()
            self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def handle(self) -> None:
        """Serve the connection until it ends, also by an error."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True


def main(width: str, milliseconds: str) -> None:
    """Serve until the standard input is closed."""
    server = Server(int(width), float(milliseconds))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
