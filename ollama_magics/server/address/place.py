"""Scheme, host, port and path of one address in their normal form; no name and password reaches this module."""

from __future__ import annotations

import ipaddress
import posixpath
import re
import unicodedata
from urllib.parse import quote

from ollama_magics.errors import AddressError
from ollama_magics.server.address.pasted import END_MARKS, only_http
from ollama_magics.server.address.shown import refusal, shown
from ollama_magics.server.address.steps import Step, Why, rewriting

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
        raise AddressError("OM-A04", model=shown(text))
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
        raise AddressError("OM-A02", port=shown(text))
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
