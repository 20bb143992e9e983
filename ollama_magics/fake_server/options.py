"""The options of a request that change what the stand-in does, and the types of those that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ollama_magics.fake_server import refusals

DEFAULT_CONTEXT = 4096
SMALLEST_CONTEXT = 4
LONGEST_ANSWER = 10  # times the context length: where Ollama ends an answer that has no other limit

_WHOLE = (
    *("num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread"),
    *("seed", "top_k", "repeat_last_n"),
)
_FLOATS = (
    *("temperature", "top_p", "min_p", "typical_p"),
    *("repeat_penalty", "presence_penalty", "frequency_penalty"),
)


@dataclass(frozen=True)
class Options:
    """Context length and longest answer in tokens, and the texts that end an answer."""

    num_ctx: int
    num_predict: int
    stop: tuple[str, ...]


def read(values: dict[str, Any], longest_context: int) -> Options:
    """Return the options sent; unknown names are ignored, ``null`` is skipped, the context is clamped.

    Raises RefusalError (500) for a value of the wrong type.
    """
    sent = {name: value for name, value in values.items() if value is not None}
    _check(sent)
    num_ctx = min(max(int(sent.get("num_ctx", DEFAULT_CONTEXT)), SMALLEST_CONTEXT), longest_context)
    predict = int(sent.get("num_predict", -1))
    longest = LONGEST_ANSWER * num_ctx
    stop = tuple(text for text in sent.get("stop", ()) if text)
    return Options(num_ctx, min(predict, longest) if predict > 0 else longest, stop)


def _check(sent: dict[str, Any]) -> None:
    for names, wanted in ((_WHOLE, "type integer"), (_FLOATS, "type float32")):
        for name in names:
            value = sent.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise refusals.bad_option(name, wanted)
    if not isinstance(sent.get("use_mmap", True), bool):
        raise refusals.bad_option("use_mmap", "type boolean")
    stop = sent.get("stop", [])
    if not isinstance(stop, list):
        raise refusals.bad_option("stop", "type array")
    if not all(isinstance(text, str) for text in stop):
        raise refusals.bad_option("stop", "an array of strings")
