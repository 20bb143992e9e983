"""Turn an error of httpcore or a socket into one of this package, by its chain of causes."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Any

import httpcore

from ollama_magics.errors import ConnectionProblem, OllamaMagicsError, RequestRefused
from ollama_magics.messages import Joined, Phrase
from ollama_magics.server.address import Address
from ollama_magics.server.failures import other_scheme, quote

# The class and number of a cause decide wherever they can: the text depends on the language of the system.
_RESET = {104, 54, 10054}
_UNREACHABLE = {101, 113, 51, 65, 10051, 10065}
_NOT_AVAILABLE = {99, 49, 10049}  # an address to listen on, not to connect to
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")
_STATUS_LINE = re.compile(r"illegal (?:status|request) line.*?bytearray\(b(['\"])(.*)\1\)", re.DOTALL)
_ALERT = r"\x15\x03"  # how a TLS alert begins, as the error message spells it
_TOO_EARLY, _WRONG_NAMES, _EXPIRED = 9, (62, 63, 64), 10  # OpenSSL's verify codes


_NOBODY_THERE = ("host-unknown", "lookup-failed", "address-refused", "address-silent", "address-is-wildcard")


def translated(error: Exception, address: Address, limit: float, proxy: str) -> OllamaMagicsError:
    """Return our error for one of httpx or httpcore; ``limit`` is in seconds, ``proxy`` is the one in use, as it is shown."""
    return _with_source(_translated(error, address, limit, proxy), address)


def _with_source(error: OllamaMagicsError, address: Address) -> OllamaMagicsError:
    """Return the error, which says where the address is from if nobody is there."""
    if error.code not in _NOBODY_THERE or address.known is None or address.drop is None:
        return error
    known, remedy = Joined((error.phrase("how_we_know"), address.known), " "), Joined((error.phrase("remedy"), address.drop))
    return error.with_advice(known, remedy)


def _translated(error: Exception, address: Address, limit: float, proxy: str) -> OllamaMagicsError:
    facts = _facts(error, address)
    causes: list[BaseException] = [error]  # the deepest last
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)

    # the proxy failed, not the server: every connection goes to the proxy, and only TLS goes through it
    connecting = isinstance(error, (httpcore.ConnectError, httpcore.ConnectTimeout))
    is_tls = any(isinstance(cause, ssl.SSLError) for cause in causes)
    if isinstance(error, httpcore.ProxyError) or (connecting and proxy and not is_tls):
        said = Phrase("named_said", name=proxy, said=quote(str(causes[-1])))
        is_refused = isinstance(error, httpcore.ProxyError)
        return ConnectionProblem("proxy-refused" if is_refused else "proxy-failed", **facts, reason=said)

    if isinstance(error, httpcore.ConnectTimeout):
        return _connect_timeout(causes, facts, limit)
    if isinstance(error, httpcore.TimeoutException):
        return ConnectionProblem("server-silent", **facts, seconds=f"{limit:g}")
    if isinstance(error, httpcore.ConnectError):
        return _connect_error(causes, facts)
    if isinstance(error, httpcore.LocalProtocolError):
        return RequestRefused("answer-unreadable", status=0, reason=Phrase("bad_request"))
    return _broken(error, facts)


def of_socket(error: OSError, address: Address, limit: float) -> OllamaMagicsError:
    """Return our error for one of a plain socket or of a look-up."""
    facts = _facts(error, address)
    is_late = isinstance(error, TimeoutError)
    return _with_source(_connect_timeout([error], facts, limit) if is_late else _connect_error([error], facts), address)


def _facts(error: Exception, address: Address) -> dict[str, Any]:
    return {"url": address.url, "host": address.host, "port": address.port, "debug": type(error).__name__}


def _connect_timeout(causes: list[BaseException], facts: dict[str, Any], limit: float) -> ConnectionProblem:
    text, seconds = " ".join(str(cause) for cause in causes), f"{limit:g}"
    if "handshake" in text:
        return ConnectionProblem("tls-failed", **facts, reason=Phrase("handshake_silent", seconds=seconds))
    if "look-up" in text:
        return ConnectionProblem("lookup-failed", **facts, reason=Phrase("look_up_silent", seconds=seconds))
    return ConnectionProblem("address-silent", **facts, reason=Phrase("no_connection_within", seconds=seconds))


def _connect_error(causes: list[BaseException], facts: dict[str, Any]) -> ConnectionProblem:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            reason = quote(cause.strerror or str(cause))
            if cause.errno == socket.EAI_AGAIN:
                return ConnectionProblem("lookup-failed", **facts, reason=Phrase("look_up_said", said=reason))
            return ConnectionProblem("host-unknown", **facts, reason=reason)
        if isinstance(cause, ssl.SSLError):
            return _tls_error(cause, facts)
        if isinstance(cause, OSError) and (error := _error_by_number(cause, facts)):
            return error
    return ConnectionProblem("connection-broken", **facts, reason=f"{quote(str(causes[-1])).rstrip('.')}.")


def _error_by_number(cause: OSError, facts: dict[str, Any]) -> ConnectionProblem | None:
    if isinstance(cause, ConnectionRefusedError):
        return ConnectionProblem("address-refused", **facts)
    if cause.errno in _NOT_AVAILABLE:
        return ConnectionProblem("address-is-wildcard", **facts)
    if cause.errno in _UNREACHABLE:
        return ConnectionProblem("address-silent", **facts, reason=Phrase("said", said=quote(str(cause))))
    if cause.errno in _RESET and facts["url"].startswith("https"):
        return ConnectionProblem("tls-failed", **facts, reason=Phrase("was_reset"))
    return None


def _tls_error(cause: ssl.SSLError, facts: dict[str, Any]) -> ConnectionProblem:
    if not isinstance(cause, ssl.SSLCertVerificationError):
        said = quote(str(cause.reason or cause))
        if cause.reason in _NOT_TLS:
            return ConnectionProblem("https-to-http", **facts, other=other_scheme(facts["url"]), reason=said)
        return ConnectionProblem("tls-failed", **facts, reason=Phrase("said", said=said))

    said = quote(cause.verify_message or str(cause))
    if cause.verify_code == _TOO_EARLY:
        return ConnectionProblem("certificate-not-yet-valid", **facts, said=said)
    kind = "expired" if cause.verify_code == _EXPIRED else "name" if cause.verify_code in _WRONG_NAMES else "unknown"
    reason, trust = Phrase(f"certificate_{kind}", said=said), Phrase(f"trust_{kind}", host=facts["host"])
    return ConnectionProblem("certificate-rejected", **facts, reason=reason, trust=trust)


def _broken(error: Exception, facts: dict[str, Any]) -> ConnectionProblem:
    if match := _STATUS_LINE.search(str(error)):
        if _ALERT in match[2]:
            return ConnectionProblem("http-to-https", **facts, other=other_scheme(facts["url"]), said="TLS")
        return ConnectionProblem("not-http", **facts, said=quote(match[2][:80]))
    reason = f"{quote(str(error))}." if str(error) else Phrase("was_reset")
    return ConnectionProblem("connection-broken", **facts, reason=reason)
