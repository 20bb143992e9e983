"""Start a real Ollama with tiny models for the tests, building what is missing, and leave it running."""

import argparse
import signal
import sys

import models
import program
import serving
from state import StartError, State


def main() -> int:
    """Print the address, the pid and the log of a running server; return 0, or 1 after a readable error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="a free one by default")
    parser.add_argument("--version", choices=program.VERSIONS, default=program.OLDER, help="%(default)s by default")
    parser.add_argument("--nice", type=int, default=0, help="how far builds stand back behind other programs, up to 19")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started for the build ends too
    try:
        server = start(chosen.version, chosen.port or serving.free_port(), State.from_environment(chosen.nice))
    except StartError as error:
        print(f"No real Ollama: {error}", file=sys.stderr)
        return 1
    print(server.url, f"pid {server.pid}", f"log {server.log}", sep="\n")
    return 0


def start(version: str, port: int, state: State) -> serving.Server:
    """Return a server whose models are all there; one start of a version at a time."""
    with state.locked(version):
        found = program.find_or_build(version, state)
        store = state.folder / f"store-{found.version}-{models.fingerprint()}"
        server = serving.serve(found.path, store, port, state)
        with server.stopped_on_error():
            models.create_missing(server, store, state)
        return server


if __name__ == "__main__":
    sys.exit(main())
