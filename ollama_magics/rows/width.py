"""Find out how many requests in flight pay."""

from __future__ import annotations

_MOST_WIDTH = 4  # requests in flight that are tried where the user names no number
_GAIN = 1.1  # by which twice as many requests have to be faster
_LEAST_ROWS, _LEAST_SECONDS = 8, 0.25  # of a measurement


class WidthSearch:
    """Measures 1, 2, 4 … requests in flight, and stays where twice as many are not faster by a tenth.

    ``width`` is how many there may be now, ``most`` how many there will be at the most. A ``given`` number is not measured.
    """

    def __init__(self, given: int | None = None) -> None:
        self.width, self.most = given or 1, given or _MOST_WIDTH
        self._is_fixed = given is not None
        self._best = 0.0
        self._begin_step()

    def add(self, tokens: int, now: float) -> None:
        """Count an answer that came at this moment of time.monotonic(), with so many tokens."""
        if self._is_fixed:
            return
        self._rows += 1
        if self._rows <= self.width:  # the first loads the model, and later ones were sent with another width
            self._since = now
            return
        self._work += tokens + 1
        seconds = now - self._since
        if self._rows - self.width >= max(_LEAST_ROWS, 2 * self.width) and seconds >= _LEAST_SECONDS:
            self._decide(self._work / seconds)

    def narrow(self) -> None:
        """Send one request at a time from now on: the server has no memory for more."""
        self.width, self._is_fixed = 1, True

    def _decide(self, rate: float) -> None:
        if self._best and rate < _GAIN * self._best:
            self.width, self._is_fixed = self.width // 2, True
        elif 2 * self.width > self.most:
            self._is_fixed = True
        else:
            self._best, self.width = rate, 2 * self.width
        self._begin_step()

    def _begin_step(self) -> None:
        self._rows = self._work = 0
        self._since = 0.0
