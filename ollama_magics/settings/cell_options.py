"""Declare the options of %%ollama and %embed that are no settings: how each is typed, and where it acts."""

from __future__ import annotations

from dataclasses import dataclass

# Groups of the options of %%ollama, in the order of its help; settings stand in them, too.
MODEL, PROMPT, FUNCTIONS, MEMORY = "model", "prompt", "functions", "memory"
ANSWER, DISPLAY, RESULT = "answer", "display", "result"
GROUPS = (MODEL, PROMPT, FUNCTIONS, MEMORY, ANSWER, DISPLAY, RESULT)


@dataclass(frozen=True)
class Option:
    """One option of a magic.

    ``flags`` are its spellings, with a space between them. Without a ``metavar`` it is a switch. ``name`` is that of its value in
    the parsed line. ``parameter`` is the one of om.chat or om.embed that does the same; empty if only the magic needs it.
    ``wire`` is the place of its value in the body of a request; an option without such a place says where it ``acts``.
    ``repeat``: it may be typed several times. ``const``: its value if none is typed.
    """

    flags: str
    help: str
    name: str
    metavar: str = ""
    parameter: str = ""
    wire: str = ""
    acts: str = ""
    repeat: bool = False
    const: str | None = None


_HISTORY, _PICTURES, _NOTEBOOK = "messages of the request", "images of the last message", "notebook"

PROMPT_OPTIONS: dict[str, tuple[Option, ...]] = {
    MODEL: (),
    PROMPT: (
        Option(
            "-i --image",
            "Picture: a variable, a path or a pattern; repeatable",
            "images",
            "WHAT",
            parameter="images",
            acts=_PICTURES,
            repeat=True,
        ),
        Option("--allow-url", "Fetch the pictures of http and https addresses after -i", "allow_url", acts=_PICTURES),
        Option("--no-fill", "Leave {{name}} as it is", "no_fill", parameter="values", acts=_HISTORY),
        Option(
            "--generate",
            "Complete the prompt instead of answering it",
            "generate",
            parameter="generate",
            acts="endpoint of the request",
        ),
        Option(
            "--suffix",
            "Text after the gap that the model fills; implies --generate",
            "suffix",
            "TEXT",
            parameter="suffix",
            wire="suffix",
        ),
    ),
    FUNCTIONS: (
        Option(
            "-t --tool",
            "Function that the model may call; repeatable",
            "tools",
            "FUNC",
            parameter="tools",
            wire="tools",
            repeat=True,
        ),
        Option("--yes", "Run the functions that the model calls without asking", "yes", parameter="confirm", acts=_NOTEBOOK),
    ),
    MEMORY: (
        Option("--new", "Start the conversation anew", "new", parameter="new", acts=_HISTORY),
        Option("--once", "Do not read or keep the conversation", "once", parameter="conversation", acts=_HISTORY),
        Option(
            "--chat",
            "Conversation of that name, with its own memory and system prompt",
            "chat",
            "NAME",
            parameter="conversation",
            acts=_HISTORY,
        ),
        Option("--continue", "Continue the cut answer; the cell may be empty", "go_on", parameter="go_on", acts=_HISTORY),
        Option(
            "--reuse", "Take the stored answer of the same request to the same model", "reuse", parameter="reuse", acts="store"
        ),
        Option("--forget", "Delete all stored answers", "forget", acts="store"),
        Option(
            "--strict",
            "Leave out no earlier turns, and refuse an answer longer than the context",
            "strict",
            parameter="strict",
            wire="shift",
        ),
    ),
    ANSWER: (
        Option(
            "-O",
            "Any other option of Ollama; repeatable",
            "options",
            "KEY=VALUE",
            parameter="options",
            wire="options.min_p",
            repeat=True,
        ),
    ),
    DISPLAY: (
        Option("--raw", "Show the answer as plain text", "raw", acts=_NOTEBOOK),
        Option("--quiet", "Show nothing", "quiet", acts=_NOTEBOOK),
        Option("--next-cell", "Put the first code block into a new cell below, not run", "next_cell", acts=_NOTEBOOK),
    ),
    RESULT: (
        Option(
            "-f --format",
            "json, or a type such as list[Person]; see .value and .frame",
            "format",
            "SCHEMA",
            parameter="format",
            wire="format",
        ),
        Option("-o --into", "Bind the reply to this name when it is complete", "into", "NAME", acts=_NOTEBOOK),
        Option(
            "--logprobs",
            "Log probabilities of the tokens, and of N alternatives, as --logprobs=5",
            "logprobs",
            "N",
            parameter="logprobs",
            wire="top_logprobs",
            const="0",
        ),
    ),
}

EMBED_OPTIONS: tuple[Option, ...] = (
    Option("-m --model", "Embedding model", "model", "NAME", parameter="model", wire="model"),
    Option("-o --into", "Bind the array to this name", "into", "NAME", acts=_NOTEBOOK),
    Option("--report", "Bind the EmbedReport to this name", "report", "NAME", parameter="report", acts=_NOTEBOOK),
    Option("--lines", "Embed the lines of a text file", "lines", "FILE", parameter="lines", acts="input of the requests"),
    Option("--batch", "Texts in one request (default 256)", "batch", "N", parameter="batch", acts="length of input"),
    Option("--parallel", "Requests at a time (default 2)", "parallel", "N", parameter="parallel", acts="number of connections"),
    Option(
        "--dimensions",
        "Length of the vectors, where the model can shorten them",
        "dimensions",
        "N",
        parameter="dimensions",
        wire="dimensions",
    ),
    Option(
        "--query",
        "Put the model family's prefix for a query before each text",
        "query",
        parameter="query",
        acts="prefix of input",
    ),
    Option(
        "--document",
        "Put the model family's prefix for a document before each text",
        "document",
        parameter="document",
        acts="prefix of input",
    ),
    Option(
        "--on-error",
        "Rows that cannot be embedded: raise (after all others), nan, or skip",
        "on_error",
        "WHAT",
        parameter="on_error",
        acts="rows of the result",
    ),
    Option(
        "--truncate",
        "Let the server cut texts that are too long; the report lists them",
        "truncate",
        parameter="truncate",
        acts="second request of a text that is too long",
    ),
    Option("--verify", "Embed some texts again alone, and compare", "verify", parameter="verify", acts="additional requests"),
    Option(
        "--any-model", "Accept a model that is not listed as an embedding model", "any_model", parameter="any_model", acts="check"
    ),
    Option("--context", "Context length, sent as num_ctx; takes 8k", "context", "N", parameter="context", wire="options.num_ctx"),
    Option(
        "-O",
        "Another option of Ollama; repeatable",
        "options",
        "KEY=VALUE",
        parameter="options",
        wire="options.num_thread",
        repeat=True,
    ),
    Option(
        "--base-url",
        "Several servers that share the work",
        "base_url",
        "A,B",
        parameter="base_url",
        acts="address of the requests",
    ),
    Option("--no-store", "Do not read or write stored vectors", "no_store", parameter="store", acts="store"),
    Option("--store", "Show the size of the store", "show_store", acts="store"),
    Option("--forget", "Delete all stored vectors", "forget", acts="store"),
)
