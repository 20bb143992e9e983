"""One running Ollama: its process, and the few requests that put models into it."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from state import StartError, State, last_lines

HOST = "127.0.0.1"
START_SECONDS = 60.0
ANSWER_SECONDS = 300.0  # a model is converted and written while we wait


@dataclass(frozen=True)
class Server:
    """A process that listens on loopback."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """The address for OLLAMA_HOST."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """What to kill in the end."""
        return self.process.pid

    @contextlib.contextmanager
    def stopped_on_error(self) -> Iterator[None]:
        """End the process if the block fails or is interrupted."""
        try:
            yield
        except BaseException:  # an interrupt must not leave a server behind either
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
            raise

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of an answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()

    def upload(self, data: bytes) -> str:
        """Return the digest of a file that the server has now.

        It is asked first: an upload of what is there already is answered early, and the connection closed under us.
        """
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        path = f"/api/blobs/{digest}"
        if self.request("HEAD", path)[0] != http.HTTPStatus.OK:
            status, answer = self.request("POST", path, data)
            self._require(status == http.HTTPStatus.CREATED, "did not take a file", answer)
        return digest

    def create(self, name: str, files: Mapping[str, Path], extras: Mapping[str, Any]) -> None:
        """Make a model of files, under the names that they have in the model's own folder."""
        digests = {inside: self.upload(file.read_bytes()) for inside, file in files.items()}
        wanted = {"model": name, "files": digests, "stream": False, **extras}
        status, answer = self.request("POST", "/api/create", json.dumps(wanted).encode())
        made = status == http.HTTPStatus.OK and json.loads(answer).get("status") == "success"
        self._require(made, f"did not make the model {name}", answer)

    def _require(self, condition: bool, complaint: str, answer: bytes) -> None:  # noqa: FBT001 - reads like assert
        if not condition:
            message = f"The server {complaint}: {answer.decode(errors='replace')}\n{last_lines(self.log)}"
            raise StartError(message)


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def serve(program: Path, store: Path, port: int, state: State) -> Server:
    """Return a server that answers; it outlives this process and its terminal."""
    refuse_a_used_port(port)
    log = state.folder / f"serve-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve"],
            env=environment_of(store, port, state),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(port, process, log)
    with server.stopped_on_error():
        wait_until_it_answers(server)
    return server


def refuse_a_used_port(port: int) -> None:
    """Raise StartError where somebody listens, whose answers would be taken for ours."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            message = f"port {port} of {HOST} is in use"
            raise StartError(message)


def environment_of(store: Path, port: int, state: State) -> dict[str, str]:
    """Return our environment without what the user tells an own Ollama."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OLLAMA_")}
    return ours | {
        "HOME": str(state.folder),  # its key pair and history stay out of the user's home
        "OLLAMA_HOST": f"{HOST}:{port}",
        "OLLAMA_MODELS": str(store),
        "OLLAMA_NOPRUNE": "1",  # another server may be running on the same store
        "OLLAMA_NO_CLOUD": "1",  # it talks to nobody
    }


def wait_until_it_answers(server: Server) -> None:
    """Return at its first answer; raise StartError when it ends or says nothing for a minute."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError):
            if server.request("GET", "/api/version")[0] == http.HTTPStatus.OK:
                return
        time.sleep(0.05)
    message = f"the server did not come up.\n{last_lines(server.log)}"
    raise StartError(message)
