"""Parse the address of a server as the user typed it, with a reason for each change."""

from __future__ import annotations

import ipaddress
import posixpath
import re
import unicodedata
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from ollama_magics import messages
from ollama_magics.errors import AddressError
from ollama_magics.secret import Secret
from ollama_magics.server.address_text import (
    END_MARKS,
    TEXT_STEPS,
    ChangeReason,
    Step,
    address_error,
    apply_steps,
    only_http,
    replacing,
    shown,
    split_userinfo,
)

_OLLAMA_PORT, _LAST_PORT = 11434, 65535
SCHEME_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}  # noqa: S104 - never listened on
_MAX_HOST = 253
_MODEL = re.compile(
    r"(?:hf|huggingface)\.co/.+|[a-z][\w-]*\.\d+(?::.*)?"
    r"|(?:[\w.-]+/)*[\w.-]+:(?:latest|[\w.-]*cloud|[ea]?\d+(?:x\d+)?(?:\.\d+)?[bm][\w.-]*)",
    re.IGNORECASE,
)
_BARE_IPV6 = r"^(https?://|)([0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*(?:%[^/]*)?)(?=/|$)"
_PARTS = re.compile(r"(?:(https?)://)?+(\[[^\]]*\]|[^:/\[\]]*)(?::([^/]*))?(/.*)?", re.DOTALL)
_NAME = re.compile(r"\*|(?:(?:^|\.)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)+")
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:\d+|0x[0-9a-f]*)$")
_API_PATH = re.compile(
    r"/(?:api(?:/(?:blobs(?:/[^/]*)?|chat|copy|create|delete|embed|embeddings|generate|me|ps|pull|push|show|tags|version))?"
    r"|v1(?:/(?:chat/completions|chat|completions|embeddings|messages|models(?:/[^/]*)?|responses))?)$",
    re.IGNORECASE,
)


def _without_spaces(text: str) -> str:
    if " " in text:
        raise address_error(text, "spaces_inside")
    return text


def _half_width(text: str) -> str:
    # One character for one, so that no compatibility character (℀ would become a/c) can move the end of the host.
    narrow = (unicodedata.normalize("NFKC", char) for char in text)
    return "".join(new if new.isascii() and len(new) == 1 else old for old, new in zip(text, narrow, strict=True))


def _not_a_model(text: str) -> str:
    if _MODEL.fullmatch(text):
        raise AddressError("address-is-model", model=shown(text))
    return text


def split_location(location: str) -> tuple[str, str, int | None, str]:
    """Return scheme, host, port and path as they were typed, empty or None where one is missing."""
    parts = _PARTS.fullmatch(location)
    if not parts:
        raise address_error(location, "ipv6_with_port")
    scheme, host, port, path = parts.groups(default="")
    if not (bare := host.strip("[]")):
        raise address_error(location, "no_machine")
    number = int(port) if re.fullmatch(r"[0-9]{1,20}", port) else 0
    if port and not 0 < number <= _LAST_PORT:
        raise AddressError("port-invalid", port=shown(port))
    return scheme, bare, number or None, path


def scheme_and_port(scheme: str, host: str, port: int | None) -> tuple[str, int, list[ChangeReason]]:
    """Return the scheme and port to use, and the reasons for those that were not typed."""
    if host == "ollama.com" and scheme != "https" and port in {None, *SCHEME_PORTS.values()}:
        return "https", SCHEME_PORTS["https"], [ChangeReason.CLOUD]
    if scheme:
        return scheme, port or SCHEME_PORTS[scheme], []
    return "http", port or _OLLAMA_PORT, [ChangeReason.SCHEME] if port else [ChangeReason.SCHEME, ChangeReason.PORT]


def _ascii_name(host: str) -> str:
    # Letters, marks and digits only, and no ß or ς: for others Python's codec and DNS disagree.
    if len(host) > _MAX_HOST:
        raise address_error(host, "long_host", most=_MAX_HOST)
    try:
        name = host if host.isascii() else host.encode("idna").decode()
        labels = [label.removeprefix("xn--") for label in name.lower().split(".") if label.startswith("xn--")]
        letters = "".join(label.encode().decode("punycode") for label in labels)
    except UnicodeError:
        raise address_error(host, "bad_host") from None
    if "ß" in host or "ς" in host or any(unicodedata.category(char)[0] not in "LMN" for char in letters if char != "-"):
        raise address_error(host, "odd_host")
    return name


def _checked_host(host: str) -> str:
    if not is_numeric(host):
        if not _NAME.fullmatch(host):
            raise address_error(host, "bad_host")
        return host
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        raise address_error(host, "bad_number") from None
    if getattr(number, "scope_id", None):
        raise address_error(host, "zoned")
    return str(getattr(number, "ipv4_mapped", None) or number)


def is_numeric(host: str) -> bool:
    """Return whether the host must be an IP address."""
    return ":" in host or bool(_ENDS_IN_NUMBER.search(host))


def _normal_path(path: str) -> str:
    encoded = re.sub(r"%(?![0-9a-fA-F]{2})", "%25", path).encode(errors="surrogatepass")
    return posixpath.normpath("/" + quote(encoded, safe="/%:@!$&*+=;.").lstrip("/")).rstrip("/")


def _without_api_path(path: str) -> str:
    while (shorter := _API_PATH.sub("", path).rstrip("/" + END_MARKS)) != path:
        path = shorter
    return path


