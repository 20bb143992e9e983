"""Ollama's own options by name: those that have no line in the form, how each is read, and which line the others have."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any

from ollama_magics import messages
from ollama_magics.errors import SettingError

# Ollama's name: our setting
OF_THE_FORM = {
    "num_ctx": "context_length",
    "num_predict": "max_tokens",
    **{name: name for name in ("temperature", "top_p", "top_k", "seed", "stop")},
}
# What stands beside the options in a request, or is no part of it; people look for it here all the same.
_ELSEWHERE = {
    **{name: f"--{name}" for name in ("think", "format", "model", "system", "logprobs", "suffix")},
    "keep_alive": "--keep-alive",
    "images": "--image",
    "tools": "--tool",
    "shift": "--strict",
}
# Servers take these without a word and do nothing with them (since 0.7.0, the last four for longer).
_GONE = (
    *("mirostat", "mirostat_eta", "mirostat_tau", "low_vram", "f16_kv", "use_mlock", "logits_all", "vocab_only"),
    *("tfs_z", "penalize_newline", "numa", "num_gqa"),
)
_SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _whole(text: str) -> int:
    return int(text.replace(",", "").replace("_", ""))


def _fraction(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError
    return value


_KINDS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    **dict.fromkeys(("num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread"), (_whole, "kind_whole", "1")),
    **dict.fromkeys(("repeat_last_n", "draft_num_predict"), (_whole, "kind_whole", "64")),
    **dict.fromkeys(("min_p", "typical_p"), (_fraction, "kind_number", "0.05")),
    **dict.fromkeys(("repeat_penalty", "presence_penalty", "frequency_penalty"), (_fraction, "kind_number", "1.1")),
    "use_mmap": (lambda text: _SWITCHES[text.lower()], "kind_switch", "true"),
}


def runner_options(typed: Mapping[str, object]) -> dict[str, Any]:
    """Return the options that have no line in the form, each value in the type that the server wants.

    Raises SettingError for an unknown name, with the nearest one, and for a value of another type: a server would ignore the
    first without a word, and answer 500 to the second.
    """
    return {name: _read(name, value) for name, value in typed.items() if name not in OF_THE_FORM}


def _read(name: str, value: object) -> Any:
    if name not in _KINDS:
        raise _unknown(name)
    read, kind, example = _KINDS[name]
    text = str(value).strip()
    try:
        return read(text)
    except (ValueError, KeyError):
        raise _refused(text, name, messages.Phrase(kind), f"-O {name}={example}") from None


def _unknown(name: str) -> SettingError:
    if name in _ELSEWHERE:
        return _refused(name, "-O", messages.Phrase("option_elsewhere", option=_ELSEWHERE[name]), _ELSEWHERE[name])
    if name in _GONE:
        return _refused(name, "-O", messages.Phrase("option_gone"), "%ollama?")
    known = [*OF_THE_FORM, *_KINDS]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.5)
    reason = messages.Phrase("option_near", near=near[0]) if near else messages.Phrase("option_none", known=", ".join(known))
    return _refused(name, "-O", reason, f"-O {near[0] if near else 'num_ctx'}=…")


def _refused(value: str, option: str, reason: messages.Phrase, example: str) -> SettingError:
    return SettingError("setting-invalid", value=repr(value[:60]), setting=option, reason=reason, example=example)
