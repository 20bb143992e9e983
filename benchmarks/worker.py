"""Run one client: read each order from standard input and answer with a line of JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import embedders
import streams

RUNNERS: dict[str, Any] = {"embed": embedders.runner, "stream": streams.runner}


def main(kind: str, name: str, url: str) -> None:
    """Print whether the client is installed, then run each order."""
    try:
        run = RUNNERS[kind](name, url)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
