"""Parse the address of a server as the user typed or pasted it, with a reason for each change."""

from __future__ import annotations

import ipaddress
import itertools
import posixpath
import re
import shlex
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import quote, unquote

from ollama_magics import messages
from ollama_magics.errors import AddressError
from ollama_magics.messages import Phrase
from ollama_magics.secret import BULLETS, Secret

# Each step takes a text and returns it closer to its normal form, or raises AddressError. Tables hold the steps in order, each
# with the reason that is given when it changed the text. User name and password leave the text between _TEXT_STEPS and
# _LOCATION_STEPS, so that no later step can show them.


class ChangeReason(StrEnum):
    """Why an address differs from the text that was typed: the name is a stable key, the value an English clause."""

    BLANK = "nothing was typed, and this is Ollama's default address"
    INVISIBLE = "characters that cannot be seen were left out"
    EDGES = "spaces, quotes and marks around the address were left out"
    STRAY = "spaces and marks inside the address were left out, or are meant as :"
    PICKED = "only the address was taken from the text"
    NO_ADDRESS = "the command names no address, and this is Ollama's default address"
    USERINFO = "name and password are kept apart from the address"
    WIDE = "full-width characters were written as plain ones"
    QUERY = "the part after ? or # is not used"
    BRACKETS = "an IPv6 address needs brackets"
    MACHINE = "no host was typed, so it is the kernel's own machine"
    NETWORK_NAME = "DNS has such a name in ASCII letters only"
    BIND = "0.0.0.0, :: and * are addresses to listen on; clients connect to the loopback address"
    CLOUD = "ollama.com is reached over https"
    SCHEME = "no http:// was typed"
    PORT = "no port was typed, and Ollama's own is 11434"
    PATH = "paths such as /api/chat or /v1 are added with each request"
    SPELLING = "this is the usual spelling"


_Step = tuple[Callable[[str], str], ChangeReason]


def apply_steps(text: str, steps: tuple[_Step, ...]) -> tuple[str, list[ChangeReason]]:
    """Return the text after all steps, and the reasons of those that changed it."""
    reasons = []
    for step, reason in steps:
        before, text = text, step(text)
        if text != before:
            reasons.append(reason)
    return text, reasons


def replacing(pattern: str, new: str) -> Callable[[str], str]:
    """Return a step that replaces every match of the pattern."""
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda text: compiled.sub(new, text)


_MAX_SHOWN = 100
_TEXT_WITH_SPACES = "a text with spaces"
_COMMAND_START = r"[$>!%#(& '\"`]*"
_FETCH = re.compile(_COMMAND_START + r"(curl(?:\.exe)?|wget|https?|i[rw][mr]|invoke-(?:webrequest|restmethod)) ", re.IGNORECASE)
_OLLAMA = re.compile(_COMMAND_START + r"(ollama(?:_config|_check)?) ", re.IGNORECASE)
_USERINFO = re.compile(r"([^@＠﹫:：/／]*+[:：][/／\\]{2,}+|)(.*)[@＠﹫](.*)", re.DOTALL)


def split_userinfo(text: str) -> tuple[str, str | None, str]:
    """Return the text before user name and password, these two (None where there are none), and the text after them."""
    parts = _USERINFO.fullmatch(text)
    return (parts[1], parts[2], parts[3]) if parts else ("", None, text)


def shown(text: str) -> str:
    """Return the text as it may be shown: on one line, shortened, without user name, password and query."""
    command = _FETCH.match(text) or _OLLAMA.match(text)
    if len(text.split()) > 1:
        return f"{command[1]} …" if command else _TEXT_WITH_SPACES
    front, userinfo, rest = split_userinfo(text.strip())
    plain = front + ("" if userinfo is None else f"{BULLETS}@") + re.sub(r"[?#？＃].+", "?…", rest, flags=re.DOTALL)
    return "".join(char if char.isprintable() else "\ufffd" for char in plain[:_MAX_SHOWN])


def address_error(text: str, reason: str, **facts: object) -> AddressError:
    """Return the error for a text that is no address; ``reason`` is the key of a phrase."""
    typed = Phrase("spaced_text") if (found := shown(text)) == _TEXT_WITH_SPACES else found
    return AddressError("address-unusable", typed=typed, reason=Phrase(reason, **facts))


