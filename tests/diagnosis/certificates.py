"""Servers with TLS on loopback, with good and with bad certificates."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import trustme

_DAY = dt.timedelta(days=1)
_ANSWER = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{"version":"0.24.0"}'
)


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


@contextmanager
def tls_server(found: trustme.LeafCert) -> Iterator[int]:
    """Run a server that speaks TLS with this certificate, and give its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, context), daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        accepted.settimeout(2)
        with accepted, suppress(OSError), context.wrap_socket(accepted, server_side=True) as secured:
            if secured.recv(65536):
                secured.sendall(_ANSWER)
