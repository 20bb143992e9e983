"""Where to connect, read from what the user typed, with the reasons for each change."""

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
from ollama_magics.server.address_text import END_MARKS, TEXT, Step, Why, apart, only_http, refusal, rewriting, run, shown

_OLLAMA_PORT, _LAST_PORT = 11434, 65535
SCHEME_PORTS = {"http": 80, "https": 443}
_CONNECTABLE = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, never listened on
_LONGEST_HOST = 253
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


def _one_word(text: str) -> str:
    if " " in text:
        raise refusal(text, "spaces_inside")
    return text


def _narrow(text: str) -> str:
    # One sign for one sign, so that no compatibility character (℀ would become a/c) can move the end of the host.
    narrow = (unicodedata.normalize("NFKC", char) for char in text)
    return "".join(new if new.isascii() and len(new) == 1 else old for old, new in zip(text, narrow, strict=True))


def _no_model(text: str) -> str:
    if _MODEL.fullmatch(text):
        raise AddressError("address-is-model", model=shown(text))
    return text


def split(place: str) -> tuple[str, str, int | None, str]:
    """Return scheme, host, port and path as they were typed, empty or None where nothing was."""
    parts = _PARTS.fullmatch(place)
    if not parts:
        raise refusal(place, "ipv6_with_port")
    scheme, host, port, path = parts.groups(default="")
    if not (bare := host.strip("[]")):
        raise refusal(place, "no_machine")
    return scheme, bare, _port(port), path


def _port(text: str) -> int | None:
    number = int(text) if re.fullmatch(r"[0-9]{1,20}", text) else 0
    if text and not 0 < number <= _LAST_PORT:
        raise AddressError("port-invalid", port=shown(text))
    return number or None


def connection(scheme: str, host: str, port: int | None) -> tuple[str, int, list[Why]]:
    """Return scheme and port to connect to, and the reasons for what was supplied."""
    if host == "ollama.com" and scheme != "https" and port in {None, *SCHEME_PORTS.values()}:
        return "https", SCHEME_PORTS["https"], [Why.CLOUD]
    if scheme:
        return scheme, port or SCHEME_PORTS[scheme], []
    return "http", port or _OLLAMA_PORT, [Why.SCHEME] if port else [Why.SCHEME, Why.PORT]


def _network_name(host: str) -> str:
    # Letters, marks and digits only, and no ß or ς: for others Python's codec and the network disagree.
    if len(host) > _LONGEST_HOST:
        raise refusal(host, "long_host", most=_LONGEST_HOST)
    try:
        name = host if host.isascii() else host.encode("idna").decode()
        labels = [label.removeprefix("xn--") for label in name.lower().split(".") if label.startswith("xn--")]
        letters = "".join(label.encode().decode("punycode") for label in labels)
    except UnicodeError:
        raise refusal(host, "bad_host") from None
    if "ß" in host or "ς" in host or any(unicodedata.category(char)[0] not in "LMN" for char in letters if char != "-"):
        raise refusal(host, "odd_host")
    return name


def _checked_host(host: str) -> str:
    if is_numeric(host):
        return _plain_number(host)
    if not _NAME.fullmatch(host):
        raise refusal(host, "bad_host")
    return host


def is_numeric(host: str) -> bool:
    """Return whether the host must be an IP address."""
    return ":" in host or bool(_ENDS_IN_NUMBER.search(host))


def _plain_number(host: str) -> str:
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        raise refusal(host, "bad_number") from None
    if getattr(number, "scope_id", None):
        raise refusal(host, "zoned")
    return str(getattr(number, "ipv4_mapped", None) or number)


def _connectable(host: str) -> str:
    return _CONNECTABLE.get(host, host)


def _usual_path(path: str) -> str:
    encoded = re.sub(r"%(?![0-9a-fA-F]{2})", "%25", path).encode(errors="surrogatepass")
    return posixpath.normpath("/" + quote(encoded, safe="/%:@!$&*+=;.").lstrip("/")).rstrip("/")


def _prefix(path: str) -> str:
    while (shorter := _API_PATH.sub("", path).rstrip("/" + END_MARKS)) != path:
        path = shorter
    return path


PLACE: tuple[Step, ...] = (
    (_one_word, Why.SPELLING),
    (_narrow, Why.WIDE),
    (rewriting(r"[。｡]", "."), Why.WIDE),
    (rewriting(r"[?#].*", ""), Why.QUERY),
    (rewriting(r"\\", "/"), Why.SPELLING),
    (only_http, Why.SPELLING),
    (rewriting(r"^(?:(?:https?(?::/+|//+))*http(?::/+|//+)|http:(?!/))", "http://"), Why.SPELLING),
    (rewriting(r"^(?:(?:https?(?::/+|//+))*https(?::/+|//+)|https:(?!/))", "https://"), Why.SPELLING),
    (_no_model, Why.SPELLING),
    (rewriting(_BARE_IPV6, r"\1[\2]"), Why.BRACKETS),
    (rewriting(r"^(https?://|):|^(?=\d+(?:/|$))", r"\g<1>127.0.0.1:"), Why.MACHINE),
)


HOST: tuple[Step, ...] = (
    (str.lower, Why.SPELLING),
    (_network_name, Why.NETWORK_NAME),
    (rewriting(r"\.$", ""), Why.SPELLING),
    (_checked_host, Why.SPELLING),
    (_connectable, Why.BIND),
)


PATH: tuple[Step, ...] = ((_usual_path, Why.SPELLING), (_prefix, Why.PATH))


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
        raise AddressError("password-ambiguous")
    name, colon, password = (userinfo or "").partition(":")
    return (unquote(name) if userinfo else None), (Secret(unquote(password)) if colon else None)


def address_told(address: Address, source: str, saved: str, language: str) -> str:
    """Return one line about an address; ``saved`` is the one of a profile that the environment has taken the place of."""
    source = "over" if saved else source
    if not address.reasons:
        return messages.phrase(f"address_{source}", language, url=address.url, saved=saved)
    changed = _changed(address, language)
    if source in ("default", "notebook"):
        return changed
    return f"{changed} · {messages.phrase(f'from_{source}', language, saved=saved)}"


def _changed(address: Address, language: str) -> str:
    if language == "en":
        return address.explain()
    names = (f"why_{getattr(why, 'name', 'spelling').lower()}" for why in address.reasons)
    reasons = "；".join(messages.phrase(name, language) for name in names)
    return messages.phrase("address_changed", language, typed=address.typed, url=address.url, reasons=reasons)