LOCATION_STEPS: tuple[Step, ...] = (
    (_without_spaces, ChangeReason.SPELLING),
    (_half_width, ChangeReason.WIDE),
    (replacing(r"[。｡]", "."), ChangeReason.WIDE),
    (replacing(r"[?#].*", ""), ChangeReason.QUERY),
    (replacing(r"\\", "/"), ChangeReason.SPELLING),
    (only_http, ChangeReason.SPELLING),
    (replacing(r"^(?:(?:https?(?::/+|//+))*http(?::/+|//+)|http:(?!/))", "http://"), ChangeReason.SPELLING),
    (replacing(r"^(?:(?:https?(?::/+|//+))*https(?::/+|//+)|https:(?!/))", "https://"), ChangeReason.SPELLING),
    (_not_a_model, ChangeReason.SPELLING),
    (replacing(_BARE_IPV6, r"\1[\2]"), ChangeReason.BRACKETS),
    (replacing(r"^(https?://|):|^(?=\d+(?:/|$))", r"\g<1>127.0.0.1:"), ChangeReason.MACHINE),
)


HOST_STEPS: tuple[Step, ...] = (
    (str.lower, ChangeReason.SPELLING),
    (_ascii_name, ChangeReason.NETWORK_NAME),
    (replacing(r"\.$", ""), ChangeReason.SPELLING),
    (_checked_host, ChangeReason.SPELLING),
    (lambda host: _LOOPBACK.get(host, host), ChangeReason.BIND),
)


PATH_STEPS: tuple[Step, ...] = ((_normal_path, ChangeReason.SPELLING), (_without_api_path, ChangeReason.PATH))


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server.

    ``host`` has no brackets; ``path`` is a prefix such as ``/ollama``, or empty. ``reasons`` says why ``url`` differs from the
    text that was typed, and is empty where it does not. ``typed`` is for showing: one line, shortened, without user name,
    password and query.
    """

    typed: str
    scheme: str
    host: str
    port: int
    path: str = ""
    username: str | None = field(default=None, repr=False)  # a token is often typed as a user name
    password: Secret | None = None
    reasons: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The address in its normal form, without the default port of its scheme."""
        is_default = self.port == SCHEME_PORTS[self.scheme]
        return (self.origin.removesuffix(f":{self.port}") if is_default else self.origin) + self.path

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port always written; a key is bound to it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the address is one of the kernel's own machine, by its spelling alone."""
        name = f".{self.host}".endswith(".localhost")
        return name or (is_numeric(self.host) and ipaddress.ip_address(self.host).is_loopback)

    @property
    def from_bind(self) -> bool:
        """Whether an address to listen on (0.0.0.0, ``::``, ``*``) was typed and replaced by the loopback address."""
        return ChangeReason.BIND in self.reasons

    def explain(self) -> str:
        """Return "typed … → used …, because …" in English, or an empty text where nothing was changed."""
        because = f"typed {self.typed or 'nothing'} → used {self.url}, because {'; '.join(self.reasons)}"
        return because if self.reasons else ""


def parse(typed: str) -> Address:
    """Return the address that a text means; raises AddressError, and no other error, whatever the text.

    An empty text means Ollama's default address. As in OLLAMA_HOST, the default port is 11434, with ``http://`` 80 and with
    ``https://`` 443; but an invalid port is an error, where Ollama silently uses its default.
    """
    text, changes = apply_steps(typed, TEXT_STEPS)
    before, userinfo, after = split_userinfo(text)
    if userinfo and re.search(r"[/\\?#\s]", userinfo):
        raise AddressError("password-ambiguous")
    name, colon, password = (userinfo or "").partition(":")
    location, location_changes = apply_steps(before + after, LOCATION_STEPS)
    typed_scheme, typed_host, typed_port, typed_path = split_location(location)
    host, host_changes = apply_steps(typed_host, HOST_STEPS)
    scheme, port, defaults = scheme_and_port(typed_scheme, host, typed_port)
    path, path_changes = apply_steps(typed_path, PATH_STEPS)
    found_inside = ChangeReason.PICKED in changes and ChangeReason.BLANK not in changes
    address = Address(
        typed=f"… {shown(text)}" if found_inside else shown(typed),
        scheme=scheme,
        host=host,
        port=port,
        path=path,
        username=unquote(name) if userinfo else None,
        password=Secret(unquote(password)) if colon else None,
    )
    userinfo_change = [] if userinfo is None else [ChangeReason.USERINFO]
    reasons = dict.fromkeys([*changes, *userinfo_change, *location_changes, *host_changes, *defaults, *path_changes])
    respelt = () if typed == address.url else (ChangeReason.SPELLING,)
    return replace(address, reasons=tuple(reasons) or respelt)


def address_told(address: Address, source: str, saved: str, language: str) -> str:
    """Return one line about an address and its source; ``saved`` is an address that an environment variable replaces."""
    source = "over" if saved else source
    if not address.reasons:
        return messages.phrase(f"address_{source}", language, url=address.url, saved=saved)
    changed = address.explain()
    if language != "en":
        names = (f"why_{getattr(reason, 'name', 'spelling').lower()}" for reason in address.reasons)
        reasons = "；".join(messages.phrase(name, language) for name in names)
        changed = messages.phrase("address_changed", language, typed=address.typed, url=address.url, reasons=reasons)
    if source in ("default", "notebook"):
        return changed
    return f"{changed} · {messages.phrase(f'from_{source}', language, saved=saved)}"
