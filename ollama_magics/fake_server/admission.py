"""Which Host and Origin headers a server on the loopback address answers: the guard against foreign web pages."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

_LOCAL_ENDS = (".localhost", ".local", ".internal")
_PRIVATE = [ipaddress.ip_network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]
_ORIGINS = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::\d+)?|(?:app|file|tauri|vscode-webview|vscode-file)://.*"
)


def host_allowed(host: str) -> bool:
    """Return whether the Host header names this machine or a private network."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    address = _address(name)
    if address is not None:
        return address.is_loopback or address.is_unspecified or any(address in network for network in _PRIVATE)
    return name in ("", "localhost", socket.gethostname().lower()) or name.endswith(_LOCAL_ENDS)


def origin_allowed(origin: str, host: str) -> bool:
    """Return whether a web page of that origin may read the answers; no origin is not a web page."""
    return not origin or _ORIGINS.fullmatch(origin) is not None or origin.partition("://")[2] == host


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
