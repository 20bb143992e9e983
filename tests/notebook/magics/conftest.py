"""A real IPython shell for each test, with the extension loaded and the stand-in behind it."""

import atexit
import re
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from ollama_magics.fake_server.server import FakeServer

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Shell:
    """Runs cells like a person and keeps what they showed."""

    def __init__(self, shell: Any) -> None:
        self.ipython = shell
        self.names: dict[str, Any] = shell.user_ns

    def run(self, cell: str) -> str:
        """Run a cell that must succeed; return all that it wrote."""
        shown, result = self._run(cell)
        assert result.success, shown
        return shown

    def fail(self, cell: str) -> tuple[BaseException, str]:
        """Run a cell that must fail; return the error and all that was written."""
        shown, result = self._run(cell)
        error = result.error_in_exec or result.error_before_exec
        assert error is not None, f"no error, but: {shown}"
        return error, shown

    def _run(self, cell: str) -> tuple[str, Any]:
        with capture_output(display=False) as captured:
            result = self.ipython.run_cell(cell)
        return COLOUR.sub("", captured.stdout + captured.stderr), result


def close_history(shell: Any) -> None:
    """Close the database of the history, of which Python 3.13 would warn, and write nothing more at the end of Python."""
    atexit.unregister(shell.atexit_operations)
    manager = shell.history_manager
    if manager is not None:
        manager.end_session()
        if manager.save_thread is not None:
            manager.save_thread.stop()
        manager.db.close()


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Give a shell with nothing loaded."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # of the shell that started the tests, about which IPython would warn
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    yield Shell(shell)
    shell.reset()
    close_history(shell)
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(bare: Shell, stand_in: FakeServer) -> Iterator[Shell]:
    """Give a shell with the extension loaded, whose address and model are the stand-in's."""
    bare.run("%load_ext ollama_magics")
    bare.run(f"%ollama_config --base-url {stand_in.url} --model sandbox-chat --embedding-model sandbox-embed")
    yield bare
    bare.ipython.extension_manager.unload_extension("ollama_magics")
