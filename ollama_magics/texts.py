"""What is said to the person, in each language, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping

LANGUAGES = ("en", "zh")

# code: (what is wrong, how we know, what to type)
_ERRORS: dict[str, dict[str, tuple[str, str, str]]] = {
    "en": {
        # addresses
        "OM-A01": (
            "{typed} is not an address we can use.",
            "{reason}",
            "%ollama_config --base-url http://127.0.0.1:11434",
        ),
        "OM-A02": (
            "{port} is not a port.",
            "A port is a whole number from 1 to 65535, and Ollama's own is 11434.",
            "%ollama_config --base-url http://127.0.0.1:11434\nthe name of a model: %ollama_config --model NAME",
        ),
        "OM-A03": (
            "An address that begins with {scheme}: cannot be used.",
            "Ollama speaks http and https only.",
            "%ollama_config --base-url http://127.0.0.1:11434",
        ),
        "OM-A04": (
            "{model} looks like the name of a model, not like an address.",
            "An address is a machine with a port, such as 127.0.0.1:11434.",
            "%ollama_config --model {model}",
        ),
        "OM-A05": (
            "The name and password before the @ cannot be told from the address.",
            "There is a space, /, \\, ? or # before the @.",
            "write it inside the name or password as %20, %2F, %5C, %3F or %23",
        ),
        # where the server is
        "OM-D01": (
            "The name {host} is unknown.",
            "The name look-up said: {reason}.",
            "check the spelling, or: %ollama_config --base-url http://127.0.0.1:11434",
        ),
        "OM-D03": (
            "Nothing answers at {url}.",
            "{host} refused the connection on port {port}; typed on the machine of this kernel, the first command starts Ollama.",
            "ollama serve\nelsewhere: %ollama_config --base-url http://HOST:11434\nnone: %ollama_config --sandbox",
        ),
        "OM-D07": (
            "{url} does not answer.",
            "No connection within {seconds} s: a firewall, or a wrong address.",
            "%ollama_check\nelsewhere: %ollama_config --base-url http://HOST:11434",
        ),
        "OM-D13": (
            "The connection to {url} broke.",
            "{reason}",
            "%ollama_check",
        ),
        "OM-D15": (
            "No secure connection to {url}.",
            "{reason}",
            "plain Ollama speaks http: %ollama_config --base-url http://{host}:{port}",
        ),
        "OM-D20": (
            "The proxy between this kernel and {url} failed.",
            "{reason}",
            "take the host out of the proxy: NO_PROXY={host}",
        ),
        "OM-D22": (
            "The proxy settings of this kernel cannot be used.",
            "{reason}",
            "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY",
        ),
        "OM-D23": (
            "{url} sends us elsewhere, and we do not follow.",
            "It answered {status} with the location {location}.",
            "%ollama_config --base-url ADDRESS (the one where Ollama itself listens)",
        ),
        "OM-D24": (
            "What answers at {url} is not Ollama.",
            "{reason}",
            "Ollama's own port is 11434: %ollama_config --base-url http://{host}:11434",
        ),
        "OM-D28": (
            "Ollama at {url} refuses the name {host}.",
            "It answered 403 without a word: listening on its own machine only, it accepts local names.",
            "use its IP address, or let the tunnel or proxy send the header Host: localhost:11434",
        ),
        "OM-D31": (
            "{url} accepted the request and then said nothing.",
            "No answer within {seconds} s.",
            "%ollama_check\na large model may need longer: %ollama_config --first-token-timeout 1200",
        ),
        "OM-D34": (
            "The server is busy.",
            "It said: {said}",
            "wait for the requests before this one, and run the cell again",
        ),
        "OM-D35": (
            "Ollama {version} on {host} is too old.",
            "Before 0.12.6 the server cuts long prompts without a word.",
            "upgrade Ollama there, then run the cell again",
        ),
        # which model
        "OM-D36": (
            "{model} is not installed on {host}.",
            "{installed}",
            "ollama pull {model}{nearest}",
        ),
        "OM-D37": (
            "No installed model on {host} can do this: {ability}.",
            "{installed}",
            "{pull}",
        ),
        "OM-D38": (
            "{model} does not do this: {ability}.",
            "The server lists its capabilities as: {capabilities}.",
            "choose another with -m; {installed}",
        ),
        "OM-D40": (
            "Several installed models can do this: {ability}.",
            "They are: {models}.",
            "name one: -m {first}\nfor the whole notebook: %ollama_config --model {first}",
        ),
        "OM-D42": (
            "The server could not run {model}.",
            "It said: {said}",
            "run the cell again; if it stays: a smaller --context, or a smaller model",
        ),
        # what the server said
        "OM-R01": (
            "The server refused the request ({status}).",
            "It said: {said}",
            "%ollama_check",
        ),
        "OM-R02": (
            "The server's answer cannot be read.",
            "{reason}",
            "%ollama_check",
        ),
        # answers that are not whole
        "OM-C01": (
            "The answer was cut.",
            "The stream ended without its last line, after {characters} characters.",
            "the text so far is in _ollama.text; run the cell again",
        ),
        "OM-C02": (
            "The model got stuck and the server stopped it.",
            'The server ended the answer with "done": false, after {characters} characters.',
            "the text so far is in _ollama.text; try another prompt, a --temperature, or another model",
        ),
        "OM-C03": (
            "The server broke off the answer.",
            "After {characters} characters it said: {said}",
            "the text so far is in _ollama.text; run the cell again",
        ),
        "OM-C04": (
            "The answer stopped coming.",
            "Nothing for {seconds} s, after {characters} characters.",
            "the text so far is in _ollama.text; longer waits: %ollama_config --idle-timeout 600",
        ),
        "OM-C05": (
            "The answer broke off with a line that cannot be read.",
            "{reason}",
            "the text so far is in _ollama.text; run the cell again",
        ),
        # prompts
        "OM-L01": (
            "The prompt is longer than the context of {model}.",
            "{said}",
            "shorten it, start afresh with --new, or raise it with --context N",
        ),
        "OM-T01": (
            "The prompt is empty.",
            "There is no word in it after the options.",
            "write the prompt into the cell, or: %ollama What is Python?",
        ),
        "OM-T02": (
            "The prompt asks for {{{{{name}}}}}, but the notebook has no {name}.",
            "{nearest}",
            "define {name} first, or write \\{{{{{name}}}}} to send the braces",
        ),
        "OM-T04": (
            "The text holds a character that does not exist.",
            "It is one half of a pair (a lone surrogate), which UTF-8 cannot write.",
            'clean it first: text = text.encode("utf-8", "replace").decode()',
        ),
        # embeddings
        "OM-E01": (
            "There is nothing to embed.",
            "The list of texts is empty.",
            'x = %embed ["a text", "another"]',
        ),
        "OM-E02": (
            "Not every row is a text.",
            "{found}",
            "leave these rows out, or turn them into text first",
        ),
        "OM-E03": (
            "{kind} cannot be embedded as it is.",
            "{reason}",
            "{instead}",
        ),
        "OM-E04": (
            "The server's answer does not fit the texts.",
            "{reason}",
            "nothing was kept; run the cell again, and if it stays, try another model",
        ),
        "OM-E05": (
            "{count} of {total} texts are longer than the model can read.",
            "{found}",
            "all others are kept: shorten or split these   ·   --truncate (cut them)   ·   --on-error nan or skip",
        ),
        "OM-E06": (
            "{count} of {total} rows could not be embedded.",
            "{found}",
            "all others are kept: mend these and run the cell again   ·   --on-error nan or skip",
        ),
        "OM-E07": (
            "{model} was replaced while its vectors were made.",
            "Its digest at {url} was {before} and is {after}.",
            "run the cell again: vectors of two models do not belong into one array",
        ),
        "OM-E08": (
            "{model} is not the same model on all servers.",
            "Its digest at {second} differs from that at {first}.",
            "pull the same version on both, or leave one out of --base-url",
        ),
        "OM-E09": (
            "Texts have other vectors alone than in a batch.",
            "Asked again one by one, these differ: {shown}.",
            "--batch 1   ·   another version of Ollama; some have mixed up what they compute at once",
        ),
        # pictures
        "OM-P01": (
            "There is no picture {path}.",
            "{reason}",
            "-i takes the name of a variable, a path, or a pattern such as plots/*.png",
        ),
        "OM-P02": (
            "{source} is not a picture that can be read.",
            "{reason}",
            "open it elsewhere and save it as PNG",
        ),
        "OM-P03": (
            "{source} is too large a picture.",
            "{reason}",
            "make it smaller first",
        ),
        "OM-P04": (
            "{source} is text, not a picture.",
            "A plain string in a variable is never taken for a path.",
            "if it is one: from pathlib import Path; {source} = Path({source})",
        ),
        "OM-P05": (
            "{source} is not a kind of picture we know.",
            "{reason}",
            "give a Path, bytes, a PIL image, an array (height, width[, 3 or 4]), a figure, or a list of these",
        ),
        "OM-P06": (
            "The figure {source} cannot be drawn.",
            "{reason}",
            "show it in a cell of its own first, and mend what stops it there",
        ),
        # settings
        "OM-S01": (
            "{value} is no value for {setting}.",
            "{reason}",
            "{example}",
        ),
        "OM-S03": (
            "There is no setting {setting}.",
            "The settings are: {known}.",
            "%ollama_config --show",
        ),
        "OM-S04": (
            "The line takes a value from {name}, but the notebook has no {name}.",
            "$ at the start of a value stands for a name of the notebook.",
            "define {name} first",
        ),
        "OM-T03": (
            "A prompt is text, not {kind}.",
            "Only text can be sent to the model.",
            'om.chat("What is Python?")',
        ),
        "OM-I03": ("Interrupted; the finished batches are kept: run the cell again, and only the others are asked for.", "", ""),
        "OM-I04": ("Interrupted; nothing was kept.", "", ""),
        "OM-I02": ("Interrupted before the first word.", "", ""),
        "OM-I01": ("Interrupted; the text so far is kept in _ollama.", "", ""),
    },
    "zh": {},
}

_PHRASES: dict[str, dict[str, str]] = {
    "en": {
        "waiting": "waiting",
        "seconds": "{seconds} s",
        "tokens": "{count} tokens",
        "speed": "{rate} tok/s",
        "first": "first after {seconds} s",
        "context": "context {used} of {size}",
        "cut": "cut at the max tokens ({count}): raise with --max-tokens",
        "incomplete": "the answer is not complete",
        "shifted": "the answer ran past the context: the model forgot the beginning; raise with --context",
        "dropped": "run again: later turns of the conversation were dropped ({count})",
        "shrunk": "picture was shrunk from {old} to {new}",
        "remote": "sent to {host}",
        "thoughts": "thoughts",
        "not_asked": "not asked yet",
        "address_default": "{url}, the default",
        "address_environment": "{url}, from OLLAMA_HOST",
        "address_notebook": "{url}, set in this notebook",
        "reached": "{where} accepts connections",
        "is_ollama": "Ollama {version}",
        "model_installed": "{model} is installed, one of {count}",
        "model_only": "{model}, the only installed one of {count} that fits",
        "takes_context": "context up to {count}",
        "dimension": "dimension {count}",
        "source_default": "default",
        "source_environment": "environment",
        "source_notebook": "this notebook",
        "set": "{label}: {value}",
        "sandbox_runs": "a stand-in server answers at {url}; it knows {models}, and it is no language model",
        "checking": "checking …",
        "note_model": "empty: the only installed one that fits",
        "note_model_type": "what the model is asked for",
        "note_context_length": "{value} tokens, sent as num_ctx",
        "note_max_tokens": "{value} tokens, sent as num_predict",
        "note_vision": "auto: as the server says",
        "note_embedding_model": "used by %embed",
        "note_language": "of labels and messages",
        "server_decides": "the model's own",
        "model_chosen": "the only installed one that fits",
        "rows": "{count} rows",
        "rows_reused": "{count} reused",
        "rows_truncated": "{count} cut ({rows})",
        "rows_failed": "{count} without a vector ({rows})",
        "server_left_out": "left out {url}: {reason}",
        "store_problem": "{reason}",
        "store_size": "the store holds {rows} vectors in {size} MB",
        "value": "value",
        "setting": "setting",
        "from": "from",
        "remote_picture": "[image: {host} — not loaded]",
        "only_thoughts": "the budget ended inside the thoughts: raise with --max-tokens",
    },
    "zh": {},
}

_LABELS: dict[str, dict[str, str]] = {
    "en": {
        "model": "Model name",
        "base_url": "Base URL",
        "model_type": "Model type",
        "context_length": "Context length",
        "max_tokens": "Upper bound for max tokens",
        "vision": "Vision support",
        "embedding_model": "Embedding model",
        "system": "System prompt",
        "temperature": "Temperature",
        "seed": "Seed",
        "connect_timeout": "Seconds to connect",
        "first_token_timeout": "Seconds to the first token",
        "idle_timeout": "Seconds between tokens",
        "language": "Language",
        "check": "Check",
        "stage_address": "Address",
        "stage_connection": "Connection",
        "stage_server": "Server",
        "stage_model": "Model",
        "stage_abilities": "Capabilities",
    },
    "zh": {
        "model": "模型名称",
        "base_url": "基础 URL",
        "model_type": "模型类型",
        "context_length": "模型上下文长度",
        "max_tokens": "最大 token 上限",
        "vision": "是否支持 Vision",
        "embedding_model": "嵌入模型",
        "language": "语言",
        "check": "检查",
        "stage_address": "地址",
        "stage_connection": "连接",
        "stage_server": "服务器",
        "stage_model": "模型",
        "stage_abilities": "能力",
    },
}


# What a terminal obeys instead of showing it: controls but the newline, and marks of direction.
_PAINTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class _Facts(dict[str, str]):
    # A missing fact must never turn one error into another.
    def __missing__(self, name: str) -> str:
        return "…"


def fill(template: str, facts: Mapping[str, str]) -> str:
    """Return the template with ``{name}`` replaced by its fact; facts are never expanded again."""
    return template.format_map(_Facts({name: harmless(fact) for name, fact in facts.items()}))


def harmless(text: str) -> str:
    """Return what a server or a person said without signs that a terminal obeys."""
    return _PAINTING.sub(" ", text)


def error(code: str, language: str = "en") -> tuple[str, str, str]:
    """Return what, how we know and the remedy of a code, in English where the language has none."""
    return _ERRORS[language].get(code) or _ERRORS["en"][code]


def phrase(key: str, language: str = "en", **facts: object) -> str:
    """Return one phrase of the screen with its facts filled in, in English where the language has none."""
    template = _PHRASES[language].get(key) or _PHRASES["en"][key]
    return fill(template, {name: str(value) for name, value in facts.items()})


def label(key: str, language: str = "en") -> str:
    """Return the label of a setting or a button, in English where the language has none, else the name itself."""
    return _LABELS[language].get(key) or _LABELS["en"].get(key, key)
