"""Where the kernel runs: container, WSL, cloud notebook or plain machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ollama_magics.server.sockets import Resolve

# /.dockerenv exists on some virtual machines without any container, and COLAB_RELEASE_TAG is set on Kaggle too: what is
# found here puts advice in order; the proof is an address that answers.


LIKELY = 0.5
_CONTAINERS = ("docker", "containerd", "kubepods", "libpod")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace") or " "
    except OSError:
        return ""


def _said_by(*command: str) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=1, check=False)  # noqa: S603 - names, no input
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return run.stdout.strip()


@dataclass(frozen=True)
class Environment:
    """What the check may look at; tests give their own.

    ``read`` returns the text of a file, and ``said_by`` that of a program, or "" where there is none; ``port`` is the one that
    Ollama listens on by itself.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    read: Callable[[str], str] = _read
    modules: Container[str] = field(default_factory=lambda: sys.modules)
    system: str = sys.platform
    resolve: Resolve = socket.getaddrinfo
    port: int = 11434
    said_by: Callable[..., str] = _said_by


@dataclass(frozen=True)
class Surroundings:
    """The weight of each place that the kernel may run in, the addresses that lead out of it, and the kind of system."""

    weights: Mapping[str, float]
    gateway: str = ""
    nameserver: str = ""
    host_system: str = "linux"
    is_mirrored: bool = False  # in WSL: 127.0.0.1 reaches Windows as well

    @property
    def place(self) -> str:
        """The likeliest place: container, podman, kubernetes, wsl, kaggle, colab, binder …; ``plain`` where none is likely."""
        best = max(self.weights, key=lambda name: self.weights[name], default="plain")
        return best if self.weights.get(best, 0) >= LIKELY else "plain"

    def weight(self, *places: str) -> float:
        """Return the weight of the likeliest of these places."""
        return max((self.weights.get(place, 0) for place in places), default=0)


def look_around(world: Environment) -> Surroundings:
    """Return what the signs say, added up."""
    weights: dict[str, float] = {}
    for place, weight in _signs(world):
        weights[place] = weights.get(place, 0) + weight
    gateway = _gateway(world.read("/proc/net/route"))
    is_mirrored = "wsl" in weights and world.said_by("wslinfo", "--networking-mode") == "mirrored"
    return Surroundings(weights, gateway, _nameserver(world.read("/etc/resolv.conf")), _host_system(world), is_mirrored)


def _signs(world: Environment) -> Iterator[tuple[str, float]]:
    yield from _boxes(world)
    yield from _clouds(world)
    has = world.environ.get
    if "microsoft" in (world.read("/proc/sys/kernel/osrelease") + world.read("/proc/version")).lower():
        yield "wsl", 0.6
    if has("WSL_DISTRO_NAME") or has("WSL_INTEROP"):
        yield "wsl", 0.5
    if has("SSH_CONNECTION") or has("SSH_CLIENT"):
        yield "ssh", 0.6
    if has("VSCODE_IPC_HOOK_CLI") or has("VSCODE_AGENT_FOLDER"):
        yield "vscode", 0.7


def _boxes(world: Environment) -> Iterator[tuple[str, float]]:
    group = world.read("/proc/1/cgroup")
    if world.read("/.dockerenv"):
        yield "container", 0.4
    if any(name in group for name in _CONTAINERS):
        yield "container", 0.6
    if any(" / / " in line and " overlay " in line for line in world.read("/proc/self/mountinfo").splitlines()):
        yield "container", 0.4
    if world.read("/run/.containerenv") or world.environ.get("container") == "podman":
        yield "podman", 1.2
    if world.environ.get("KUBERNETES_SERVICE_HOST"):
        yield "kubernetes", 1.5


def _clouds(world: Environment) -> Iterator[tuple[str, float]]:
    has = world.environ.get
    if has("KAGGLE_KERNEL_RUN_TYPE") or has("KAGGLE_URL_BASE"):
        yield "kaggle", 3
    if has("COLAB_RELEASE_TAG") or has("COLAB_GPU"):
        yield "colab", 1
    if "google.colab" in world.modules:
        yield "colab", 1
    if has("BINDER_LAUNCH_HOST"):
        yield "binder", 2.5
    if has("CODESPACES"):
        yield "codespaces", 2.5
    if has("JUPYTERHUB_USER") or has("JUPYTERHUB_SERVICE_PREFIX"):
        yield "jupyterhub", 0.5


def _gateway(table: str) -> str:
    """Return the address behind the default route of /proc/net/route, whose numbers are little-endian."""
    for line in table.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 2 and columns[1] == "00000000" and len(columns[2]) == 8:
            return socket.inet_ntoa(bytes.fromhex(columns[2])[::-1])
    return ""


def _nameserver(text: str) -> str:
    lines = (line.split() for line in text.splitlines())
    return next((words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"), "")


def _host_system(world: Environment) -> str:
    """Return the system that Ollama would run on: that of the machine around a container, where its kernel tells."""
    if world.system == "darwin":
        return "mac"
    if world.system == "win32":
        return "windows"
    version = world.read("/proc/version").lower()
    return "desktop" if "linuxkit" in version else "windows" if "microsoft" in version else "linux"
