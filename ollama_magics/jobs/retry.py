"""How often and after how many seconds a request is sent again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """Delays double from the ``first`` to the ``longest``, in seconds; ``attempts`` are those of one item.

    ``budget`` is the number of retries of a whole job beyond one for each finished item.
    """

    first: float = 0.5
    longest: float = 30.0
    attempts: int = 5
    budget: int = 50

    def delay(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts."""
        return min(self.longest, self.first * 2.0 ** (attempts - 1))

    def allows(self, retries: int, finished: int) -> bool:
        """Whether a job that finished so many items may have so many retries."""
        return retries <= self.budget + finished
