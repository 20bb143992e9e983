"""What is found out about a failure on the spot, all at the same time, so that the advice fits this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ollama_magics.diagnosis.advice import Case, advise
from ollama_magics.diagnosis.counterprobes import look_elsewhere
from ollama_magics.diagnosis.identity import looks_of
from ollama_magics.diagnosis.reaching import Knock, banner, in_parallel, knock, look_up, speaks_tls
from ollama_magics.diagnosis.surroundings import World, look_around
from ollama_magics.errors import ConnectionProblem, OllamaMagicsError
from ollama_magics.server.address.reading import Address
from ollama_magics.server.client.server import Client

# after these, other addresses are tried
_WORTH_A_LOOK = {f"OM-D{number:02}" for number in (1, 2, 3, 6, 7, 10, 13, 14, 15, 16, 18, 23, 24, 25, 31, 33)}

_Look = tuple[str, Callable[[], object]]  # which field of a case it fills, and how


@dataclass(frozen=True)
class Failure:
    """What went wrong, and where; ``probes`` allows the look at other addresses."""

    error: OllamaMagicsError
    address: Address
    world: World
    client: Client | None = None
    knocks: tuple[Knock, ...] = ()
    probes: bool = True


def explained(failure: Failure, seconds: float) -> OllamaMagicsError:
    """Return the error as it is to be told on this machine, after a look around of so many seconds at the most."""
    error, address = failure.error, failure.address
    if not (error.code.startswith("OM-D") and isinstance(error, ConnectionProblem)):
        return error
    around = look_around(failure.world)
    looks: list[_Look] = list(_looks(failure))
    if failure.probes and error.code in _WORTH_A_LOOK:
        looks.append(("found", lambda: tuple(look_elsewhere(address, around, failure.world))))
    found = dict(in_parallel(looks, lambda look: (look[0], look[1]()), seconds))
    return advise(Case(error, address, around, knocks=failure.knocks, **found))  # type: ignore[arg-type] # by name


def _looks(failure: Failure) -> Iterator[_Look]:
    code, address, client = failure.error.code, failure.address, failure.client
    opened = next((one for one in failure.knocks if one.error is None), None)
    if code in ("OM-D13", "OM-D14", "OM-D31") and opened and address.scheme == "http":
        yield "banner", lambda: banner(opened.address, opened.port)
        yield "tls", lambda: speaks_tls(opened.address, opened.port)
    if code == "OM-D24" and client:
        yield "looks", lambda: looks_of(client)
    if code in ("OM-D19", "OM-D20", "OM-D21"):
        yield "direct", lambda: _direct(failure)


def _direct(failure: Failure) -> tuple[Knock, ...]:
    try:
        return tuple(knock(look_up(failure.world, failure.address, 1), failure.address.port, 1))
    except OllamaMagicsError:
        return ()
