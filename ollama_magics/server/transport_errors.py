"""What httpcore raises, read along its cause chain and turned into one of our errors, without sending anything."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpcore

from ollama_magics.errors import ConnectionProblem, OllamaMagicsError, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.server.address import Address
from ollama_magics.server.http_errors import quote
from ollama_magics.server.transport import without_password

# Never by the text alone: the cause says what happened, and its number is the same in every language of the system.


_RESET = {104, 54, 10054}
_UNREACHABLE = {101, 113, 51, 65, 10051, 10065}
_NO_TARGET = {99, 49, 10049}  # an address to listen on, not to connect to
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")
_STATUS_LINE = re.compile(r"illegal (?:status|request) line.*?bytearray\(b(['\"])(.*)\1\)", re.DOTALL)
_ALERT = r"\x15\x03"  # how a TLS alert begins, as the error message spells it
_TOO_EARLY, _WRONG_NAMES, _EXPIRED = 9, (62, 63, 64), 10  # OpenSSL's verify codes


def translated(error: Exception, address: Address, limit: float, proxy: str | None) -> OllamaMagicsError:
    """Return our error for one of httpx or httpcore; ``limit``: how many seconds were waited, ``proxy``: what stood between."""
    where: dict[str, Any] = {"url": address.url, "host": address.host, "port": address.port, "debug": type(error).__name__}
    causes = list(_causes(error))
    if _is_proxys(error, causes, proxy):
        return _proxys(error, causes, where, without_password(proxy or ""))
    if isinstance(error, httpcore.ConnectTimeout):
        return _too_slow(causes, where, limit)
    if isinstance(error, httpcore.TimeoutException):
        return ConnectionProblem("server-silent", **where, seconds=f"{limit:g}")
    if isinstance(error, httpcore.ConnectError):
        return _no_connection(causes, where)
    if isinstance(error, httpcore.LocalProtocolError):
        return RequestRefused("answer-unreadable", status=0, reason=Phrase("bad_request"))
    return _broken(error, where)


def of_socket(error: OSError, address: Address, limit: float) -> OllamaMagicsError:
    """Return our error for one of a plain socket or of a look-up."""
    where: dict[str, Any] = {"url": address.url, "host": address.host, "port": address.port, "debug": type(error).__name__}
    if isinstance(error, TimeoutError):
        return _too_slow([error], where, limit)
    return _no_connection([error], where)


def _is_proxys(error: Exception, causes: list[BaseException], proxy: str | None) -> bool:
    """Whether the proxy failed, and not what is behind it: every connection goes to the proxy, and only TLS goes through it."""
    if isinstance(error, httpcore.ProxyError):
        return True
    connecting = isinstance(error, (httpcore.ConnectError, httpcore.ConnectTimeout))
    return connecting and bool(proxy) and not any(isinstance(cause, ssl.SSLError) for cause in causes)


def _proxys(error: Exception, causes: list[BaseException], where: dict[str, Any], proxy: str) -> ConnectionProblem:
    said = Phrase("named_said", name=proxy, said=quote(str(causes[-1])))
    if isinstance(error, httpcore.ProxyError):
        return ConnectionProblem("proxy-refused", **where, reason=said)
    return ConnectionProblem("proxy-failed", **where, reason=said)


def _too_slow(causes: list[BaseException], where: dict[str, Any], limit: float) -> ConnectionProblem:
    spoken = " ".join(str(cause) for cause in causes)
    seconds = f"{limit:g}"
    if "handshake" in spoken:
        return ConnectionProblem("tls-failed", **where, reason=Phrase("handshake_silent", seconds=seconds))
    if "look-up" in spoken:
        return ConnectionProblem("lookup-failed", **where, reason=Phrase("look_up_silent", seconds=seconds))
    return ConnectionProblem("address-silent", **where, reason=Phrase("no_connection_within", seconds=seconds))


def _no_connection(causes: list[BaseException], where: dict[str, Any]) -> ConnectionProblem:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return _no_name(cause, where)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _bad_certificate(cause, where)
        if isinstance(cause, ssl.SSLError):
            return _no_tls(cause, where)
        if isinstance(cause, OSError) and (error := _numbered(cause, where)):
            return error
    return ConnectionProblem("connection-broken", **where, reason=f"{quote(str(causes[-1]))}.")


def _numbered(cause: OSError, where: dict[str, Any]) -> ConnectionProblem | None:
    if isinstance(cause, ConnectionRefusedError):
        return ConnectionProblem("address-refused", **where)
    if cause.errno in _NO_TARGET:
        return ConnectionProblem("address-is-wildcard", **where)
    if cause.errno in _UNREACHABLE:
        return ConnectionProblem("address-silent", **where, reason=Phrase("said", said=quote(str(cause))))
    if cause.errno in _RESET and where["url"].startswith("https"):
        return ConnectionProblem("tls-failed", **where, reason=Phrase("was_reset"))
    return None


def _no_name(cause: socket.gaierror, where: dict[str, Any]) -> ConnectionProblem:
    reason = quote(cause.strerror or str(cause))
    if cause.errno == socket.EAI_AGAIN:
        return ConnectionProblem("lookup-failed", **where, reason=Phrase("look_up_said", said=reason))
    return ConnectionProblem("host-unknown", **where, reason=reason)


def _bad_certificate(cause: ssl.SSLCertVerificationError, where: dict[str, Any]) -> ConnectionProblem:
    said = quote(cause.verify_message or str(cause))
    if cause.verify_code == _TOO_EARLY:
        return ConnectionProblem("certificate-not-yet-valid", **where, said=said)
    kind = "expired" if cause.verify_code == _EXPIRED else "name" if cause.verify_code in _WRONG_NAMES else "unknown"
    return ConnectionProblem(
        "certificate-rejected",
        **where,
        reason=Phrase(f"certificate_{kind}", said=said),
        trust=Phrase(f"trust_{kind}", host=where["host"]),
    )


def _no_tls(cause: ssl.SSLError, where: dict[str, Any]) -> ConnectionProblem:
    said = quote(str(cause.reason or cause))
    if cause.reason in _NOT_TLS:
        return ConnectionProblem("https-to-http", **where, reason=said)
    return ConnectionProblem("tls-failed", **where, reason=Phrase("said", said=said))


def _broken(error: Exception, where: dict[str, Any]) -> ConnectionProblem:
    if match := _STATUS_LINE.search(str(error)):
        if _ALERT in match[2]:
            return ConnectionProblem("http-to-https", **where, said="TLS")
        return ConnectionProblem("not-http", **where, said=quote(match[2][:80]))
    reason = f"{quote(str(error))}." if str(error) else Phrase("was_reset")
    return ConnectionProblem("connection-broken", **where, reason=reason)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
