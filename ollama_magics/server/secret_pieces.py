"""Find pieces of a secret in a text: cut at either end, masked in the middle, broken by spaces, escaped any number of times."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import cached_property
from html.entities import html5

LEAST = 6  # characters of a secret at the end of a text that was cut
_LONG = 12  # characters of a secret of which pieces are searched; those of a shorter one are ordinary words
_PIECE = 8  # characters of a piece
_KNOWN_FORM = re.compile(r"https?://|(?:application|text|image)/[\w.+-]+", re.IGNORECASE)  # of a header that is no key
_MOST_LAYERS = 6  # of escapes in escapes
_KEY_STARTS = re.compile(
    r"sk-(?:proj|svcacct|admin|service|live|test|or-v\d|ant-(?:api|admin)\d\d)-|[spr]k_(?:live|test)_|github_pat_|eyJhbGciOi",
    re.IGNORECASE,
)  # how the keys of many people begin
# One escape: of JSON and Python (the backslashes of others are left out), of URLs, of HTML. Each character is read once or twice.
_ESCAPE = re.compile(
    r"\\++(?:u(?P<high>d[89ab][\da-f]{2})\\++u(?P<low>d[c-f][\da-f]{2})|x(?P<two>[\da-f]{2})"
    r"|(?-i:U000)(?P<five>[\da-f]{5})|u(?P<four>[\da-f]{4})|(?P<octal>[0-3][0-7]{2})|(?P<space>[nrtfv]))?"
    r"|%(?:25)*(?P<byte>[0-7][\da-f])|(?P<bytes>%(?:25)*[c-f][\da-f](?:%(?:25)*[89ab][\da-f]){1,3})"
    r"|&(?:amp;)*(?:\#0*(?P<number>\d{1,7})|\#x0*(?P<hexadecimal>[\da-f]{1,6})|(?P<name>[a-z][a-z\d]{1,30}));?",
    re.IGNORECASE,
)


class Pieces:
    """The pieces of secrets, of which any is found in a text; one that is no more than a common prefix of keys is not."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= _LONG and not _KNOWN_FORM.match(secret)]

    @cached_property
    def _by_length(self) -> dict[int, set[str]]:
        found: dict[int, set[str]] = {}
        for secret in self._secrets:
            for place, text in enumerate(encodings(secret)):
                whole = text.translate(_COMPARED)
                length = _PIECE * 2 if place == 1 else _PIECE  # hexadecimal digits: two of a character
                found.setdefault(length, set()).update(whole[at : at + length] for at in range(len(whole) - length + 1))
        return found

    @cached_property
    def _starts(self) -> list[str]:
        return [start[0].lower() for secret in self._secrets if (start := _KEY_STARTS.match(secret))]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the start and end of what is found; these may overlap."""
        layers = [text]
        while self._secrets and len(layers) <= _MOST_LAYERS:
            runs = list(self._runs(layers[-1].translate(_COMPARED)))
            if runs:
                places = _places(layers)
                yield from ((places[first][0], places[last - 1][1]) for first, last in runs)
            if not _ESCAPE.search(layers[-1]):
                break
            layers.append(_ESCAPE.sub(_meant, layers[-1]))

    def _runs(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the start and end of what is made of pieces only, and is more than a common prefix."""
        for length, pieces in self._by_length.items():
            runs = list[tuple[int, int]]()
            for place in [place for place in range(len(text) - length + 1) if text[place : place + length] in pieces]:
                first = runs.pop()[0] if runs and place <= runs[-1][1] else place
                runs.append((first, place + length))
            yield from ((first, last) for first, last in runs if not any(text[first:last] in one for one in self._starts))


class _Compared(dict[int, str]):
    """What a character is compared as, by its code: lower case of usual width; nothing for spaces, backslashes, unseen ones."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        usual = unicodedata.normalize("NFKC", character).lower()
        if character.isspace() or character == "\\" or unicodedata.category(character) in ("Cf", "Cc"):
            usual = ""
        elif len(usual) != 1:
            usual = character
        self[code] = usual
        return usual


_COMPARED = _Compared()


def _places(layers: list[str]) -> list[tuple[int, int]]:
    """Return start and end in the first layer of each compared character of the last."""
    places = [(place, place + 1) for place in range(len(layers[0]))]
    for layer in layers[:-1]:
        meant: list[tuple[int, int]] = []
        position = 0
        for found in _ESCAPE.finditer(layer):
            meant += places[position : found.start()]
            meant += [(places[found.start()][0], places[found.end() - 1][1])] * len(_meant(found))
            position = found.end()
        places = meant + places[position:]
    return [place for place, character in zip(places, layers[-1], strict=True) if _COMPARED[ord(character)]]


def _meant(found: re.Match[str]) -> str:
    """Return the character that an escape stands for, or nothing."""
    parts = found.groupdict()
    if parts["high"]:
        return bytes.fromhex(parts["high"] + parts["low"]).decode("utf-16-be")
    if parts["bytes"]:
        return bytes.fromhex(re.sub("%(?:25)*", "", parts["bytes"])).decode("utf-8", "replace")
    if parts["name"]:
        return html5.get(f"{parts['name']};") or html5.get(f"{parts['name'].lower()};") or found[0][1:]
    for name, base in _BASES.items():
        if parts[name]:
            code = int(parts[name], base)
            return chr(code) if code < 0x110000 else ""
    return ""


_BASES = {"two": 16, "four": 16, "five": 16, "octal": 8, "byte": 16, "number": 10, "hexadecimal": 16}


def encodings(secret: str) -> Iterator[str]:
    """Yield the secret, and what base64 and hexadecimal digits make of it, alone or inside of another text."""
    data = secret.encode()
    yield secret
    if len(data.hex()) >= LEAST:
        yield data.hex()
    for before, start in ((0, 0), (1, 2), (2, 3)):  # bytes before it, and characters that depend on them
        text = b64encode(bytes(before) + data).decode()[start : (before + len(data)) * 8 // 6]
        if len(text) >= LEAST:
            yield text
            yield text.translate({ord("+"): "-", ord("/"): "_"})
