"""Where we connect, read from what the user typed, with the reasons."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from ollama_magics.errors import AddressError
from ollama_magics.secret import Secret
from ollama_magics.server.address.pasted import TEXT
from ollama_magics.server.address.place import HOST, PATH, PLACE, SCHEME_PORTS, connection, is_numeric, split
from ollama_magics.server.address.shown import apart, shown
from ollama_magics.server.address.steps import Why, run


@dataclass(frozen=True, slots=True)
class Address:
    """Where we connect, and why.

    ``host`` has no brackets; ``path`` is a true prefix such as ``/ollama``, or empty. ``reasons`` is empty exactly when
    the text typed was already the ``url``. ``typed`` is for showing: one line, cut, without name, password and query.
    """

    typed: str
    scheme: str
    host: str
    port: int
    path: str = ""
    username: str | None = field(default=None, repr=False)  # hidden as well: a token is often typed as a name
    password: Secret | None = None
    reasons: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The address in its normal form: 80 of http and 443 of https are not written, every other port is."""
        usual = self.port == SCHEME_PORTS[self.scheme]
        return (self.origin.removesuffix(f":{self.port}") if usual else self.origin) + self.path

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port always written: what a key is bound to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the address means the machine of the kernel, by its spelling alone."""
        name = f".{self.host}".endswith(".localhost")
        return name or (is_numeric(self.host) and ipaddress.ip_address(self.host).is_loopback)

    @property
    def from_bind(self) -> bool:
        """Whether an address to listen on (0.0.0.0, ``::``, ``*``) was typed and turned into loopback."""
        return Why.BIND in self.reasons

    def explain(self) -> str:
        """Return "typed … → used …, because …", or an empty text where nothing was changed."""
        because = f"typed {self.typed or 'nothing'} → used {self.url}, because {'; '.join(self.reasons)}"
        return because if self.reasons else ""


def parse(typed: str) -> Address:
    """Return where we connect; nothing but AddressError is raised, whatever the text.

    Blank means Ollama's default address. No scheme means port 11434, ``http://`` 80 and ``https://`` 443, as Ollama
    itself reads OLLAMA_HOST; but a typed port that is none is refused, where Ollama silently takes its default.
    """
    text, changes = run(typed, TEXT)
    front, userinfo, rest = apart(text)
    username, password = _credentials(userinfo)
    place, tidied = run(front + rest, PLACE)
    typed_scheme, typed_host, typed_port, typed_path = split(place)
    host, named = run(typed_host, HOST)
    scheme, port, supplied = connection(typed_scheme, host, typed_port)
    path, shortened = run(typed_path, PATH)
    as_typed = f"… {shown(text)}" if Why.PICKED in changes and Why.BLANK not in changes else shown(typed)
    address = Address(as_typed, scheme, host, port, path, username, password)
    moved = [] if userinfo is None else [Why.USERINFO]
    reasons = dict.fromkeys([*changes, *moved, *tidied, *named, *supplied, *shortened])
    respelt = () if typed == address.url else (Why.SPELLING,)
    return replace(address, reasons=tuple(reasons) or respelt)


def _credentials(userinfo: str | None) -> tuple[str | None, Secret | None]:
    if userinfo and re.search(r"[/\\?#\s]", userinfo):
        raise AddressError("OM-A05")
    name, colon, password = (userinfo or "").partition(":")
    return (unquote(name) if userinfo else None), (Secret(unquote(password)) if colon else None)
