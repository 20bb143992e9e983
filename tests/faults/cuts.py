"""Answers that end after a number of bytes that a seed draws."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from tests.embeddings.batch_server import right
from tests.faults.answers import CHUNKED, chunk, whole
from tests.faults.cells import ROWS, Cut, Dash, Fault
from tests.faults.steps import Close, Reset, Send, Step, Wait

WORDS = [f"{number} " for number in range(9)]
STREAM = b"%b%b0\r\n\r\n" % (
    CHUNKED,
    b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in [*map(chunk, WORDS), chunk(done=True, done_reason="stop")]),
)
ENDS: dict[str, type[Close | Reset]] = {"fin": Close, "rst": Reset}


def cut_at_random(seed: int) -> Iterator[Fault]:
    """Yield the faults of answers that end after a number of bytes that the seed draws."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    answers: dict[str, tuple[Sequence[Step], str, str]] = {
        "stream": ([Send(STREAM)], "chat", "".join(WORDS)),
        "row": (whole(chunk("Hello", done=True, done_reason="stop")), "rows", "Hello"),
        "vectors": (right(ROWS), "embed", ""),
    }
    for name, (script, column, text) in answers.items():
        data = b"".join(step.data for step in script if isinstance(step, Send))
        for end, step in ENDS.items():
            at = draw.randrange(1, len(data))
            one: dict[str, Any] = {
                **dict.fromkeys(("chat", "rows", "embed"), Dash("an answer of another form")),
                column: Cut(text),
            }
            yield Fault(
                f"R{seed}-{end}-{name}",
                f"an answer that ends with {end.upper()} after {at} of {len(data)} bytes",
                [Send(data[:at]), Wait(0.02), step()],
                **one,
            )
