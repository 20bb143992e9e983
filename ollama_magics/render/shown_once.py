"""Hide a value that a cell has shown already where it is also the value of that cell."""

from __future__ import annotations

from collections.abc import Callable


class ShownOnce:
    """Shows itself, unless ``_is_hidden`` returns that the running cell has shown it already."""

    _is_hidden: Callable[[], bool] | None = None

    def _ipython_display_(self) -> None:
        # IPython's protocol: NotImplementedError means "show me in the ordinary way"
        if self._is_hidden is None or not self._is_hidden():
            raise NotImplementedError


def hide_while(value: ShownOnce, is_hidden: Callable[[], bool] | None) -> None:
    """Ask this function from now on whether the value is hidden; None: it never is."""
    value._is_hidden = is_hidden  # noqa: SLF001 - kept out of what a user sees of a value
