"""A text that is never shown in output, logs or errors."""

from __future__ import annotations

BULLETS = "••••"


class Secret:
    """A text that is printed as bullets, or as ``shown``; only ``reveal`` returns it.

    Example
    -------
    >>> key = Secret("abc")
    >>> print(key)
    ••••

    """

    __slots__ = ("_shown", "_value")

    def __init__(self, value: str, shown: str = BULLETS) -> None:
        self._value, self._shown = value, shown

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return self._shown

    def __format__(self, spec: str) -> str:
        return format(self._shown, spec)


NO_SECRET = Secret("")


def revealed(text: str | Secret) -> str:
    """Return the text of a secret, or a plain text unchanged."""
    return text.reveal() if isinstance(text, Secret) else text
