"""Answers of which one block grows for long, and is rendered whole each time: the cell must keep up with the server."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.notebook.display.cells import Cell

pytestmark = pytest.mark.slow

LATEST = 6.0  # seconds from the last token to the end of the cell, of which the last paint takes most
LINES, RATE = 5000, 4000
BLOCKS = {
    "list": [f"- point {number} of *many*, **all** `open`\n" for number in range(LINES)],
    "paragraph": [f"word **{number}** and `more` of *it*\n" for number in range(LINES)],
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_cell_keeps_up_with_a_block_that_grows_for_long(block: list[str]) -> None:
    """What is rendered ahead is not rendered so often that the answer waits for it."""
    pieces = [line[at : at + 8] for line in block for at in range(0, len(line), 8)]
    with ExitStack() as ends:
        cell = Cell(pieces, RATE, ends)
        cell.start()
        cell.end()
        late = time.time() - cell.sent
    assert late < LATEST
