"""Texts that are never shown in output, logs or errors, and how to know one by its name or form."""

from __future__ import annotations

import re

BULLETS = "••••"


class Secret:
    """A text that is printed as bullets, or as ``shown``; only ``reveal`` returns it.

    Example
    -------
    >>> key = Secret("abc")
    >>> print(key)
    ••••

    """

    __slots__ = ("_shown", "_value")

    def __init__(self, value: str, shown: str = BULLETS) -> None:
        self._value, self._shown = value, shown

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return self._shown

    def __format__(self, spec: str) -> str:
        return format(self._shown, spec)


NO_SECRET = Secret("")


def revealed(text: str | Secret) -> str:
    """Return the text of a secret, or a plain text unchanged."""
    return text.reveal() if isinstance(text, Secret) else text


# Names whose values are secrets, whatever they are; and those that are secrets where they are texts.
_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase)|secret|credential|bearer|(?:api|private|access|signing)[-_ ]?key|^authorization$|(?:^|[-_])pwd$",
    re.IGNORECASE,
)
_PERHAPS_SECRET_NAME = re.compile(r"[-_a-z](?:token|pat)$|[-_](?:key|auth)$", re.IGNORECASE)
_COMMON_NAME = re.compile(r"^(?:key|token|auth|pat)$", re.IGNORECASE)  # of loops and columns too
_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w./+=~:-]{12,}")  # a text that no one would type
_NAME = re.compile(r"[\w.-]+")
# What follows a name to which a text is assigned: name = "…", name: str = "…", "name": "…", ["name"] = "…", name="…".
# A text whose end is missing goes up to the end of its line.
_ASSIGNED = re.compile(
    r"""["']?\]?[ \t]*(?::[ \t]*[\w.\[\]| ]+?[ \t]*=|=(?!=)|:)[ \t]*[rbfu]{0,2}"""
    r"""(?:(?P<long>\"{3}|'{3})(?P<text>.+?)(?:(?P=long)|\Z)|(?P<quote>["'])(?P<line>[^\n]+?)(?:(?P=quote)|(?=\n|\Z)))""",
    re.IGNORECASE | re.DOTALL,
)
# A port is no password: a number before the path, or at the end of a text behind what only a host looks like, without an @.
_HOST_AND_PORT = r"""://(?:(?:\[[\da-f:.]+\]|[^\s/:@"']*):\d{1,5}\.?[/?#\s"'`),;\]}>]|(?:localhost|[\w-]+(?:\.[\w-]+)+):\d{1,5}\.?\Z)(?![^\s"']*@)"""
_IN_ADDRESS = re.compile(
    rf"(?P<before>(?!{_HOST_AND_PORT})://[^\s/:@\"']*:|[?&;](?:[\w-]*(?:key|token|secret|password|pwd|sig))=)[^\s&;@\"']+",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk)-[\w-]{8,}|\bgh[oprsu]_\w{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{12,}|\bhf_\w{16,}|\bxox[abeoprs]-[\w-]{8,}"
    r"|\bAKIA[A-Z\d]{12,}|\bAIza[\w-]{20,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?<=\bBearer )[\w./+=~-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def is_secret(name: str, value: object) -> bool:
    """Return whether a value is one to keep, by its type or by what it is called.

    Example
    -------
    >>> is_secret("api_key", "abc"), is_secret("sort_key", 3), is_secret("key", "name")
    (True, False, False)

    """
    if isinstance(value, Secret) or _SECRET_NAME.search(name):
        return True
    if not isinstance(value, (str, bytes)):
        return False
    text = value if isinstance(value, str) else value.decode("utf-8", "replace")
    return bool(_PERHAPS_SECRET_NAME.search(name) or (_COMMON_NAME.search(name) and _RANDOM.fullmatch(text)))


def without_secrets(text: str) -> str:
    """Return a text with bullets for what looks like a key: texts assigned to such names, passwords in addresses, known forms."""
    parts: list[str] = []
    position = 0
    for name in _NAME.finditer(text):
        assigned = _ASSIGNED.match(text, name.end()) if name.start() >= position else None
        part = "text" if assigned and assigned["text"] else "line"
        if assigned and is_secret(name[0].rpartition(".")[2], assigned[part]):
            parts += [text[position : assigned.start(part)], BULLETS]
            position = assigned.end(part)
    text = "".join([*parts, text[position:]])
    text = _IN_ADDRESS.sub(rf"\g<before>{BULLETS}", text)
    return _SHAPES.sub(BULLETS, text)
