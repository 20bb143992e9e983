"""The process in which a local Ollama computes, found without Ollama's help."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

_LISTENING = "0A"  # in /proc/net/tcp


def kill_runner(url: str, model: str, seconds: float = 20) -> int:
    """End with SIGKILL the child of the server that computes for the model, waiting until there is one; return its pid.

    Raises LookupError where the server is not on this machine, or has none in time.
    """
    pid = runner_of(url, model, seconds)
    os.kill(pid, signal.SIGKILL)
    return pid


def runner_of(url: str, model: str, seconds: float = 20) -> int:
    """Return the pid of that child, waiting until there is one; raises LookupError as above."""
    server, file = _listener(urlsplit(url).port or 80), _file(url, model)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for pid in _children(server):
            if file in _words(pid):
                return pid
        time.sleep(0.02)
    raise LookupError(f"the server has no runner of {model}")


def cpu_seconds(pid: int) -> float:
    """Return the seconds that a process has computed so far, 0 for one that has ended."""
    try:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _file(url: str, model: str) -> str:
    """Return the name of the file with the weights, which stands on the command line of a runner."""
    request = urllib.request.Request(f"{url}/api/show", json.dumps({"model": model}).encode())  # noqa: S310 - a local server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        found = re.search(r"^FROM .*(sha256-[0-9a-f]{64})", json.load(answer)["modelfile"], re.MULTILINE)
    if not found:
        raise LookupError(f"the server does not say which file {model} is in")
    return found[1]


def _listener(port: int) -> int:
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in sockets:
                return int(link.parts[2])
        except OSError:
            continue  # the process has ended, or is somebody else's
    raise LookupError(f"no process of this machine that we may see listens on port {port}")


def _inodes(port: int) -> set[str]:
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {words[9] for words in lines if words[3] == _LISTENING and words[1].endswith(f":{port:04X}")}


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has ended
        if int(ppid) == parent and state != "Z":
            found.append(int(stat.parts[2]))
    return found


def _words(pid: int) -> list[str]:
    try:
        return [Path(word).name for word in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
    except OSError:
        return []
