"""A JupyterLab of its own on a free port, which sees no setting of the person who runs the tests."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import ProxyHandler, build_opener

_SECONDS_TO_START = 60
_QUIET = {
    "config/labconfig/page_config.json": {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}},
    # every cell stands in the page, also those below its lower end, with all its outputs
    "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none", "maxNumberOutputs": 500},
    # what widgets hold goes into every saved notebook, so that a test sees all that could
    "settings/@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings": {"saveState": True},
}
_FOREIGN = ("OLLAMA_", "LC_", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


class Lab:
    """The server process; ``root`` is the folder of its notebooks, ``variables`` go to every kernel."""

    def __init__(self, home: Path, variables: dict[str, str]) -> None:
        self._home, self._variables = home, variables
        self._port, self._token = _free_port(), secrets.token_hex()
        self.root = home / "notebooks"

    @property
    def profiles(self) -> Path:
        """The folder in which the kernels save profiles."""
        return self._home / "profiles"

    @property
    def origin(self) -> str:
        """Scheme, host and port, as a browser names the origin of a page."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def page(self) -> str:
        """The address of an empty workspace."""
        return f"{self.origin}/lab/workspaces/{secrets.token_hex(4)}?token={self._token}&reset"

    def __enter__(self) -> Self:
        self.root.mkdir()
        for name, content in _QUIET.items():
            _write(self._home / name, content)
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(self._command(), env=self._environment(), stdout=log, stderr=log)
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _command(self) -> list[str]:
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self._port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": self.root,
            "IdentityProvider.token": self._token,
            "LabApp.user_settings_dir": self._home / "settings",
            "LabApp.workspaces_dir": self._home / "workspaces",
            "LabApp.expose_app_in_browser": True,
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        return [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *flags]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        folders = {f"JUPYTER_{name.upper()}_DIR": str(self._home / name) for name in ("config", "data", "runtime")}
        own = {"IPYTHONDIR": str(self._home / "ipython"), "OLLAMA_MAGICS_CONFIG": str(self.profiles)}
        return {**kept, **folders, **own, "LANG": "C.UTF-8", **self._variables}

    def _wait(self) -> None:
        end = time.monotonic() + _SECONDS_TO_START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("JupyterLab did not start:\n" + (self._home / "log").read_text(errors="replace"))
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with build_opener(ProxyHandler({})).open(f"{self.origin}/api") as answer:
                return bool(answer.status == 200)
        except OSError:  # URLError is one, too
            return False

    def _end(self) -> None:
        self._process.terminate()  # it takes its kernels with it
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