DEFAULT_URL = "http://127.0.0.1:11434"
_MAX_TEXT = 20_000  # encoding makes a path up to three times as long, and httpx takes 65 536 characters
_QUOTES_AND_SPACES = " '\"`<>()“”„‘’‚«»「」『』《》（）＂＇"
_END_MARKS = ".,;。，；、"
_TAKES_VALUE = re.compile(
    r"-[sSfLkNiv]*[AFHTXbcdemouwx]|--(?:cacert|cert|connect-timeout|cookie|data|data-binary|data-raw|form|header|json|key"
    r"|max-time|output|proxy|request|retry|user|user-agent|write-out)"
)
_OPTION = re.compile(r"-d@.*|-[^@＠﹫]*", re.DOTALL)  # what holds an @ may be the rest of a password
_NAMED_VALUE = re.compile(
    r"""(?:^|[\s"'(\[,]|\$env:)(?:(?:OLLAMA_HOST|OLLAMA_BASE_URL|OLLAMA_API_BASE|base_url)["'\]]*\s?[=:,]"""
    r"""|(?<=\()host=|(?:setx|setenv)\sOLLAMA_HOST\s|--?(?:base-)?ur[il][\s=])\s?"""
    # up to the last @ of the line: a value cut inside a password would show half of it
    r"""((?:"[^"]*"|'[^']*')(?!.*[@＠﹫])|(?:.*[@＠﹫])?\S*)""",
    re.IGNORECASE,
)
_URL_WORD = re.compile(r"""["'<(]*https?://""", re.IGNORECASE)
_HOST_WORD = re.compile(r"[.:/]|localhost")
_OTHER_SCHEME = re.compile(
    r"(?!https?:)([a-z](?=:\\)|[a-z][a-z0-9+.-]*(?=://)|(?:data|file|ftp|mailto|sftp|ssh|unix|wss?)(?=:(?!\d)))", re.IGNORECASE
)


def _without_invisible(text: str) -> str:
    if len(text) > _MAX_TEXT:
        raise AddressError("address-unusable", typed=Phrase("long_text"), reason=Phrase("longer_than", most=_MAX_TEXT))
    return "".join(char for char in text if char.isspace() or unicodedata.category(char) not in {"Cc", "Cf"})


def _find_address(text: str) -> str:
    """Return the value of a setting such as OLLAMA_HOST in the text, or the word that is an address."""
    named = _NAMED_VALUE.search(text)
    found = named[1] if named else _address_word(text) if " " in text else text
    # PowerShell's users type (Invoke-WebRequest … -uri URL).Content
    return text if found == text else _trimmed(re.sub(r"\)[^)@＠﹫]*$", "", found))


_CUT_HOST = re.compile(r"(?i:https?:/+)[^\s:/]+ [^\s:/@]+:\d")  # a space inside the host, since its port stands behind it
_SPACED = re.compile(r"(?i:https?[:：][/／\\]+)?(?:\[[^\]]*\]|[^\s:：/／\\\[\]@＠]+)(?:[:：]\d{1,5})?(?:[/／\\]\S*)?")


def _without_stray_spaces(text: str) -> str:
    """Return the address without the spaces inside it, or the text where it is more than an address."""
    if " " not in text or _NAMED_VALUE.search(text):
        return text
    joined = re.sub(r"^([^\s:：/／]+) (\d{2,5})$", r"\1:\2", re.sub(r" *([:：/／\\]+) *", r"\1", text))
    return joined if _SPACED.fullmatch(joined) else text


def _address_word(text: str) -> str:
    """Return the word that is an address, or the whole text where none is."""
    words = text.split()
    is_fetch = bool(_FETCH.match(text))
    if is_fetch:
        with suppress(ValueError):  # a quote that is not closed
            words = shlex.split(text)
        pairs = itertools.pairwise(words)
        words = [word for before, word in pairs if not _TAKES_VALUE.fullmatch(before) and not _OPTION.fullmatch(word)]
    found = list(filter(_URL_WORD.match, words)) or (list(filter(_HOST_WORD.search, words)) if is_fetch else [])
    if found and re.search("[@＠﹫]", " ".join(words).partition(found[0])[2]):
        raise AddressError("password-ambiguous")  # the word was cut inside a password
    if found and not is_fetch and _CUT_HOST.match(text, text.index(found[0])):
        raise address_error(text, "spaces_inside")
    return found[0] if found else text


