"""Name what is stored by a hash of text, model and options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def key(digest: str, options: Mapping[str, object]) -> Callable[[str], bytes]:
    """Return a function from a text to its key of 16 bytes, for the model of this digest and these options.

    Keys are the same in every process and for every order of the options, whose values are what JSON can hold; True, 1 and
    1.0 give different keys. 128 bits of BLAKE2b: the probability that two of a billion texts get one key is below 1e-20.
    """
    # NUL cannot occur in a digest, and JSON escapes it: no two triples give one string
    prefix = hashlib.blake2b(f"{digest}\0{_CANONICAL.encode(options)}\0".encode("utf-8", "surrogatepass"), digest_size=16)

    def key_of(text: str) -> bytes:
        found = prefix.copy()
        found.update(text.encode("utf-8", "surrogatepass"))
        return found.digest()

    return key_of
