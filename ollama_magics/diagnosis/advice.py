"""Map a connection error to advice for this environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from ollama_magics.diagnosis.connectivity import ConnectAttempt, banner, connect, in_parallel, look_up, speaks_tls
from ollama_magics.diagnosis.environment import LIKELY, Environment, Surroundings, look_around
from ollama_magics.diagnosis.other_servers import HOST_NAMES, LOOPBACK, Found, ServerIdentity, look_elsewhere, looks_of
from ollama_magics.errors import ConnectionProblem, OllamaMagicsError
from ollama_magics.messages import Joined, Phrase
from ollama_magics.server.address import Address
from ollama_magics.server.client import Client


def start(around: Surroundings) -> Phrase:
    """Return how Ollama is started on the machine of this kernel."""
    system = around.host_system if around.host_system in ("mac", "windows") else "linux"
    return Joined([Phrase(f"start_{system}"), Phrase("start_none")])


def bind(around: Surroundings) -> Phrase:
    """Return how Ollama is made to listen to more than its own machine, and what that risks."""
    systems = {"desktop": ("mac", "windows")}.get(around.host_system, (around.host_system,))
    return Joined([Phrase("bind_warning"), *(Phrase(f"bind_{system}") for system in systems)])


def docker(around: Surroundings) -> Phrase:
    """Return how a container reaches the machine around it."""
    if around.place == "kubernetes":
        return Phrase("kubernetes_service")
    if around.place == "podman":
        return Joined([Phrase("docker_podman"), Phrase("docker_narrow")])
    if around.host_system in ("desktop", "mac", "windows"):
        return Joined([Phrase("docker_desktop"), bind(around)])
    return Joined([Phrase("docker_linux"), Phrase("docker_narrow")])


# A ready command stands only for an address that has just answered as Ollama; everything else is words and recipes.


_MOST_LINES = 5  # of a remedy, so that the whole stays within seven
_PLACES = {"podman": "container", "kaggle": "kaggle"}


@dataclass(frozen=True)
class FailureContext:
    """A failure with all that was found out about it."""

    error: OllamaMagicsError
    address: Address
    around: Surroundings
    found: tuple[Found, ...] = ()
    knocks: tuple[ConnectAttempt, ...] = ()
    direct: tuple[ConnectAttempt, ...] = ()
    looks: ServerIdentity | None = None
    banner: str = ""
    tls: bool = False

    @property
    def where(self) -> dict[str, Any]:
        """The facts that every connection problem names."""
        return {"url": self.address.url, "host": self.address.host, "port": self.address.port}

    @property
    def refused(self) -> str:
        """The addresses that refused."""
        return ", ".join(one.where for one in self.knocks if one.is_refused) or self.address.origin.partition("//")[2]

    @property
    def signs(self) -> Phrase:
        """What says where the kernel runs."""
        place = self.around.place
        return Phrase(f"in_{_PLACES.get(place, place)}")

    @property
    def is_container(self) -> bool:
        """Whether this looks like a container, or may be one and an address outside of it has answered."""
        outside = any(not one.address.is_loopback for one in self.found)
        weight = self.around.weight("container", "podman", "kubernetes")
        return weight >= LIKELY or (weight > 0 and outside)


def advise(case: FailureContext) -> OllamaMagicsError:
    """Return the error as it is to be told on this machine."""
    treat = _TREATMENTS.get(case.error.code)
    error = _other_scheme(case) or (treat(case) if treat else case.error)
    return _with_found(error, case)


def _other_scheme(case: FailureContext) -> OllamaMagicsError | None:
    """Return the error where the very same port has answered in the other way, with TLS or without."""
    mine = (case.address.host, case.address.port, case.address.path)
    if case.error.code not in ("connection-broken", "not-http", "tls-failed", "server-silent"):
        return None
    other = any((one.address.host, one.address.port, one.address.path) == mine for one in case.found)
    if case.address.scheme == "https" and other:
        return ConnectionProblem("https-to-http", **case.where, reason=case.error.phrase("how_we_know"))
    return ConnectionProblem("http-to-https", **case.where, said="TLS") if case.tls or other else None


def _with_found(error: OllamaMagicsError, case: FailureContext) -> OllamaMagicsError:
    if not case.found:
        return error
    lines = [Phrase("use_found", url=one.address.url, version=one.version) for one in case.found[:2]]
    first = case.found[0]
    where = first.address.origin.partition("//")[2]
    seen = Phrase("answers_too", seen=error.phrase("how_we_know"), found=where, version=first.version)
    return error.with_advice(seen, Joined(lines)).with_repair("base_url", *(one.address.url for one in case.found[:2]))


def _refused(case: FailureContext) -> OllamaMagicsError:
    address = case.address
    if address.host in HOST_NAMES or address.host == case.around.gateway:
        error = ConnectionProblem("address-refused-remote", **case.where, refused=case.refused)
        return error.with_advice(remedy=bind(case.around))
    if not address.is_loopback:
        return _refused_there(case)
    if twin := _twin(case):
        return ConnectionProblem("address-family-refused", **case.where, refused=case.refused, found=twin)
    return _refused_here(case)


def _refused_there(case: FailureContext) -> OllamaMagicsError:
    is_near = _is_private(case.address.host)
    remedy = Joined([Phrase("start_there", host=case.address.host), *([bind(case.around)] if is_near else [])])
    return ConnectionProblem("address-refused", **case.where).with_advice(Phrase("refused_on", where=case.refused), remedy)


def _refused_here(case: FailureContext) -> OllamaMagicsError:
    place = case.around.place
    if place in ("kaggle", "colab", "binder", "codespaces"):
        return ConnectionProblem(
            "address-refused-cloud", **case.where, refused=case.refused, signs=case.signs, place=place.title()
        )
    if place == "wsl":
        return _refused_in_wsl(case)
    if case.is_container:
        signs = case.signs if place != "plain" else Phrase("in_container")
        error = ConnectionProblem("address-refused-container", **case.where, refused=case.refused, signs=signs)
        return error.with_advice(remedy=docker(case.around))
    if place in ("ssh", "vscode"):
        return ConnectionProblem("address-refused-hub", **case.where, refused=case.refused, signs=case.signs)
    seen = Phrase("refused_on", where=case.refused)
    return ConnectionProblem("address-refused", **case.where).with_advice(seen, start(case.around))


def _refused_in_wsl(case: FailureContext) -> OllamaMagicsError:
    if case.around.is_mirrored:  # then this was Windows as well, and it is no question of addresses
        error = ConnectionProblem("address-refused", **case.where)
        seen = Phrase("refused_mirrored", where=case.refused)
        return error.with_advice(seen, Joined([Phrase("start_windows"), Phrase("start_here"), Phrase("start_none")]))
    error = ConnectionProblem("address-refused-wsl", **case.where, refused=case.refused, signs=case.signs)
    gateway = case.around.gateway or "HOST"
    return error.with_advice(remedy=Joined([Phrase("wsl_mirror"), Phrase("wsl_gateway", gateway=gateway), bind(case.around)]))


def _twin(case: FailureContext) -> str:
    """Return the other loopback address on the same port, where it has answered."""
    found = [one.address for one in case.found if one.address.host in LOOPBACK and one.address.port == case.address.port]
    return found[0].origin.partition("//")[2] if found and case.address.scheme == "http" else ""


def _silent(case: FailureContext) -> OllamaMagicsError:
    port = case.address.port
    lines = [Phrase("firewall_linux", port=port)] if case.around.host_system in ("linux", "desktop") else []
    if case.around.host_system in ("windows", "desktop"):
        lines.append(Phrase("firewall_windows", port=port))
    return case.error.with_advice(remedy=Joined([*lines, Phrase("no_probe")]))


def _unknown_name(case: FailureContext) -> OllamaMagicsError:
    if case.address.host in HOST_NAMES:
        return case.error.with_advice(remedy=docker(case.around))
    return case.error.with_advice(remedy=Phrase("no_probe")) if case.error.code == "host-unknown" else case.error


def _broken(case: FailureContext) -> OllamaMagicsError:
    if case.banner:
        return ConnectionProblem("not-http", **case.where, said=Phrase("banner", said=case.banner[:80]))
    if case.error.code == "server-silent":
        return case.error.with_advice(remedy=Phrase("server_hangs"))
    if case.error.code == "connection-broken":
        return case.error.with_advice(Phrase("far_end"), Phrase("try_far_end"))
    return case.error


def _stranger(case: FailureContext) -> OllamaMagicsError:
    if case.looks is None:
        return case.error
    kind, name = case.looks.kind, case.looks.name
    seen = Phrase(f"looks_{kind}", name=name)
    if kind == "openwebui":
        remedy = Phrase("use_openwebui", url=case.address.url)
    elif kind == "login":
        remedy = Phrase("use_login")
    else:
        remedy = Phrase("use_other", name=name) if name and kind != "proxy" else Phrase("no_probe")
    return case.error.with_advice(seen, remedy)


def _proxys(case: FailureContext) -> OllamaMagicsError:
    opened = [one.where for one in case.direct if one.error is None]
    if not opened:
        return case.error
    seen = Phrase("direct_works", seen=case.error.phrase("how_we_know"), where=opened[0])
    return case.error.with_advice(seen, Phrase("no_proxy", host=case.address.host))


def _elsewhere(case: FailureContext) -> OllamaMagicsError:
    location = str(case.error.facts.get("location", ""))
    scheme, _, rest = location.partition("://")
    host = rest.partition("/")[0].partition(":")[0]
    path = "/" + rest.partition("/")[2] if rest else ""
    if location.startswith("//"):
        return case.error
    if scheme in ("http", "https") and host == case.address.host and path.endswith("/api/version"):
        return case.error.with_advice(remedy=Phrase("redirect_same", url=location.removesuffix("/api/version")))
    return case.error.with_advice(remedy=Phrase("use_login")) if "log" in location or "sign" in location else case.error


def _is_private(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host


_TREATMENTS: dict[str, Callable[[FailureContext], OllamaMagicsError]] = {
    "host-unknown": _unknown_name,
    "lookup-failed": _unknown_name,
    "address-refused": _refused,
    "address-silent": _silent,
    "connection-broken": _broken,
    "not-http": _broken,
    "proxy-answered": _proxys,
    "proxy-failed": _proxys,
    "proxy-refused": _proxys,
    "redirect-refused": _elsewhere,
    "not-ollama": _stranger,
    "server-silent": _broken,
}


# after these, other addresses are tried
_WORTH_A_LOOK = {
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

_Look = tuple[str, Callable[[], object]]  # which field of a case it fills, and how


@dataclass(frozen=True)
class Failure:
    """What went wrong, and where; ``probes`` allows the look at other addresses."""

    error: OllamaMagicsError
    address: Address
    world: Environment
    client: Client | None = None
    knocks: tuple[ConnectAttempt, ...] = ()
    probes: bool = True


def explained(failure: Failure, seconds: float) -> OllamaMagicsError:
    """Return the error as it is to be told on this machine, after a look around of so many seconds at the most."""
    error, address = failure.error, failure.address
    if not isinstance(error, ConnectionProblem):
        return error
    around = look_around(failure.world)
    looks: list[_Look] = list(_looks(failure))
    if failure.probes and error.code in _WORTH_A_LOOK:
        looks.append(("found", lambda: tuple(look_elsewhere(address, around, failure.world))))
    found = dict(in_parallel(looks, lambda look: (look[0], look[1]()), seconds))
    return advise(FailureContext(error, address, around, knocks=failure.knocks, **found))  # type: ignore[arg-type] # by name


def _looks(failure: Failure) -> Iterator[_Look]:
    code, address, client = failure.error.code, failure.address, failure.client
    opened = next((one for one in failure.knocks if one.error is None), None)
    if code in ("connection-broken", "not-http", "server-silent") and opened and address.scheme == "http":
        yield "banner", lambda: banner(opened.address, opened.port)
        yield "tls", lambda: speaks_tls(opened.address, opened.port)
    if code == "not-ollama" and client:
        yield "looks", lambda: looks_of(client)
    if code in ("proxy-answered", "proxy-failed", "proxy-refused"):
        yield "direct", lambda: _direct(failure)


def _direct(failure: Failure) -> tuple[ConnectAttempt, ...]:
    try:
        return tuple(connect(look_up(failure.world, failure.address, 1), failure.address.port, 1))
    except OllamaMagicsError:
        return ()
