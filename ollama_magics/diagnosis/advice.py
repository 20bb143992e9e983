"""Map a connection error to advice for this environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ollama_magics.diagnosis import advice_table as table
from ollama_magics.diagnosis import probes
from ollama_magics.diagnosis.environment import LIKELY, Environment, Platform, detect_platform
from ollama_magics.diagnosis.probes import LOOPBACK, ConnectAttempt, FoundServer
from ollama_magics.errors import ConnectionProblem, OllamaMagicsError
from ollama_magics.messages import Joined, Phrase
from ollama_magics.server.address import Address
from ollama_magics.server.background import in_parallel
from ollama_magics.server.client import Client
from ollama_magics.server.failures import other_scheme

# A command with an address is offered only for an address that has just answered as Ollama. All other advice is general.

_PHRASE_KINDS = {"podman": "container"}  # kinds of platform that share a phrase with another
_TRY_OTHER_ADDRESSES = {
    "host-unknown",
    "lookup-failed",
    "address-refused",
    "address-refused-remote",
    "address-silent",
    "address-is-wildcard",
    "connection-broken",
    "not-http",
    "https-to-http",
    "http-to-https",
    "tls-failed",
    "redirect-refused",
    "not-ollama",
    "path-unknown",
    "server-silent",
    "gateway-failed",
}


@dataclass(frozen=True)
class Failure:
    """An error of a check; ``client`` and ``attempts`` come from the connection stage, ``probes`` allows other addresses."""

    error: OllamaMagicsError
    address: Address
    environment: Environment
    client: Client | None = None
    attempts: tuple[ConnectAttempt, ...] = ()
    probes: bool = True


@dataclass(frozen=True)
class FailureContext:
    """A failure with everything that was found out about it."""

    error: OllamaMagicsError
    address: Address
    platform: Platform
    found: tuple[FoundServer, ...] = ()
    attempts: tuple[ConnectAttempt, ...] = ()
    direct: tuple[ConnectAttempt, ...] = ()
    banner: str = ""
    tls: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that every connection problem names."""
        return {"url": self.address.url, "host": self.address.host, "port": self.address.port}

    @property
    def refused(self) -> str:
        """The addresses that refused the connection."""
        endpoints = ", ".join(one.endpoint for one in self.attempts if one.is_refused)
        return endpoints or self.address.origin.partition("//")[2]

    @property
    def indication(self) -> Phrase:
        """Where the kernel runs, in words."""
        kind = "container" if self.platform.kind == "plain" and self.is_container else self.platform.kind
        return Phrase(f"in_{_PHRASE_KINDS.get(kind, kind)}")

    @property
    def kernel(self) -> tuple[str, ...]:
        """Words for where the kernel runs, as in the table of advice."""
        words = table.kernel_of(self.platform)
        return ("container", *words) if words == ("plain",) and self.is_container else words

    @property
    def is_container(self) -> bool:
        """Whether this is probably a container, or may be one and an address outside of it has answered."""
        outside = any(not one.address.is_loopback for one in self.found)
        weight = self.platform.weight("container", "podman", "kubernetes")
        return weight >= LIKELY or (weight > 0 and outside)


def explain(failure: Failure, seconds: float) -> OllamaMagicsError:
    """Return the error with advice for this environment, after examining the failure for at most so many seconds."""
    error = failure.error
    if not isinstance(error, ConnectionProblem):
        return error
    platform = detect_platform(failure.environment)
    findings: dict[str, Any] = dict(in_parallel(_examinations(failure, platform), lambda one: (one[0], one[1]()), seconds))
    context = FailureContext(error, failure.address, platform, attempts=failure.attempts, **findings)
    advice = _ADVICE.get(error.code)
    advised = _other_scheme(context) or (advice(context) if advice else error)
    if not context.found:
        return advised
    first, shown = context.found[0], context.found[:2]
    endpoint = first.address.origin.partition("//")[2]
    known = Phrase("answers_too", seen=advised.phrase("how_we_know"), found=endpoint, version=first.version)
    remedy = Joined([Phrase("use_found", url=one.address.url, version=one.version) for one in shown])
    return advised.with_advice(known, remedy).with_repair("base_url", *(one.address.url for one in shown))


