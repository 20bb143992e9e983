"""The folder outside the checkout that keeps what is built once, with its lock and its log."""

import contextlib
import fcntl
import os
import shlex
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT_VARIABLE = "OLLAMA_MAGICS_TEST_STATE"
DEFAULT_FOLDER = Path("~/.cache/ollama-magics-tests")
LINES_SHOWN = 25  # of the log, when a command fails


class StartError(Exception):
    """The server cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class State:
    """Where downloads, the built servers, the models and the logs are; ``niceness`` is that of all that is run here."""

    folder: Path
    niceness: int = 0

    @classmethod
    def from_environment(cls, niceness: int = 0) -> "State":
        """Return the folder named by OLLAMA_MAGICS_TEST_STATE, else the default one; it exists afterwards."""
        folder = Path(os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_FOLDER).expanduser().resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, niceness)

    @property
    def log(self) -> Path:
        """What every command said."""
        return self.folder / "build.log"

    @contextlib.contextmanager
    def locked(self, part: str) -> Iterator[None]:
        """Wait for other starts that need the same part of this folder; the system frees the lock of one that was killed."""
        with (self.folder / f"lock-{part}").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def run(self, purpose: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Run a command into the log; raise StartError with the log's last lines when it fails."""
        say(purpose)
        with self.log.open("a") as log:
            log.write(f"\n{purpose}\n$ {shlex.join(command)}\n")
            log.flush()
            done = subprocess.run(
                ["nice", "-n", str(self.niceness), *command] if self.niceness else command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            message = f"{purpose} failed (exit status {done.returncode}).\n{last_lines(self.log)}"
            raise StartError(message)

    def python(self) -> str:
        """Return the interpreter of an environment with pip, gguf and numpy, made on first use."""
        return str(self.install("writer of model files", "gguf>=0.17,<1", "numpy") / "python")

    def install(self, purpose: str, *requirements: str) -> Path:
        """Return the folder with the programs of an environment, in which these packages are after the first use."""
        folder = self.folder / "venv"
        ready = folder / f"has {purpose}"
        programs = folder / "bin"
        with self.locked("venv"):
            if not (folder / "made").exists():
                self._make_environment(folder)
            if not ready.exists():
                pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
                self.run(f"Installing {purpose}", [*pip, *requirements])
                ready.touch()
        return programs

    def _make_environment(self, folder: Path) -> None:
        try:
            venv.create(folder, clear=True, with_pip=True)
        except (subprocess.CalledProcessError, ImportError) as error:
            message = f"{sys.executable} cannot make an environment with pip. Debian: apt-get install python3-venv"
            raise StartError(message) from error
        (folder / "made").touch()

    def download(self, requirement: str, *options: str) -> Path:
        """Return the one file of a package, from the index that pip uses, fetched on first use."""
        folder, python = self.folder / "downloads" / requirement, self.python()
        with self.locked("downloads"):
            if not folder.is_dir():
                arriving = folder.with_name(f"{requirement}.arriving")
                pip = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
                self.run(f"Fetching {requirement}", [*pip, *options, "--dest", str(arriving), requirement])
                arriving.rename(folder)
        return next(folder.iterdir())


def last_lines(log: Path) -> str:
    """Return the end of a log under a line with its path."""
    lines = log.read_text(errors="replace").splitlines()[-LINES_SHOWN:]
    return "\n".join([f"The last lines of {log}:", *(f"  {line}" for line in lines)])


def say(sentence: str) -> None:
    """Report to who waits; standard output is for the address alone."""
    print(f"{sentence} ...", file=sys.stderr, flush=True)
