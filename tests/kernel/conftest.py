"""A real kernel with the extension loaded, spoken to as a front end does, the stand-in behind it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from ollama_magics.fake_server.server import FakeServer

PATIENCE = 60  # seconds until a kernel that says nothing counts as dead


@dataclass
class Ran:
    """What one cell did: its status, its messages, and the displays as they stood at the end."""

    status: str = ""
    error: str = ""
    traceback: list[str] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    displays: dict[str, dict[str, str]] = field(default_factory=dict)
    written: str = ""
    idle_at: float = 0.0

    @property
    def html(self) -> str:
        """The HTML of the only display."""
        (bundle,) = self.displays.values()
        return bundle.get("text/html", "")

    @property
    def plain(self) -> str:
        """The plain text of the only display."""
        (bundle,) = self.displays.values()
        return bundle["text/plain"]

    def take(self, message: Any) -> None:
        """Keep one message of the kernel."""
        content, kind = message["content"], message["msg_type"]
        if kind == "stream":
            self.written += content["text"]
        elif kind in ("display_data", "update_display_data"):
            self.messages.append(message)
            name = content.get("transient", {}).get("display_id", f"display {len(self.displays)}")
            self.displays[name] = content["data"]
        elif kind == "execute_result":
            self.written += content["data"]["text/plain"]
        elif kind == "error":
            self.error, self.traceback = content["ename"], content["traceback"]


class Kernel:
    """Runs cells in a kernel, with the cell's id in the metadata as JupyterLab sends it."""

    def __init__(self, process: KernelManager) -> None:
        self.process = process
        self.client = process.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def start(self, source: str, cell: str = "", *, allow_stdin: bool = False) -> str:
        """Send a cell and return the id of the request; ``allow_stdin``: there is somebody to answer questions."""
        request = self.client.session.msg("execute_request", {
            "code": source, "silent": False, "store_history": True, "user_expressions": {},
            "allow_stdin": allow_stdin, "stop_on_error": True,
        }, metadata={"cellId": cell} if cell else {})  # fmt: skip
        self.client.shell_channel.send(request)
        return str(request["header"]["msg_id"])

    def finish(self, request: str) -> Ran:
        """Read until the kernel has done with a request."""
        ran = Ran()
        for message in self.messages(request):
            ran.take(message)
        ran.idle_at = time.monotonic()
        reply = self.client.get_shell_msg(timeout=PATIENCE)
        while reply["parent_header"].get("msg_id") != request:
            reply = self.client.get_shell_msg(timeout=PATIENCE)
        ran.status = reply["content"]["status"]
        return ran

    def messages(self, request: str) -> Iterator[Any]:
        """Yield the outputs of a request until the kernel is idle again."""
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
            yield message

    def run(self, source: str, cell: str = "") -> Ran:
        """Run a cell to its end; again if the kernel dropped it, as it does for a moment after an error."""
        ran = self.finish(self.start(source, cell))
        while ran.status == "aborted":
            ran = self.finish(self.start(source, cell))
        return ran

    def restart(self) -> None:
        """End the kernel and start it anew, as the button of a front end does."""
        self.process.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=PATIENCE)

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.process.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def started() -> Iterator[Kernel]:
    """Start one kernel for the tests of a module."""
    process = KernelManager(kernel_name="python3")
    process.start_kernel(extra_arguments=["--log-level=ERROR"])
    kernel = Kernel(process)
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(started: Kernel, stand_in: FakeServer) -> Iterator[Kernel]:
    """Give the kernel with the extension freshly loaded and the stand-in as its server."""
    assert started.run("%load_ext ollama_magics").status == "ok"
    started.run(f"%ollama_config --base-url {stand_in.url} --model sandbox-chat --embedding-model sandbox-embed")
    yield started
    started.run("%unload_ext ollama_magics")
