"""Replay cells of the matrix: python -m tests.faults F40-chat, or any pattern, such as F4.

R77 is no row of the matrix, but cuts answers where the seed 77 says.
"""

from __future__ import annotations

import os
import re
import sys

from tests.faults.cells import Dash, Held, run_cell
from tests.faults.cuts import cut_at_random
from tests.faults.matrix import FAULTS


def main(patterns: list[str]) -> int:
    """Run the cells whose names begin like a pattern, and print what each server does and what is wrong with us."""
    os.environ["LANG"] = "C"
    failed = 0
    seeds = {int(found[1]) for pattern in patterns if (found := re.match(r"R(\d+)", pattern))}
    known = {fault.key for fault in FAULTS}
    more = [fault for seed in sorted(seeds) for fault in cut_at_random(seed) if fault.key not in known]
    for fault in (*FAULTS, *more):
        for column, expected in fault.cells():
            name = f"{fault.key}-{column}"
            if isinstance(expected, Dash | Held) or not any(re.match(rf"{pattern}", name) for pattern in patterns):
                continue
            if len(patterns) == 1 and patterns[0] == name:
                sys.stdout.write(f"{fault.title}\n" + "".join(f"  {str(step)[:200]}\n" for step in fault.script))
            flaws = run_cell(fault, column)
            failed += bool(flaws)
            sys.stdout.write(f"{'✗' if flaws else '✓'} {name}: {expected}\n" + "".join(f"  {flaw}\n" for flaw in flaws))
    return min(failed, 1)


def held_elsewhere() -> list[str]:
    """Return the tests that hold cells which are not in the script of a server."""
    return sorted({outcome.test for fault in FAULTS for _, outcome in fault.cells() if isinstance(outcome, Held)})


if __name__ == "__main__":
    if sys.argv[1:] == ["--held"]:
        sys.stdout.write(" ".join(held_elsewhere()))
    else:
        sys.exit(main(sys.argv[1:] or [".*"]))
