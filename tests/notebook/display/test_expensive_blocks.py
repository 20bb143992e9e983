"""Answers of which one block grows for long, and is rendered whole each time: the cell must keep up with the server."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.notebook.display.cells import Cell

pytestmark = pytest.mark.slow

MOST_RENDERED = 20  # times the length of the answer; a render for each token would be thousands of times
LINES, RATE = 5000, 4000
BLOCKS = {
    "list": [f"- point {number} of *many*, **all** `open`\n" for number in range(LINES)],
    "paragraph": [f"word **{number}** and `more` of *it*\n" for number in range(LINES)],
}
COUNT = """
from ollama_magics.render import markdown
parse, parsed = markdown.parse, []
def counted(source, references):
    parsed.append(len(source))
    return parse(source, references)
markdown.parse = counted
"""


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_cell_keeps_up_with_a_block_that_grows_for_long(block: list[str]) -> None:
    """What is rendered while the answer grows is a small multiple of the answer."""
    pieces = [line[at : at + 8] for line in block for at in range(0, len(line), 8)]
    with ExitStack() as ends:
        cell = Cell(pieces, RATE, ends)
        cell.run(COUNT)
        cell.start()
        painted = cell.end()
        rendered = int(cell.run("print(sum(parsed))"))
    assert painted.paints[-1].text == painted.answer
    assert len(painted.answer) <= rendered <= MOST_RENDERED * len(painted.answer)