def _examinations(failure: Failure, platform: Platform) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield (field of FailureContext, function that finds its value) for what may explain the failure."""
    error, address, environment = failure.error, failure.address, failure.environment

    def connect_directly() -> tuple[ConnectAttempt, ...]:
        with suppress(OllamaMagicsError):
            return tuple(probes.connect(probes.look_up(environment, address, 1), address.port, 1))
        return ()

    opened = next((one for one in failure.attempts if one.error is None), None)
    if error.code in ("connection-broken", "not-http", "server-silent") and opened and address.scheme == "http":
        yield "banner", lambda: probes.banner(opened.address, opened.port)
        yield "tls", lambda: probes.speaks_tls(opened.address, opened.port)
    if error.code in ("proxy-answered", "proxy-failed", "proxy-refused"):
        yield "direct", connect_directly
    if failure.probes and error.code in _TRY_OTHER_ADDRESSES:
        yield "found", lambda: tuple(probes.find_other_servers(address, platform, environment))


def _other_scheme(context: FailureContext) -> OllamaMagicsError | None:
    typed = (context.address.host, context.address.port, context.address.path)
    if context.error.code not in ("connection-broken", "not-http", "tls-failed", "server-silent"):
        return None
    answers = any((one.address.host, one.address.port, one.address.path) == typed for one in context.found)
    other = other_scheme(context.address.url)
    if context.address.scheme == "https" and answers:
        return ConnectionProblem(
            "https-to-http", **context.facts, other=other_scheme(context.address.url), reason=context.error.phrase("how_we_know")
        )
    return ConnectionProblem("http-to-https", **context.facts, other=other, said="TLS") if context.tls or answers else None


def _unreachable(outcome: str) -> Callable[[FailureContext], OllamaMagicsError]:
    """Return the function that gives the advice of the table for what came back."""

    def advised(context: FailureContext) -> OllamaMagicsError:
        address, platform = context.address, context.platform
        # the other loopback address (127.0.0.1 or ::1) on the same port
        found = [one.address for one in context.found if one.address.host in LOOPBACK and one.address.port == address.port]
        if outcome == "refused" and address.is_loopback and found and address.scheme == "http":
            answers = found[0].origin.partition("//")[2]
            return ConnectionProblem("address-family-refused", **context.facts, refused=context.refused, found=answers)

        target = table.target_of(address, platform, [one.address for one in context.attempts])
        row = table.row_for(outcome, context.kernel, target)
        facts = {
            **context.facts,
            "gateway": platform.gateway or "HOST",
            "bind": table.bind_of(address, platform, target),
            "network": table.network_of(address),
        }
        lines = [Phrase(key, **facts) for key in _keys(row, table.systems_of(platform, target))]
        return _error_of(row.code, context).with_advice(remedy=Joined(lines) if lines else None)

    return advised


def _keys(row: table.Row, systems: Sequence[str]) -> Iterator[str]:
    for key in row.lines:
        yield from [key.replace("*", system) for system in systems] if key.endswith("_*") else [key]


def _error_of(code: str, context: FailureContext) -> OllamaMagicsError:
    """Return the error with this code, or that of the connection if it has the code already."""
    if code != context.error.code:
        place, evidence = context.platform.kind.title(), context.indication
        return ConnectionProblem(code, **context.facts, refused=context.refused, evidence=evidence, place=place)
    if code == "address-refused":
        key = "refused_mirrored" if "wsl-mirrored" in context.kernel else "refused_on"
        return context.error.with_advice(Phrase(key, where=context.refused))
    return context.error


def _broken(context: FailureContext) -> OllamaMagicsError:
    if context.banner:
        return ConnectionProblem("not-http", **context.facts, said=Phrase("banner", said=context.banner[:80]))
    if context.error.code == "server-silent":
        return context.error.with_advice(remedy=Phrase("server_hangs"))
    if context.error.code == "connection-broken":
        return context.error.with_advice(Phrase("far_end"), Phrase("try_far_end"))
    return context.error


def _proxy_failed(context: FailureContext) -> OllamaMagicsError:
    opened = [one.endpoint for one in context.direct if one.error is None]
    if not opened:
        return context.error
    works = Phrase("direct_works", seen=context.error.phrase("how_we_know"), where=opened[0])
    return context.error.with_advice(works, Phrase("no_proxy", host=context.address.host))


def _redirected(context: FailureContext) -> OllamaMagicsError:
    location = str(context.error.facts.get("location", ""))
    scheme, _, rest = location.partition("://")
    host = rest.partition("/")[0].partition(":")[0]
    path = "/" + rest.partition("/")[2] if rest else ""
    if location.startswith("//"):
        return context.error
    if scheme in ("http", "https") and host == context.address.host and path.endswith("/api/version"):
        return context.error.with_advice(remedy=Phrase("redirect_same", url=location.removesuffix("/api/version")))
    if rest or not ("log" in location or "sign" in location):  # what a known program asks for was said with the error
        return context.error
    return context.error.with_advice(remedy=Phrase("use_login_page", host=context.address.host))


_ADVICE: dict[str, Callable[[FailureContext], OllamaMagicsError]] = {
    "host-unknown": _unreachable("unknown"),
    "address-refused": _unreachable("refused"),
    "address-silent": _unreachable("silent"),
    "connection-broken": _broken,
    "not-http": _broken,
    "proxy-answered": _proxy_failed,
    "proxy-failed": _proxy_failed,
    "proxy-refused": _proxy_failed,
    "redirect-refused": _redirected,
    "server-silent": _broken,
}
