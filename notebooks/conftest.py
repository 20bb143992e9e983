"""Makes the notebooks repeatable under nbval: one display for each answer, and no server but the stand-in or a recording."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_ENVIRONMENT = {
    "OLLAMA_MAGICS_STREAM": "off",
    "OLLAMA_MAGICS_REPLAY": "1",
    "OLLAMA_MAGICS_CONFIG": str(Path(__file__).parent / "no profiles"),
    "XDG_CACHE_HOME": tempfile.mkdtemp(prefix="ollama-magics-notebooks-"),
    "LANG": "C.UTF-8",
}
_before: dict[str, str | None] = {}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Set the environment before the first cell starts its kernel, which inherits it."""
    _before.update({name: os.environ.get(name) for name in _ENVIRONMENT})
    os.environ.update(_ENVIRONMENT)
    import matplotlib.font_manager  # noqa: F401, PLC0415 - its first import may warn about building a font cache

    yield


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Give the environment back to the tests that follow."""
    yield
    for name, value in _before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
