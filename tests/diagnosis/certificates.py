"""Servers with TLS on loopback, with good and with bad certificates."""

from __future__ import annotations

import datetime as dt
import ssl
from functools import cache
from pathlib import Path

import trustme

from tests.faults import FaultServer, Tls, fine

_DAY = dt.timedelta(days=1)


@cache
def authority() -> trustme.CA:
    """Return the one that signs; nobody trusts it unless told to."""
    return trustme.CA()


def certificate(name: str = "127.0.0.1", *, begins: int = -2, ends: int = 2) -> trustme.LeafCert:
    """Return a certificate made out to the name, valid between so many days from now."""
    now = dt.datetime.now(dt.UTC)
    return authority().issue_cert(name, not_before=now + begins * _DAY, not_after=now + ends * _DAY)


def trust(folder: Path) -> str:
    """Return the path of a file that makes OpenSSL trust the authority."""
    path = folder / "authority.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


def server_context(found: trustme.LeafCert) -> ssl.SSLContext:
    """Return what a server needs to speak TLS with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.configure_cert(context)
    return context


def tls_server(found: trustme.LeafCert) -> FaultServer:
    """Return a healthy server that speaks TLS with this certificate."""
    return FaultServer([Tls(server_context(found)), *fine()])
