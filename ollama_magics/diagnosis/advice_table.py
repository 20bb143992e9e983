"""What to type against a server that cannot be reached: by where the kernel runs, where the server is, and what came back."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from ollama_magics.diagnosis.environment import Platform
from ollama_magics.diagnosis.probes import HOST_NAMES
from ollama_magics.server.address import Address

# Where the server is, by its address alone.
LOOPBACK = "loopback"  # where the kernel runs
DOCKER_HOST = "docker host"  # the machine around a container, by a name or by the address of a bridge
SERVICE = "service"  # a name without a dot in a container: another container
LAN = "lan"  # a private address, or a name of a local network
TAILSCALE = "tailscale"
PUBLIC = "public"
CLOUD = "ollama.com"
TARGETS = (LOOPBACK, DOCKER_HOST, SERVICE, LAN, TAILSCALE, PUBLIC, CLOUD)

_BRIDGES = ip_network("172.17.0.0/16")  # Docker's default network
_TAILSCALE = (ip_network("100.64.0.0/10"), ip_network("fd7a:115c:a1e0::/48"))
_LOCAL_NAMES = (".local", ".lan", ".home", ".internal", ".home.arpa", ".fritz.box", ".localdomain", ".test")
_CONTAINERS = ("container", "podman", "kubernetes")


def target_of(address: Address, platform: Platform, numbers: Iterable[str] = ()) -> str:
    """Return where the server is, one of TARGETS; ``numbers`` are the addresses of its name, as far as they are known."""
    host, is_enclosed = address.host, platform.weight(*_CONTAINERS, "wsl")
    if address.is_loopback or host in HOST_NAMES or (is_enclosed and host == platform.gateway):
        return LOOPBACK if address.is_loopback else DOCKER_HOST
    with suppress(ValueError):
        return _target_of_number(ip_address(host))
    for target, is_fitting in (
        (CLOUD, f".{host}".endswith(".ollama.com")),
        (TAILSCALE, host.endswith(".ts.net")),
        (SERVICE, "." not in host and platform.weight(*_CONTAINERS)),
        (LAN, "." not in host or host.endswith(_LOCAL_NAMES)),
    ):
        if is_fitting:
            return target
    private = (_target_of_number(number) for number in map(ip_address, numbers) if number.is_private or not number.is_global)
    return next(private, PUBLIC)


def _target_of_number(number: IPv4Address | IPv6Address) -> str:
    if any(number in network for network in _TAILSCALE if network.version == number.version):
        return TAILSCALE
    if number in _BRIDGES:
        return DOCKER_HOST
    return LAN if number.is_private or number.is_link_local else PUBLIC


@dataclass(frozen=True)
class Row:
    """One row: what came back, where the kernel runs, where the server is (empty: anywhere) → the code and the lines.

    The lines are keys of phrases. A key that ends in ``_*`` stands for one phrase for each system that the server's machine may
    have. Without lines the remedy of the code holds.
    """

    outcome: str  # refused, silent or unknown
    kernel: tuple[str, ...]  # kinds of platform
    target: tuple[str, ...]
    code: str
    lines: tuple[str, ...] = ()


CLOUD_KERNELS = ("colab", "kaggle", "binder", "codespaces")
REMOTE_KERNELS = ("ssh", "vscode", "jupyterhub")
_HERE, _HOST = (LOOPBACK,), (DOCKER_HOST,)
_FAR, _BY_NAME = (LAN, TAILSCALE), ("docker_linux", "docker_host")
# The first row that fits counts.
TABLE = (
    # The connection is refused: a machine is there, and nothing listens at that address.
    Row("refused", CLOUD_KERNELS, _HERE, "address-refused-cloud"),
    Row("refused", ("wsl-mirrored",), _HERE, "address-refused", ("start_windows", "start_here", "start_none")),
    Row("refused", ("wsl",), _HERE, "address-refused-wsl", ("wsl_mirror", "wsl_gateway", "listen_warning", "listen_windows")),
    Row("refused", ("kubernetes",), _HERE, "address-refused-container", ("kubernetes_service",)),
    Row("refused", ("podman",), _HERE, "address-refused-container", ("podman_host", "listen_warning", "listen_*")),
    Row("refused", ("container-desktop",), _HERE, "address-refused-container", ("docker_host", "start_on_host")),
    Row(
        "refused",
        ("container",),
        _HERE,
        "address-refused-container",
        ("docker_linux", "docker_host", "listen_warning", "listen_*"),
    ),
    Row("refused", REMOTE_KERNELS, _HERE, "address-refused-hub"),
    Row("refused", (), _HERE, "address-refused", ("start_*", "start_none")),
    Row("refused", ("plain",), _HOST, "address-refused-remote", ("host_name_outside", "start_*")),
    Row("refused", (), _HOST, "address-refused-remote", ("start_on_host", "listen_warning", "listen_*")),
    Row("refused", (), (SERVICE,), "address-refused", ("service_starts", "service_port")),
    Row("refused", (), (TAILSCALE,), "address-refused", ("start_there", "tailscale_serve")),
    Row("refused", (), (LAN,), "address-refused", ("start_there", "listen_warning", "listen_*")),
    Row("refused", (), (PUBLIC,), "address-refused", ("start_there", "tunnel_ssh", "tunnel_then")),
    Row("refused", (), (CLOUD,), "address-refused", ("by_proxy", "without_proxy")),
    # Nothing comes back: no machine has the address, or a firewall drops what is sent to it.
    Row("silent", CLOUD_KERNELS, _FAR, "address-silent", ("cloud_private", "tunnel_cloudflare", "tunnel_address")),
    Row("silent", (), (TAILSCALE,), "address-silent", ("tailscale_up", "tailscale_there")),
    Row("silent", ("wsl", "wsl-mirrored"), _HOST, "address-silent", ("firewall_windows",)),
    Row("silent", ("container-desktop",), _HOST, "address-silent", ("start_on_host", "firewall_*")),
    Row("silent", (), _HOST, "address-silent", ("firewall_docker",)),
    Row("silent", (), (SERVICE,), "address-silent", ("service_network",)),
    Row("silent", (), (LAN,), "address-silent", ("same_network", "firewall_*")),
    Row("silent", (), (PUBLIC,), "address-silent", ("tunnel_ssh", "tunnel_then")),
    Row("silent", (), (CLOUD,), "address-silent", ("by_proxy", "without_proxy")),
    # The name has no address.
    Row("unknown", ("podman",), _HOST, "host-unknown", ("podman_host",)),
    Row("unknown", ("container", "container-desktop", "kubernetes"), _HOST, "host-unknown", ("docker_linux", "docker_compose")),
    Row("unknown", (), _HOST, "host-unknown", ("host_name_outside",)),
    Row("unknown", (), (SERVICE,), "host-unknown", ("service_network",)),
    Row("unknown", (), (TAILSCALE,), "host-unknown", ("tailscale_up",)),
    Row("unknown", (), (LAN,), "host-unknown", ("no_probe", "name_to_number")),
    Row("unknown", (), (), "host-unknown", ("no_probe",)),
)


def kernel_of(platform: Platform) -> tuple[str, ...]:
    """Return the words for where the kernel runs, the more special one first."""
    kind, system = platform.kind, platform.host_system
    if kind == "wsl" and platform.is_mirrored:
        return "wsl-mirrored", kind
    if kind == "container" and system in ("desktop", "mac", "windows"):
        return "container-desktop", kind
    return (kind,)


def row_for(outcome: str, kernel: tuple[str, ...], target: str) -> Row:
    """Return the first row that fits."""
    fitting = (row for row in TABLE if row.outcome == outcome and (not row.target or target in row.target))
    return next(
        (row for row in fitting if not row.kernel or set(row.kernel) & set(kernel)), Row(outcome, (), (), _CODES[outcome])
    )


_CODES = {"refused": "address-refused", "silent": "address-silent", "unknown": "host-unknown"}
SYSTEMS = ("linux", "mac", "windows")


def systems_of(platform: Platform, target: str) -> tuple[str, ...]:
    """Return the systems that the machine of the server may have: that of the kernel's host, or any of another machine."""
    if target in (LOOPBACK, DOCKER_HOST):
        return ("mac", "windows") if platform.host_system == "desktop" else (platform.host_system,)
    return SYSTEMS


def bind_of(address: Address, platform: Platform, target: str) -> str:
    """Return the narrowest address, with its port, on which the server must listen to be reached."""
    host = "0.0.0.0"  # noqa: S104 - what is advised where no narrower address is known
    if target in (LOOPBACK, DOCKER_HOST) and platform.kind == "container" and platform.host_system == "linux":
        host = platform.gateway if platform.gateway and not platform.gateway.startswith("127.") else "172.17.0.1"
    elif target in (LAN, TAILSCALE) and _is_number(address.host):
        host = address.host
    elif platform.kind == "wsl" and platform.gateway:
        host = platform.gateway
    return f"{host}:{address.port}"


def network_of(address: Address) -> str:
    """Return the network of a private address, or that of most home routers."""
    if _is_number(address.host) and isinstance(ip_address(address.host), IPv4Address):
        return str(ip_network(f"{address.host}/24", strict=False))
    return "192.168.0.0/16"


def _is_number(host: str) -> bool:
    return ":" not in host and host.replace(".", "").isdigit()
