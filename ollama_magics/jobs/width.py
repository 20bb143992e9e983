"""Find out how many requests in flight pay."""

from __future__ import annotations

import math

_WIDTHS = (1, 2, 4)  # requests in flight that are tried where the user names no number
_GAIN = 1.1  # by which twice as many requests have to be faster
_LEAST_ANSWERS, _LEAST_SECONDS = 8, 0.25  # of a measurement
_SETTLED_SECONDS = 300.0  # after which the search begins again: what else the machine did may have misled it, or be over


class WidthSearch:
    """Measures requests in flight, and stays for some minutes with the fewest of which twice as many are not faster by a tenth.

    ``width`` is how many there may be now, ``most`` how many there will be at the most. A ``given`` number is not measured. The
    search begins with ``first``; a measurement takes at least so many answers and seconds.
    """

    def __init__(
        self,
        given: int | None = None,
        *,
        first: int = _WIDTHS[0],
        least_answers: int = _LEAST_ANSWERS,
        least_seconds: float = _LEAST_SECONDS,
    ) -> None:
        self.width, self.most = given or first, given or _WIDTHS[-1]
        self._settled_until = -math.inf if given is None else math.inf
        self._least_answers, self._least_seconds = least_answers, least_seconds
        self._rates: dict[int, float] = {}
        self._begin_step()

    def add(self, work: int, now: float) -> None:
        """Count an answer that came at this moment of time.monotonic(), and its work, such as its tokens."""
        if now < self._settled_until:
            return
        self._answers += 1
        if self._answers <= self.width:  # the first loads the model, and later ones were sent with another width
            self._since = now
            return
        self._work += work + 1
        seconds = now - self._since
        if self._answers - self.width >= max(self._least_answers, 2 * self.width) and seconds >= self._least_seconds:
            self._rates[self.width] = self._work / seconds
            self._begin_step()
            self._choose(now)

    def narrow(self) -> None:
        """Send one request at a time from now on: the server has no memory for more."""
        self.width, self._settled_until = 1, math.inf

    def _choose(self, now: float) -> None:
        """Stay where twice as many are no faster, or measure the next number."""
        for width in _WIDTHS:
            self.width = width
            if width not in self._rates:
                return
            if width == self.most or self._rates.get(2 * width, self._rates[width] * _GAIN) < _GAIN * self._rates[width]:
                self._settled_until = now + _SETTLED_SECONDS
                self._rates.clear()
                return

    def _begin_step(self) -> None:
        self._answers = self._work = 0
        self._since = 0.0
