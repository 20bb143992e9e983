"""Detect where the kernel runs: container, WSL, cloud notebook or plain machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ollama_magics.server.sockets import Resolve

# /.dockerenv exists on some virtual machines without any container, and COLAB_RELEASE_TAG is set on Kaggle too. The platform
# only decides the order of the advice; an address counts as working when it has answered.

LIKELY = 0.5
_CONTAINER_GROUPS = ("docker", "containerd", "kubepods", "libpod")


def read_file(path: str) -> str:
    """Return the text of a file: a blank for an empty one, and nothing where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace") or " "
    except OSError:
        return ""


def run_program(*command: str) -> str:
    """Return what a program prints within a second, or an empty text."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=1, check=False)  # noqa: S603 - names, no input
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return run.stdout.strip()


@dataclass(frozen=True)
class Environment:
    """What the check may read of this machine; tests pass their own."""

    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    read_file: Callable[[str], str] = read_file
    modules: Container[str] = field(default_factory=lambda: sys.modules)
    system: str = sys.platform
    resolve: Resolve = socket.getaddrinfo
    port: int = 11434  # Ollama's default
    run_program: Callable[..., str] = run_program


@dataclass(frozen=True)
class Platform:
    """Where the kernel runs: the weight of each kind of platform, the addresses that lead out of it, and the host's system."""

    weights: Mapping[str, float]
    gateway: str = ""
    nameserver: str = ""
    host_system: str = "linux"
    is_mirrored: bool = False  # in WSL: 127.0.0.1 reaches Windows as well

    @property
    def kind(self) -> str:
        """The likeliest kind: container, podman, kubernetes, wsl, kaggle, colab, binder …; ``plain`` where none is likely."""
        best = max(self.weights, key=lambda name: self.weights[name], default="plain")
        return best if self.weights.get(best, 0) >= LIKELY else "plain"

    def weight(self, *kinds: str) -> float:
        """Return the weight of the likeliest of these kinds."""
        return max((self.weights.get(kind, 0) for kind in kinds), default=0)


def detect_platform(environment: Environment) -> Platform:
    """Return where the kernel runs, by all indications added up."""
    weights: dict[str, float] = {}
    for kind, weight in _indications(environment):
        weights[kind] = weights.get(kind, 0) + weight

    lines = (line.split() for line in environment.read_file("/etc/resolv.conf").splitlines())
    nameserver = next((words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"), "")

    kernel = environment.read_file("/proc/version").lower()
    linux = "desktop" if "linuxkit" in kernel else "windows" if "microsoft" in kernel else "linux"
    host_system = {"darwin": "mac", "win32": "windows"}.get(environment.system, linux)

    # the default route of /proc/net/route, whose numbers are little-endian
    routes = (line.split() for line in environment.read_file("/proc/net/route").splitlines()[1:])
    address = next((words[2] for words in routes if len(words) > 2 and words[1] == "0" * 8 and len(words[2]) == 8), "")
    gateway = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if address else ""

    is_mirrored = "wsl" in weights and environment.run_program("wslinfo", "--networking-mode") == "mirrored"
    return Platform(weights, gateway, nameserver, host_system, is_mirrored)


def _indications(environment: Environment) -> Iterator[tuple[str, float]]:
    """Yield (kind of platform, weight) for each indication that is present."""
    read, has = environment.read_file, environment.variables.get
    groups = read("/proc/1/cgroup")
    mounts = read("/proc/self/mountinfo").splitlines()
    kernel = (read("/proc/sys/kernel/osrelease") + read("/proc/version")).lower()
    indications: list[tuple[str, float, object]] = [
        ("container", 0.4, read("/.dockerenv")),
        ("container", 0.6, any(name in groups for name in _CONTAINER_GROUPS)),
        ("container", 0.4, any(" / / " in line and " overlay " in line for line in mounts)),
        ("podman", 1.2, read("/run/.containerenv") or has("container") == "podman"),
        ("kubernetes", 1.5, has("KUBERNETES_SERVICE_HOST")),
        ("kaggle", 3, has("KAGGLE_KERNEL_RUN_TYPE") or has("KAGGLE_URL_BASE")),
        ("colab", 1, has("COLAB_RELEASE_TAG") or has("COLAB_GPU")),
        ("colab", 1, "google.colab" in environment.modules),
        ("binder", 2.5, has("BINDER_LAUNCH_HOST")),
        ("codespaces", 2.5, has("CODESPACES")),
        ("jupyterhub", 0.5, has("JUPYTERHUB_USER") or has("JUPYTERHUB_SERVICE_PREFIX")),
        ("wsl", 0.6, "microsoft" in kernel),
        ("wsl", 0.5, has("WSL_DISTRO_NAME") or has("WSL_INTEROP")),
        ("ssh", 0.6, has("SSH_CONNECTION") or has("SSH_CLIENT")),
        ("vscode", 0.7, has("VSCODE_IPC_HOOK_CLI") or has("VSCODE_AGENT_FOLDER")),
    ]
    yield from ((kind, weight) for kind, weight, is_present in indications if is_present)
