"""Recorded answers of mixed Markdown, and the step that sends them token by token at a steady pace."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults import LINES, Close, FaultServer, Send, chunk, fine

if TYPE_CHECKING:
    from tests.faults.connection import Connection

# As a model writes: 107 kB are some 20 000 tokens of it.
_PART = """\
## Part {number}: a heading

The **mean** of the values is $\\mu_{number} = \\frac{{1}}{{n}} \\sum_i x_i$, which costs $5 or $6, and *not* `{number}` at all;
see [the manual](https://example.org/manual/{number}) for what comes next, and for what has been left out here on purpose.

| species | mean | median | count |
|---|---:|---:|---:|
| setosa | {number}.46 | 1.50 | 50 |
| versicolor | 4.26 | 4.35 | {number} |

```python
def mean_of(values: list[float], number: int = {number}) -> float:
    # the sum over the count
    return sum(values) / len(values) if values else float("nan")
```

1. First the data is read, and then it is cleaned of what is missing,
2. then it is grouped by species, and a mean is taken of every column;
   - which is what was asked for,
   - and nothing else.

$$ E = m c^2 + \\int_0^{{{number}}} f(x) \\, dx $$

> What is quoted here was said by somebody else, and is repeated without any warranty.

"""
_TOKEN = re.compile(r"\s?\S{1,8}|\s", re.DOTALL)


def recorded(tokens: int) -> list[str]:
    """Return so many tokens of mixed Markdown."""
    parts = (_PART.format(number=number) for number in itertools.count(1))
    words = itertools.chain.from_iterable(map(_TOKEN.findall, parts))
    return list(itertools.islice(words, tokens))


@dataclass(frozen=True)
class Paced:
    """Send the lines, so many a second; ``sent`` gets the time (in seconds since 1970) of the last."""

    lines: list[bytes]
    rate: float
    sent: list[float]

    def run(self, connection: Connection) -> None:
        """Do it."""
        began = time.monotonic()
        for number, line in enumerate(self.lines):
            connection.ending.wait(max(0.0, began + number / self.rate - time.monotonic()))
            connection.send(line)
        self.sent.append(time.time())


def serving(tokens: list[str], rate: float, sent: list[float]) -> FaultServer:
    """Return a server whose only answer is these tokens, at so many a second."""
    last = chunk(done=True, done_reason="stop", prompt_eval_count=10, eval_count=len(tokens), eval_duration=10**9)
    lines = [chunk(token) for token in tokens] + [last]
    return FaultServer(fine(chat=[Send(LINES), Paced(lines, rate, sent), Close()]))
