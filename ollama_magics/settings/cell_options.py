"""Declare the options of %%ollama and %embed that are no settings, and read those of Ollama after -O."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from ollama_magics import messages
from ollama_magics.errors import SettingError
from ollama_magics.settings import form
from ollama_magics.settings.form import ANSWER, DISPLAY, FUNCTIONS, MEMORY, MODEL, PROMPT, RESULT


class Option(Struct, frozen=True):
    """One option of a magic.

    ``flags`` are its spellings, with a space between them. Without a ``metavar`` it is a switch. ``name`` is that of its value in
    the parsed line. ``wire`` is the place of its value in the body of a request, and ``options.*`` that of the option it names;
    an option without such a place says where it ``acts``. ``repeat``: it may be typed several times. ``const``: its value if none
    is typed.
    """

    flags: str
    help: str
    name: str
    metavar: str = ""
    other_name: str = ""  # of its parameter of om.chat or om.embed
    wire: str = ""
    acts: str = ""
    repeat: bool = False
    const: str | None = None
    magic_only: bool = False

    @property
    def parameter(self) -> str:
        """The parameter of om.chat or om.embed that does the same; empty if only the magic needs the option."""
        return "" if self.magic_only else self.other_name or self.name


_EXPERIMENT = "om.experiment"
_HISTORY, _PICTURES, _NOTEBOOK = "messages of the request", "images of the last message", "notebook"

PROMPT_OPTIONS: dict[str, tuple[Option, ...]] = {
    MODEL: (),
    PROMPT: (
        Option(
            "-i --image",
            "Picture, PDF or sound: a variable, a path or a pattern; repeatable",
            "images",
            "WHAT",
            acts=_PICTURES,
            repeat=True,
        ),
        Option(
            "--pages",
            "Pages of a PDF or TIFF that are sent, such as 1-3,5 or 7- (default: the first 20)",
            "pages",
            "PAGES",
            acts=_PICTURES,
        ),
        Option(
            "--allow-url", "Fetch the pictures of http and https addresses after -i", "allow_url", acts=_PICTURES, magic_only=True
        ),
        Option(
            "--rows", "Rows of a table and items of a list that {{name}} sends, or all (default 20)", "rows", "N", acts=_HISTORY
        ),
        Option(
            "-p --prompt-file",
            "Prompt from a UTF-8 file instead of the cell; -s @FILE is the same for the system prompt",
            "prompt_file",
            "FILE",
            acts=_HISTORY,
            magic_only=True,
        ),
        Option(
            "--show-prompt",
            "Show the text that the server would give to the model, and ask nothing",
            "show_prompt",
            acts=_NOTEBOOK,
            magic_only=True,
        ),
        Option("--no-fill", "Leave {{name}} as it is", "no_fill", other_name="values", acts=_HISTORY),
        Option("--generate", "Complete the prompt instead of answering it", "generate", acts="endpoint of the request"),
        Option("--suffix", "Text after the gap that the model fills; implies --generate", "suffix", "TEXT", wire="suffix"),
    ),
    FUNCTIONS: (
        Option("-t --tool", "Function that the model may call; repeatable", "tools", "FUNC", wire="tools", repeat=True),
        Option("--yes", "Run the functions that the model calls without asking", "yes", other_name="confirm", acts=_NOTEBOOK),
    ),
    MEMORY: (
        Option("--new", "Start the conversation anew", "new", acts=_HISTORY),
        Option("--once", "Do not read or keep the conversation", "once", other_name="conversation", acts=_HISTORY),
        Option(
            "--chat",
            "Conversation of that name, with its own memory and system prompt",
            "chat",
            "NAME",
            other_name="conversation",
            acts=_HISTORY,
        ),
        Option("--continue", "Continue the cut answer; the cell may be empty", "go_on", acts=_HISTORY),
        Option("--reuse", "Take the stored answer of the same request to the same model", "reuse", acts="store"),
        Option("--forget", "Delete all stored answers and rows", "forget", acts="store", magic_only=True),
        Option(
            "--strict", "Refuse to leave out or change anything, and an answer longer than the context", "strict", wire="shift"
        ),
    ),
    ANSWER: (Option("-O", "Any other option of Ollama; repeatable", "options", "KEY=VALUE", wire="options.*", repeat=True),),
    DISPLAY: (
        Option("--raw", "Show the answer as plain text", "raw", acts=_NOTEBOOK, magic_only=True),
        Option("--quiet", "Show nothing", "quiet", acts=_NOTEBOOK, magic_only=True),
        Option(
            "--next-cell", "Put the first code block into a new cell below, not run", "next_cell", acts=_NOTEBOOK, magic_only=True
        ),
    ),
    RESULT: (
        Option("-f --format", "json, or a type such as list[Person]; see .value and .frame", "format", "SCHEMA", wire="format"),
        Option("-o --into", "Bind the reply to this name when it is complete", "into", "NAME", acts=_NOTEBOOK, magic_only=True),
        Option(
            "--logprobs",
            "Log probabilities of the tokens, and of N alternatives, as --logprobs=5",
            "logprobs",
            "N",
            wire="top_logprobs",
            const="0",
        ),
    ),
}

ROW_OPTIONS: tuple[Option, ...] = (
    Option(
        "--each",
        "Ask for each row of a data frame, Series, list or dict of columns; {{column}} comes from the row",
        "each",
        "DATA",
        other_name="data",
        acts="number of requests",
    ),
    Option("--labels", "Ask for one of these labels, with its probability", "labels", "A,B,C", acts="columns of the result"),
    Option("--abstain", "Probability below which a label is left open", "abstain", "P", acts="columns of the result"),
    Option(
        "--truth", "Column with the right answers: how good are the models?", "truth", "COLUMN", acts=_EXPERIMENT, magic_only=True
    ),
    Option(
        "--repeat", "Ask each row so many times, with another seed each time", "repeat", "N", acts=_EXPERIMENT, magic_only=True
    ),
    Option(
        "--sample", "Ask for so many rows only, and estimate time and tokens for all", "sample", "N", acts="number of requests"
    ),
    Option("--parallel", "Requests at a time (default: found by measuring)", "parallel", "N", acts="number of connections"),
    Option("--base-url", "Several servers that share the rows", "base_url", "A,B", acts="address of the requests"),
    Option("--no-store", "Do not read or keep stored rows", "no_store", other_name="store", acts="store"),
)

EMBED_OPTIONS: tuple[Option, ...] = (
    Option("-m --model", "Embedding model", "model", "NAME", wire="model"),
    Option("-o --into", "Bind the array to this name", "into", "NAME", acts=_NOTEBOOK, magic_only=True),
    Option("--report", "Bind the EmbedReport to this name", "report", "NAME", acts=_NOTEBOOK),
    Option("--lines", "Embed the lines of a text file", "lines", "FILE", acts="input of the requests"),
    Option("--batch", "Texts in one request; else about one second of work, at most 256", "batch", "N", acts="length of input"),
    Option("--parallel", "Requests at a time (default: found by measuring)", "parallel", "N", acts="number of connections"),
    Option("--dimensions", "Length of the vectors, where the model can shorten them", "dimensions", "N", wire="dimensions"),
    Option("--query", "Put the model family's prefix for a query before each text", "query", acts="prefix of input"),
    Option("--document", "Put the model family's prefix for a document before each text", "document", acts="prefix of input"),
    Option(
        "--on-error",
        "Rows that cannot be embedded: raise (after all others), nan, or skip",
        "on_error",
        "WHAT",
        acts="rows of the result",
    ),
    Option(
        "--truncate",
        "Let the server cut texts that are too long; the report lists them",
        "truncate",
        acts="second request of a text that is too long",
    ),
    Option("--verify", "Embed some texts again alone, and compare", "verify", acts="additional requests"),
    Option("--any-model", "Accept a model that is not listed as an embedding model", "any_model", acts="check"),
    Option("--context", "Context length, sent as num_ctx; takes 8k", "context", "N", wire="options.num_ctx"),
    Option("-O", "Another option of Ollama; repeatable", "options", "KEY=VALUE", wire="options.*", repeat=True),
    Option("--base-url", "Several servers that share the work", "base_url", "A,B", acts="address of the requests"),
    Option("--no-store", "Do not read or write stored vectors", "no_store", other_name="store", acts="store"),
    Option("--store", "Show the size of the store", "show_store", acts="store", magic_only=True),
    Option("--forget", "Delete all stored vectors", "forget", acts="store", magic_only=True),
)

# Fields of a request that are no options of Ollama, with the option of ours that sets each.
_ELSEWHERE = {
    **{wire: form.flag(name) for name, wire in form.request_places().items()},
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


# Each option of Ollama: how its text is read, the phrase that names the kind, and an example. Those that are settings drop out.
_ALL_KINDS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    **dict.fromkeys(("num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread"), (_whole, "kind_whole", "1")),
    **dict.fromkeys(("repeat_last_n", "draft_num_predict"), (_whole, "kind_whole", "64")),
    **dict.fromkeys(("min_p", "typical_p"), (_fraction, "kind_number", "0.05")),
    **dict.fromkeys(("repeat_penalty", "presence_penalty", "frequency_penalty"), (_fraction, "kind_number", "1.1")),
    "use_mmap": (lambda text: _SWITCHES[text.lower()], "kind_switch", "true"),
}
_KINDS = {name: kind for name, kind in _ALL_KINDS.items() if name not in form.ollama_options()}


@contextmanager
def typed_in_call(magic: str = "") -> Iterator[None]:
    """Let the advice of an error name the option of the cell or call in which a value was typed, not that of the settings."""
    try:
        yield
    except SettingError as error:
        if isinstance(error.facts.get("example"), str):
            error.facts["example"] = error.facts["example"].replace("%ollama_config ", f"{magic} ".lstrip())
        raise


def runner_option_names() -> list[str]:
    """Return the names of Ollama's options that -O takes: those that are settings first."""
    return [*form.ollama_options(), *_KINDS]


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
            raise _unknown(str(name))
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
    known = runner_option_names()
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.5)
    reason = messages.Phrase("option_near", near=near[0]) if near else messages.Phrase("option_none", known=", ".join(known))
    return _refused(name, "-O", reason, f"-O {near[0] if near else 'num_ctx'}=…")


def _refused(value: str, option: str, reason: messages.Phrase, example: str) -> SettingError:
    return SettingError("setting-invalid", value=repr(value[:60]), setting=option, reason=reason, example=example)
