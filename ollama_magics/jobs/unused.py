"""Say so where the result of a call, which does nothing by itself, is dropped without being used."""

from __future__ import annotations

from collections.abc import Callable


class Unused:
    """Calls ``_warn`` with the text ``_unused`` when it is dropped, unless ``_is_used``, which whoever uses it sets."""

    _is_used = True  # until expect_use() was called
    _unused: str
    _warn: Callable[[str], object]

    def __del__(self) -> None:
        if not self._is_used:
            self._warn(self._unused)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>" if self._is_used else f"<{type(self).__name__}: {self._unused}>"


def expect_use(result: Unused, unused: str, warn: Callable[[str], object]) -> None:
    """Call ``warn`` with ``unused``, what to type, if the result is dropped without being used."""
    result._unused, result._warn, result._is_used = unused, warn, False  # noqa: SLF001 - kept out of what a user sees of it
