"""Read options of Ollama by their own names, as typed after -O."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any

from ollama_magics import messages
from ollama_magics.errors import SettingError
from ollama_magics.settings import form
from ollama_magics.settings.cell_options import PROMPT_OPTIONS

# Fields of a request that are no options of Ollama, with the option of ours that sets each.
_ELSEWHERE = {
    **{wire: form.flag(name) for name, wire in form.sent().items()},
    **{option.wire: option.flags.split()[-1] for group in PROMPT_OPTIONS.values() for option in group},
    "model": "--model",
    "system": "--system",
    "images": "--image",
    "logprobs": "--logprobs",
}
# Servers accept these and ignore them (since 0.7.0, the last four for longer).
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
    """Return the options that are no settings, each value in the type that the server wants.

    Raises SettingError for an unknown name, with the nearest one, and for a value of another type: a server would ignore the
    first, and answer 500 to the second.
    """
    found = {}
    for name, value in typed.items():
        if name in form.ollama_options():
            continue
        if name not in _KINDS:
            raise _unknown(name)
        read, kind, example = _KINDS[name]
        text = str(value).strip()
        try:
            found[name] = read(text)
        except (ValueError, KeyError):
            raise _refused(text, name, messages.Phrase(kind), f"-O {name}={example}") from None
    return found


def _unknown(name: str) -> SettingError:
    if name in _ELSEWHERE:
        return _refused(name, "-O", messages.Phrase("option_elsewhere", option=_ELSEWHERE[name]), _ELSEWHERE[name])
    if name in _GONE:
        return _refused(name, "-O", messages.Phrase("option_gone"), "%ollama?")
    known = [*form.ollama_options(), *_KINDS]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.5)
    reason = messages.Phrase("option_near", near=near[0]) if near else messages.Phrase("option_none", known=", ".join(known))
    return _refused(name, "-O", reason, f"-O {near[0] if near else 'num_ctx'}=…")


def _refused(value: str, option: str, reason: messages.Phrase, example: str) -> SettingError:
    return SettingError("setting-invalid", value=repr(value[:60]), setting=option, reason=reason, example=example)
