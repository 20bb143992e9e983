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
    port = parser.parse_args().port or serving.free_port()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started for the build ends too
    try:
        server = start(State.from_environment(), port)
    except StartError as error:
        print(f"No real Ollama: {error}", file=sys.stderr)
        return 1
    print(server.url, f"pid {server.pid}", f"log {server.log}", sep="\n")
    return 0


def start(state: State, port: int) -> serving.Server:
    """Return a server whose models are all there; one start at a time, as they share the state folder."""
    with state.locked():
        found = program.find_or_build(state)
        store = state.folder / f"store-{found.version}-{models.fingerprint()}"
        server = serving.serve(found.path, store, port, state)
        with server.stopped_on_error():
            models.create_missing(server, store, state)
        return server


if __name__ == "__main__":
    sys.exit(main())
