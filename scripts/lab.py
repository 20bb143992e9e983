"""Start JupyterLab with the notebooks, on the stand-in server instead of an Ollama."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from ollama_magics.fake_server.server import FakeServer

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def main() -> int:
    """Run until JupyterLab ends; return its status."""
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={NOTEBOOKS}"]
    if os.geteuid() == 0:
        command.append("--allow-root")
    with FakeServer() as server:
        print(f"The stand-in answers at {server.url}; end with Ctrl-C.", flush=True)
        with subprocess.Popen(command, env={**os.environ, "OLLAMA_HOST": server.url}) as lab:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # JupyterLab asks for confirmation at Ctrl-C
            return lab.wait()


if __name__ == "__main__":
    sys.exit(main())