def _trimmed(text: str) -> str:
    return text.strip(_QUOTES_AND_SPACES).rstrip(_QUOTES_AND_SPACES + _END_MARKS)


def only_http(text: str) -> str:
    """Refuse any scheme but http and https."""
    if scheme := _OTHER_SCHEME.match(text):
        raise AddressError("scheme-unsupported", scheme=shown(scheme[1]))
    return text


_TEXT_STEPS: tuple[_Step, ...] = (
    (_without_invisible, ChangeReason.INVISIBLE),
    (replacing(r"[\\^`]\r?\n", " "), ChangeReason.EDGES),
    (lambda text: " ".join(text.split()), ChangeReason.EDGES),
    (_without_stray_spaces, ChangeReason.STRAY),
    (_find_address, ChangeReason.PICKED),
    (_trimmed, ChangeReason.EDGES),
    (lambda text: DEFAULT_URL if _OLLAMA.match(text) or _FETCH.match(text) else text, ChangeReason.NO_ADDRESS),
    (lambda text: text or DEFAULT_URL, ChangeReason.BLANK),
    (replacing(r"^(?:h?ttp|htp|htt|hhttp|htttp|httpp)(s?)[:;,.]{1,3}/+(?=[^/])", r"http\1://"), ChangeReason.SPELLING),
    (only_http, ChangeReason.SPELLING),
)


_OLLAMA_PORT, _LAST_PORT, _MAX_HOST = 11434, 65535, 253
_SCHEME_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}  # noqa: S104 - never listened on
_MODEL = re.compile(
    r"(?:hf|huggingface)\.co/.+|[a-z][\w-]*\.\d+(?::.*)?"
    r"|(?:[\w.-]+/)*[\w.-]+:(?:latest|[\w.-]*cloud|[ea]?\d+(?:x\d+)?(?:\.\d+)?[bm][\w.-]*)",
    re.IGNORECASE,
)
_BARE_IPV6 = r"^(https?://|)([0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*(?:%[^/]*)?)(?=/|$)"
_PARTS = re.compile(r"(?:(https?)://)?+(\[[^\]]*\]|[^:/\[\]]*)(?::([^/]*))?(/.*)?", re.DOTALL)
_NAME = re.compile(r"\*|(?!\.)(?:(?:^|\.)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)+")
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:\d+|0x[0-9a-f]*)$")
_API_PATH = re.compile(
    r"/(?:api(?:/(?:blobs(?:/[^/]*)?|chat|copy|create|delete|embed|embeddings|generate|me|ps|pull|push|show|tags|version))?"
    r"|v1(?:/(?:chat/completions|chat|completions|embeddings|messages|models(?:/[^/]*)?|responses))?)$",
    re.IGNORECASE,
)


def _half_width(text: str) -> str:
    if " " in text:
        raise address_error(text, "spaces_inside")
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
    if not parts or ("]" in location.partition("/")[0] and "[" not in location):
        raise address_error(location, "ipv6_with_port")
    scheme, host, port, path = parts.groups(default="")
    if not (bare := host.strip("[]")):
        raise address_error(location, "no_machine")
    number = int(port) if re.fullmatch(r"[0-9]{1,20}", port) else 0
    if port and not 0 < number <= _LAST_PORT:
        raise AddressError("port-invalid", port=shown(port))
    return scheme, bare, number or None, path


def scheme_and_port(scheme: str, host: str, port: int | None) -> tuple[str, int, list[ChangeReason]]:
    """Return the scheme and port to use, as for OLLAMA_HOST, and the reasons for those that were not typed."""
    if host == "ollama.com" and scheme != "https" and port in {None, *_SCHEME_PORTS.values()}:
        return "https", _SCHEME_PORTS["https"], [ChangeReason.CLOUD]
    if scheme:
        return scheme, port or _SCHEME_PORTS[scheme], []
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


