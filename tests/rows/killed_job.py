"""A job of rows in a process of its own, which the tests kill: killed_job.py URL ROWS OUT."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import ollama_magics as om


@dataclass
class Number:
    """The fields of each row."""

    text: str
    size: int


def main() -> None:
    """Ask for all rows, and write the result into a file."""
    url, count, out = sys.argv[1:]
    om.configure(base_url=url, model="m")
    rows = [f"row {number}" for number in range(int(count))]
    found = om.map(rows, "Fill in: {{item}}", format=Number, parallel=4)
    Path(out).write_text(json.dumps(found), encoding="utf-8")


main()
