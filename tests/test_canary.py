"""The search for the canary key: what it finds, so that finding nothing means something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.canary import KEPT_KEY, KEY, files_with_it


@pytest.mark.promise("N5")
def test_the_key_is_found_wherever_it_stands(tmp_path: Path) -> None:
    """Between two shares of a large file, in a folder below, in a name; nothing else is."""
    split = (1 << 20) - 5
    hidden = {"large": b"x" * split + KEY.encode() + b"x" * split, "below/log": KEY.encode(), f"{KEY}.txt": b""}
    for name, text in {**hidden, "clean": KEPT_KEY.encode()}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)
    found = set(files_with_it(tmp_path))
    for path in found:
        path.unlink()  # or this run would find them, too
    assert found == {tmp_path / name for name in hidden}