_LOCATION_STEPS: tuple[_Step, ...] = (
    (_half_width, ChangeReason.WIDE),
    (replacing(r"[。｡]", "."), ChangeReason.WIDE),
    (lambda text: unquote(text) if re.match(r"https?%3A", text, re.IGNORECASE) else text, ChangeReason.SPELLING),
    (replacing(r"[?#].*", ""), ChangeReason.QUERY),
    (replacing(r"\\", "/"), ChangeReason.SPELLING),
    (replacing(r"^\[(https?://.*)\]$|^:?/{2,}(?=[^/])", r"\1"), ChangeReason.SPELLING),
    (replacing(r"^((?:https?://)?[^\s:/;,@\[\]]+)[;,](\d{2,5})(?=/|$)", r"\1:\2"), ChangeReason.STRAY),
    (only_http, ChangeReason.SPELLING),
    (replacing(r"^(?:(?:https?(?::/+|//+))*http(?::/+|//+)|http:(?!/))", "http://"), ChangeReason.SPELLING),
    (replacing(r"^(?:(?:https?(?::/+|//+))*https(?::/+|//+)|https:(?!/))", "https://"), ChangeReason.SPELLING),
    (_not_a_model, ChangeReason.SPELLING),
    (replacing(_BARE_IPV6, r"\1[\2]"), ChangeReason.BRACKETS),
    (replacing(r"^(https?://|):|^(?=\d+(?:/|$))", r"\g<1>127.0.0.1:"), ChangeReason.MACHINE),
)


_HOST_STEPS: tuple[_Step, ...] = (
    (str.lower, ChangeReason.SPELLING),
    (_ascii_name, ChangeReason.NETWORK_NAME),
    (replacing(r"\.$", ""), ChangeReason.SPELLING),
    (_checked_host, ChangeReason.SPELLING),
    (lambda host: _LOOPBACK.get(host, host), ChangeReason.BIND),
)


def _normal_path(path: str) -> tuple[str, list[ChangeReason]]:
    """Return the path as it is sent, without the part that each request adds, and the reasons."""
    encoded = re.sub(r"%(?![0-9a-fA-F]{2})", "%25", path).encode(errors="surrogatepass")
    whole = prefix = posixpath.normpath("/" + quote(encoded, safe="/%:@!$&*+=;.").lstrip("/")).rstrip("/")
    while (shorter := _API_PATH.sub("", prefix).rstrip("/" + _END_MARKS)) != prefix:
        prefix = shorter
    return prefix, [ChangeReason.SPELLING] * (whole != path) + [ChangeReason.PATH] * (prefix != whole)


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server."""

    typed: str  # for showing: one line, shortened, without user name, password and query
    scheme: str
    host: str  # without brackets
    port: int
    path: str = ""  # a prefix such as "/ollama"
    username: str | None = field(default=None, repr=False)  # a token is often typed as a user name
    password: Secret | None = None
    reasons: tuple[str, ...] = ()  # why ``url`` differs from the text that was typed
    known: Phrase | None = field(default=None, repr=False, compare=False)  # where it is from, for errors
    drop: Phrase | None = field(default=None, repr=False, compare=False)  # what to type to drop it

    @property
    def url(self) -> str:
        """The address in its normal form, without the default port of its scheme."""
        is_default = self.port == _SCHEME_PORTS[self.scheme]
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
    """Return the address that a text means, Ollama's default for an empty one; raises AddressError, and no other error."""
    text, changes = apply_steps(typed, _TEXT_STEPS)
    before, userinfo, after = split_userinfo(text)
    if userinfo and re.search(r"[/\\?#\s]", userinfo):
        raise AddressError("password-ambiguous")
    name, colon, password = (userinfo or "").partition(":")
    location, location_changes = apply_steps(before + after, _LOCATION_STEPS)
    typed_scheme, typed_host, typed_port, typed_path = split_location(location)
    host, host_changes = apply_steps(typed_host, _HOST_STEPS)
    scheme, port, defaults = scheme_and_port(typed_scheme, host, typed_port)
    path, path_changes = _normal_path(typed_path)
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
    """Return one line about an address and its source, such as ``profile gpu``; the environment replaces a ``saved`` one."""
    source, _, profile = source.partition(" ")
    source = "over" if saved else source
    if not address.reasons or source == "default":
        return messages.phrase(f"address_{source}", language, url=address.url, saved=saved, profile=profile)
    changed = address.explain()
    if language != "en":
        names = (f"why_{getattr(reason, 'name', 'spelling').lower()}" for reason in address.reasons)
        reasons = "；".join(messages.phrase(name, language) for name in names)
        changed = messages.phrase("address_changed", language, typed=address.typed, url=address.url, reasons=reasons)
    if source == "notebook":
        return changed
    return f"{changed} · {messages.phrase(f'from_{source}', language, saved=saved, profile=profile)}"
