"""What a vector depends on -> the 16 bytes under which it is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def key(digest: str, options: Mapping[str, object]) -> Callable[[str], bytes]:
    """Return what gives the 16 bytes that stand for a text embedded with these options by the model of this digest.

    They are the same in every process and for every order of the options, whose values are what JSON can hold; True, 1 and
    1.0 are three different ones. 128 bits of BLAKE2b: two of a billion texts meet with a probability below 1e-20.
    """
    # NUL cannot occur in a digest, and JSON escapes it: no two triples give one string
    asked = hashlib.blake2b(f"{digest}\0{_CANONICAL.encode(options)}\0".encode("utf-8", "surrogatepass"), digest_size=16)

    def of(text: str) -> bytes:
        found = asked.copy()
        found.update(text.encode("utf-8", "surrogatepass"))
        return found.digest()

    return of
