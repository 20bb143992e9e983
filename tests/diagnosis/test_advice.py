"""Advice about a server that cannot be reached depends on where the kernel runs, where the server is, and what came back."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ollama_magics.diagnosis import advice_table as table
from ollama_magics.diagnosis.advice import Failure, explain
from ollama_magics.diagnosis.environment import Environment, detect_platform
from ollama_magics.errors import ConnectionProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.address import parse

CGROUP = {"/proc/1/cgroup": "12:cpu:/docker/0123", "/proc/net/route": "I\tD\tG\neth0\t00000000\t010011AC\t3\n"}  # 172.17.0.1
WSL_FILES = {"/proc/version": "Linux 5.15 microsoft-standard-WSL2", "/proc/net/route": "I\tD\tG\ne\t00000000\t0140 14AC\t3\n"}
ROUTER = {"/proc/net/route": "I\tD\tG\neth0\t00000000\t0101A8C0\t3\n"}  # 192.168.1.1, of a plain machine


def machine(
    files: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None, system: str = "linux", mode: str = ""
) -> Environment:
    """Return a machine that has these files and variables, and no network."""

    def resolve(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    texts = files or {}
    read = lambda path: texts.get(path, "")  # noqa: E731 - short
    return Environment(variables or {}, read, set(), system, resolve, 1, lambda *_: mode)  # type: ignore[arg-type]


KERNELS = {
    "Linux": machine(ROUTER),
    "macOS": machine(system="darwin"),
    "Windows": machine(system="win32"),
    "Docker": machine(CGROUP),
    "Docker Desktop": machine({**CGROUP, "/proc/version": "Linux version 6.1-linuxkit"}),
    "podman": machine(variables={"container": "podman"}),
    "Kubernetes": machine(variables={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}),
    "WSL": machine({**WSL_FILES, "/proc/net/route": "I\tD\tG\ne\t00000000\t014014AC\t3\n"}, {"WSL_DISTRO_NAME": "Ubuntu"}),
    "WSL, mirrored": machine(WSL_FILES | {"/proc/net/route": ""}, {"WSL_DISTRO_NAME": "Ubuntu"}, mode="mirrored"),
    "Colab": machine(variables={"COLAB_RELEASE_TAG": "x", "COLAB_GPU": "1"}),
    "Kaggle": machine(variables={"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}),
    "JupyterHub": machine(variables={"JUPYTERHUB_USER": "me"}),
    "SSH": machine(variables={"SSH_CONNECTION": "1 2 3 4"}),
}
ADDRESSES = {
    table.LOOPBACK: "http://127.0.0.1:11434",
    table.DOCKER_HOST: "http://host.docker.internal:11434",
    table.SERVICE: "http://ollama:11434",
    table.LAN: "http://192.168.1.20:11434",
    table.TAILSCALE: "http://box.tail1a2b.ts.net:11434",
    table.PUBLIC: "http://gpu.example.org:11434",
    table.CLOUD: "https://ollama.com",
}
OUTCOMES: dict[str, Callable[[dict[str, Any]], ConnectionProblem]] = {
    "refused": lambda facts: ConnectionProblem("address-refused", **facts),
    "silent": lambda facts: ConnectionProblem("address-silent", **facts, reason=Phrase("no_connection_within", seconds="5")),
    "unknown": lambda facts: ConnectionProblem("host-unknown", **facts, reason="Name or service not known"),
}


def advised(kernel: str, url: str, outcome: str, place: str = "notebook check") -> ConnectionProblem:
    """Return the error with the advice for a case."""
    address = parse(url)
    facts: dict[str, Any] = {"url": address.url, "host": address.host, "port": address.port}
    error = explain(Failure(OUTCOMES[outcome](facts), address, KERNELS[kernel], probes=False), 1)
    error.place = place
    assert isinstance(error, ConnectionProblem)
    return error


def cases() -> list[tuple[str, str, str]]:
    """Return each kernel with each target and each outcome that it can have."""
    return [
        (kernel, target, outcome)
        for kernel in KERNELS
        for target in table.TARGETS
        for outcome in OUTCOMES
        if not (outcome == "unknown" and re.search(r"//[\d.]+:", ADDRESSES[target]))
        if not (target == table.LOOPBACK and outcome != "refused")
    ]


ALL_SYSTEMS = ["tee", "launchctl", "setx"]
# kernel, address, outcome → code, what must be typed first or among others, what must not be said
EXPECTED: list[tuple[str, str, str, str, list[str], list[str]]] = [
    ("Linux", "http://127.0.0.1:11434", "refused", "address-refused", ["sudo systemctl start ollama"], ["docker", "172.17"]),
    ("macOS", "http://127.0.0.1:11434", "refused", "address-refused", ["open -a Ollama"], ["systemctl"]),
    ("Windows", "http://127.0.0.1:11434", "refused", "address-refused", ["Start menu"], ["systemctl", "launchctl"]),
    ("Docker", "http://localhost:11434", "refused", "address-refused-container", ["host-gateway", "172.17.0.1:11434"], ["macOS"]),
    ("Docker Desktop", "http://127.0.0.1:11434", "refused", "address-refused-container", ["host.docker.internal"], ["172.17"]),
    ("podman", "http://127.0.0.1:11434", "refused", "address-refused-container", ["host.containers.internal"], ["docker"]),
    ("Kubernetes", "http://127.0.0.1:11434", "refused", "address-refused-container", ["ollama.NAMESPACE"], ["docker"]),
    ("WSL", "http://127.0.0.1:11434", "refused", "address-refused-wsl", ["wsl --shutdown", "172.20.64.1"], ["docker0"]),
    ("WSL, mirrored", "http://127.0.0.1:11434", "refused", "address-refused", ["Start menu", "ollama serve"], ["setx"]),
    ("Colab", "http://127.0.0.1:11434", "refused", "address-refused-cloud", ["install.sh"], ["systemctl", "docker"]),
    ("JupyterHub", "http://127.0.0.1:11434", "refused", "address-refused-hub", ["ssh -N -R"], ["docker"]),
    ("SSH", "http://127.0.0.1:11434", "refused", "address-refused-hub", ["ssh -N -R"], ["docker"]),
    ("Docker", "http://host.docker.internal:11434", "refused", "address-refused-remote", ["172.17.0.1:11434"], ["setx"]),
    ("Docker", "http://172.17.0.1:11434", "refused", "address-refused-remote", ["172.17.0.1:11434"], ["macOS"]),
    ("Docker Desktop", "http://host.docker.internal:11434", "refused", "address-refused-remote", ["setx", "launchctl"], ["tee"]),
    ("Linux", "http://172.17.0.1:11434", "refused", "address-refused-remote", ["http://127.0.0.1:11434"], ["docker run"]),
    (
        "Linux",
        "http://192.168.1.20:11434",
        "refused",
        "address-refused",
        [*ALL_SYSTEMS, "192.168.1.20:11434"],
        ["172.17"],
    ),
    (
        "macOS",
        "http://gpu-box:11434",
        "refused",
        "address-refused",
        [*ALL_SYSTEMS, "on gpu-box"],
        ["172.17", "docker"],
    ),
    (
        "Docker",
        "http://192.168.1.20:11434",
        "refused",
        "address-refused",
        ALL_SYSTEMS,
        ["172.17", "host-gateway"],
    ),
    ("Linux", "http://192.168.1.1:11434", "refused", "address-refused", ALL_SYSTEMS, ["172.17", "docker"]),
    ("Docker", "http://ollama:8080", "refused", "address-refused", ["http://ollama:11434", "docker compose up"], ["172.17"]),
    ("Linux", "http://100.64.0.1:11434", "refused", "address-refused", ["tailscale serve"], ["OLLAMA_HOST", "docker"]),
    ("Linux", "http://box.tail1a2b.ts.net:11434", "refused", "address-refused", ["tailscale serve"], ["docker"]),
    ("Linux", "http://gpu.example.org:11434", "refused", "address-refused", ["ssh -N -L"], ["OLLAMA_HOST", "docker", "ufw"]),
    ("Linux", "https://ollama.com", "refused", "address-refused", ["--proxy"], ["ollama serve", "docker"]),
    (
        "Linux",
        "http://192.168.1.20:11434",
        "silent",
        "address-silent",
        ["192.168.1.0/24", "NetFirewall"],
        ["docker0"],
    ),
    (
        "Windows",
        "http://10.0.0.7:11434",
        "silent",
        "address-silent",
        ["from 10.0.0.0/24", "ping 10.0.0.7"],
        ["docker0"],
    ),
    ("Docker", "http://192.168.1.20:11434", "silent", "address-silent", ["ufw allow from 192.168.1.0/24"], ["docker0"]),
    ("Docker", "http://host.docker.internal:11434", "silent", "address-silent", ["docker0"], ["NetFirewallRule"]),
    ("WSL", "http://172.20.64.1:11434", "silent", "address-silent", ["NetFirewallRule"], ["docker0", "ufw"]),
    ("Linux", "http://100.64.0.1:11434", "silent", "address-silent", ["tailscale status"], ["ufw", "docker"]),
    ("Linux", "http://8.8.4.4:11434", "silent", "address-silent", ["ssh -N -L"], ["docker", "ufw"]),
    ("Kaggle", "http://192.168.1.20:11434", "silent", "address-silent", ["cloudflared tunnel", "private address"], ["ufw"]),
    ("Colab", "http://100.64.0.1:11434", "silent", "address-silent", ["cloudflared tunnel"], ["ufw"]),
    ("Linux", "https://ollama.com", "silent", "address-silent", ["--proxy"], ["ufw"]),
    ("Docker", "http://host.docker.internal:11434", "unknown", "host-unknown", ["host-gateway"], ["127.0.0.1"]),
    ("Linux", "http://host.docker.internal:11434", "unknown", "host-unknown", ["http://127.0.0.1:11434"], ["host-gateway"]),
    ("podman", "http://host.docker.internal:11434", "unknown", "host-unknown", ["host.containers.internal"], ["host-gateway"]),
    ("Docker", "http://ollama:11434", "unknown", "host-unknown", ["docker network connect"], ["host-gateway"]),
    ("Linux", "http://gpu-box.local:11434", "unknown", "host-unknown", ["IP address"], ["docker"]),
    ("Linux", "http://box.tail1a2b.ts.net:11434", "unknown", "host-unknown", ["tailscale status"], ["docker"]),
]


@pytest.mark.finding("C11")
@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: " ".join(case[:3]))
def test_the_advice_is_for_the_machine_that_it_is_about(case: tuple[str, str, str, str, list[str], list[str]]) -> None:
    """Nothing about Docker's bridge for a machine of the network, and all three systems where the server's is not known."""
    kernel, url, outcome, code, typed, unsaid = case
    error = advised(kernel, url, outcome)
    assert error.code == code
    assert [words for words in typed if words not in error.remedy] == [], error.remedy
    assert [words for words in unsaid if words in error.remedy] == [], error.remedy


@pytest.mark.finding("C11", "C22")
def test_every_case_has_a_row_and_fits_on_the_screen(record_property: Callable[[str, object], None]) -> None:
    """In both languages and all places, in at most eight lines, each different, with no fact left open."""
    wrong = []
    for kernel, target, outcome in cases():
        error = advised(kernel, ADDRESSES[target], outcome)
        for language in ("en", "zh"):
            for place in ("notebook check", "shell check", "python check"):
                error.language, error.place = language, place
                lines = error.lines()
                if not 3 <= len(lines) <= 8 or "…" in str(error) or len(set(lines)) < len(lines):
                    wrong.append((kernel, target, outcome, language, place, str(error)))
    assert wrong == []
    record_property("figure", f"{len(cases())} cases: {len(KERNELS)} kernels, {len(table.TARGETS)} kinds of address")


@pytest.mark.finding("C11")
def test_every_row_of_the_table_is_reached() -> None:
    """No row stands behind another that takes all its cases."""
    reached = set()
    for kernel, target, outcome in cases():
        platform = detect_platform(KERNELS[kernel])
        reached.add(table.row_for(outcome, table.kernel_of(platform), table.target_of(parse(ADDRESSES[target]), platform)))
    assert set(table.TABLE) - reached == set()


def test_the_address_of_a_name_tells_where_it_is() -> None:
    """A name of one's own domain may lead to the local network, or to the tailnet."""
    platform = detect_platform(KERNELS["Linux"])
    address = parse("http://gpu.example.org")
    assert table.target_of(address, platform, ["10.1.2.3"]) == table.LAN
    assert table.target_of(address, platform, ["100.64.9.9"]) == table.TAILSCALE
    assert table.target_of(address, platform, ["93.184.216.34"]) == table.PUBLIC
