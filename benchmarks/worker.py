"""One client in its own process, which carries out each order on its standard input and answers with a line of JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import embedders
import streams

RUNNERS: dict[str, Any] = {"embed": embedders.runner, "stream": streams.runner}


def main(kind: str, name: str, url: str) -> None:
    """Say whether the client is there; then run it as often as asked."""
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
