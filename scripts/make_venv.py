"""Make an empty virtual environment with pip, or say what this Python lacks."""

# Any Python 3.7 can read this file, so that an old one gets as far as the error.
from __future__ import annotations

import sys

WANTED = (3, 11)  # also in pyproject.toml


def main(folder: str) -> int | str:
    """Make the folder new; return 0, or the sentence to end with."""
    if sys.version_info < WANTED:
        return (
            f"ollama_magics needs Python {WANTED[0]}.{WANTED[1]}; {sys.executable} is {sys.version.split()[0]}. "
            "Name a newer one (make PYTHON=python3.12 ...), or put uv on the PATH, which brings its own."
        )
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian ships Python without it, and venv would fail in many words
        import venv  # noqa: PLC0415
    except ImportError:
        return f"{sys.executable} cannot make environments with pip. Debian: apt-get install python3-venv"
    venv.create(folder, clear=True, with_pip=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
