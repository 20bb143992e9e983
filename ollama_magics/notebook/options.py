"""Which options each magic takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from IPython.core.magic_arguments import argument, argument_group, kwds, magic_arguments

from ollama_magics.settings import form

_Magic = TypeVar("_Magic", bound=Callable[..., Any])
ASK = "?"  # the value of an --api-key without one


def prompt_options(magic: _Magic) -> _Magic:
    """Declare the options of %%ollama and %ollama on a magic, group by group."""
    grouped: list[Any] = [part for title, options in _prompt_groups().items() for part in (argument_group(title), *options)]
    return _declared(magic, kwds(usage="%(prog)s [OPTIONS] PROMPT"), *grouped)


def _prompt_groups() -> dict[str, tuple[Callable[[Any], Any], ...]]:
    return {
        "whom to ask": _WHOM,
        "what to ask": _WHAT,
        "functions": _FUNCTIONS,
        "memory": _MEMORY,
        "how to answer": (*_ANSWER, *(_setting(name) for name in ("temperature", "top_p", "top_k", "seed", "stop"))),
        "what is shown": _SHOWN,
        "the answer as an object": _OBJECT,
    }


_WHOM = (
    argument("-m", "--model", metavar="NAME", action="append", help="the model; several: each answers, in columns"),
    argument("--keep-alive", metavar="T", help="how long the model stays loaded: 30m, -1 for good, 0 not at all"),
    argument("--local-only", action="store_true", help="refuse if the prompt would leave this machine"),
)
_WHAT = (
    argument("-s", "--system", metavar="TEXT", help="system prompt; $name takes it from a variable"),
    argument("-i", "--image", metavar="WHAT", action="append", help="a picture: a variable, a path, a pattern; repeatable"),
    argument("--allow-url", action="store_true", help="fetch the pictures of http and https addresses after -i"),
    argument("--no-fill", action="store_true", help="{{name}} stays as it is"),
    argument("--generate", action="store_true", help="the prompt is a text to be completed, and no turn of a conversation"),
    argument("--suffix", metavar="TEXT", help="what follows after the gap that the model fills; implies --generate"),
)
_FUNCTIONS = (
    argument("-t", "--tool", metavar="FUNC", action="append", help="a function the model may call; repeatable"),
    argument("--yes", action="store_true", help="run the functions that the model calls without asking"),
)
_MEMORY = (
    argument("--new", action="store_true", help="start the conversation afresh"),
    argument("--once", action="store_true", help="neither read nor keep the conversation"),
    argument("--chat", metavar="NAME", help="a conversation of that name, with its own memory and system prompt"),
    argument("--continue", dest="go_on", action="store_true", help="go on with the cut answer; the cell may be empty"),
    argument("--reuse", action="store_true", help="the stored answer of the same request to the same model, if there is one"),
    argument("--forget", action="store_true", help="empty the store of answers"),
    argument("--strict", action="store_true", help="leave out no earlier turns, and refuse an answer longer than the context"),
)
_ANSWER = (
    argument("--context", metavar="N", help="tokens of context for this cell; takes 8k"),
    argument("--max-tokens", metavar="N", help="most tokens of the answer; takes 8k"),
    argument("--think", metavar="LEVEL", nargs="?", const="on", help="off, on, low, medium, high or max, as --think=high"),
    argument("-O", dest="options", metavar="KEY=VALUE", action="append", help="any other option of Ollama; repeatable"),
)
_SHOWN = (
    argument("--raw", action="store_true", help="show the answer as plain text"),
    argument("--quiet", action="store_true", help="show nothing"),
    argument("--next-cell", action="store_true", help="put the first block of code into a new cell below, not run"),
)
_OBJECT = (
    argument("-f", "--format", metavar="SCHEMA", help="json, or a type such as list[Person]: see .value and .frame"),
    argument("-o", "--into", metavar="NAME", help="bind the reply to this name when it is complete"),
    argument("--logprobs", metavar="N", nargs="?", const="0", help="how likely each token was, and N others, as --logprobs=5"),
)


def embed_options(magic: _Magic) -> _Magic:
    """Declare the options of %embed and %%embed on a magic."""
    return _declared(
        magic,
        argument("-m", "--model", metavar="NAME", help="the embedding model"),
        argument("-o", "--into", metavar="NAME", help="bind the array to this name"),
        argument("--report", metavar="NAME", help="bind what happened to the rows, an EmbedReport, to this name"),
        argument("--lines", metavar="FILE", help="embed the lines of a text file"),
        argument("--batch", metavar="N", help="texts in one request (default 256)"),
        argument("--parallel", metavar="N", help="requests at a time (default 2)"),
        argument("--dimensions", metavar="N", help="numbers in a vector, where the model can cut them"),
        argument("--query", action="store_true", help="put the model family's words for a query before each text"),
        argument("--document", action="store_true", help="put the model family's words for a document before each text"),
        argument("--on-error", metavar="WHAT", help="rows that cannot be embedded: raise (after all others), nan, or skip"),
        argument("--truncate", action="store_true", help="let the server cut texts that are too long; the report lists them"),
        argument("--verify", action="store_true", help="embed some texts again alone, and compare"),
        argument("--any-model", action="store_true", help="take a model that is not listed as one that embeds"),
        argument("--context", metavar="N", help="tokens of context, sent as num_ctx; takes 8k"),
        argument("--keep-alive", metavar="T", help="how long the model stays loaded: 30m, 0, -1 (for ever)"),
        argument("-O", dest="options", metavar="KEY=VALUE", action="append", help="an option of the runner; repeatable"),
        argument("--base-url", metavar="A,B", help="several servers that share the work"),
        argument("--no-store", action="store_true", help="neither look vectors up in the store nor keep them there"),
        argument("--store", action="store_true", help="show the size of the store"),
        argument("--forget", action="store_true", help="empty the store"),
    )


def config_options(magic: _Magic) -> _Magic:
    """Declare one option for each setting of the form, and those that act on it, on a magic."""
    return _declared(
        magic,
        *(_setting(name) for name in form.form()),
        argument("--no-probes", dest="probes", action="store_const", const="no", help="the same as --probes no"),
        argument("--api-key", nargs="?", const=ASK, help="ask for the key, for the address of now only"),
        argument("--save", metavar="NAME", nargs="?", const="default", help="save the settings as a profile, without keys"),
        argument("--profile", metavar="NAME", help="use a profile in this notebook"),
        argument("--profiles", action="store_true", help="list the profiles"),
        argument("--forget", metavar="NAME", help="remove a profile"),
        argument("--export", metavar="FILE", help="write the settings to a file, without keys"),
        argument("--import", dest="import_file", metavar="FILE", help="take the settings of a file, for this notebook"),
        argument("--show", action="store_true", help="show the settings and where each value comes from"),
        argument("--record", metavar="FILE", help="write every exchange to a file; with OLLAMA_MAGICS_REPLAY=1 replay it"),
        argument("--sandbox", action="store_true", help="start the built-in stand-in server and use it"),
    )


def history_options(magic: _Magic) -> _Magic:
    """Declare the options of %ollama_history on a magic."""
    return _declared(
        magic,
        argument("--export", action="store_true", help="return the messages as a list of dicts with role and content"),
        argument("--clear", action="store_true", help="forget the turns"),
    )


def check_options(magic: _Magic) -> _Magic:
    """Declare the options of %ollama_check on a magic."""
    return _declared(
        magic,
        argument("--deep", action="store_true", help="load the model, ask it, and prove what it can do"),
        argument("--json", action="store_true", help="show the report as JSON, for programs"),
    )


def _setting(name: str) -> Callable[[Any], Any]:
    options: dict[str, Any] = {"action": "append"} if isinstance(form.default(name), tuple) else {}
    if form.words(name) == ("no", "yes"):
        options = {"nargs": "?", "const": "yes"}
    return argument(form.flag(name), dest=name, metavar="VALUE", help=_help(name), **options)


def _declared(magic: _Magic, *options: Callable[[Any], Any]) -> _Magic:
    # magic_arguments collects decorators from the bottom up
    for option in reversed(options):
        magic = option(magic)
    magic = magic_arguments()(magic)
    magic.parser.allow_abbrev = False  # type: ignore[attr-defined] # set by magic_arguments
    return magic


def _help(name: str) -> str:
    return form.explain(name).replace("%", "%%")
