"""Keys for tests: one that must be found nowhere after a run, and the search for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

KEY = "sk-canary-5f1e"  # for whatever may be neither written, shown nor logged
KEPT_KEY = "sk-kept-77aa"  # for tests in which a file holds a key on purpose: of the key store, or broken, or of a history
_SHARE = 1 << 20  # bytes that are looked at together


def files_with_it(folder: Path) -> Iterator[Path]:
    """Yield the files below the folder that hold the key, in their names or inside."""
    for place, _, names in os.walk(folder):
        yield from (path for path in (Path(place, name) for name in names) if _holds_it(path))


def _holds_it(path: Path) -> bool:
    if KEY in path.name:
        return True
    before = b""
    try:
        if not path.is_file():  # a socket, or a link that leads nowhere
            return False
        with path.open("rb") as file:
            while part := file.read(_SHARE):
                if KEY.encode() in before + part:
                    return True
                before = part[-len(KEY) :]
    except OSError:
        pass  # it went while we looked
    return False
