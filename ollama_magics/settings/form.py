"""Declare the settings: how each is read, its default and help, where it is typed, and where it goes in a request."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from msgspec import Struct
from traitlets import Any as AnyValue
from traitlets import TraitType
from traitlets.config import Configurable

from ollama_magics import messages
from ollama_magics.settings import values, worker_settings
from ollama_magics.settings.values import FLAGS, OneOf, Reader

# The panel, the flags of %ollama_config and of the shell command, those of %%ollama that a cell may set for itself, the
# request, %config OllamaSettings, the profile file and the tables under docs/ follow from the traits below. What is written
# by hand beside them, the parameters of om.chat and om.configure, is compared with them by tests/settings/test_declaration.py.


DEFAULT_ADDRESS = "127.0.0.1:11434"
# Groups of the options of %%ollama, in the order of its help.
MODEL, PROMPT, FUNCTIONS, MEMORY = "model", "prompt", "functions", "memory"
ANSWER, DISPLAY, RESULT, ROWS = "answer", "display", "result", "rows"
CHAT, TEXT = ("chat",), ("chat", "completion")  # the model types that use a setting


class InCell(Struct, frozen=True):
    """How a setting is an option of %%ollama: its group, and what differs from the flag of %ollama_config."""

    group: str
    help: str = ""
    letter: str = ""  # such as -m
    repeat: bool = False
    const: str | None = None  # the value of the option without one
    switch: bool = False  # takes no value


class Setting(TraitType):
    """One setting: a trait whose values its reader checks; None and an empty text are values where the default is None.

    ``wire`` is the place of its value in the body of /api/chat and /api/generate, such as ``options.num_ctx``, and ``encode``
    returns the value as the server takes it, or None to leave it out. A setting without such a place says where it ``acts``.
    ``types`` are the model types that use it; ``cell`` makes it an option of %%ollama, and ``embed`` one of %embed.
    ``when_empty`` is the key of the phrase that is shown for an empty value.
    """

    def __init__(  # noqa: PLR0913 - the declaration of a setting
        self,
        read: Reader,
        default: Any,
        about: str,
        *,
        unit: str = "",
        metavar: str = "VALUE",
        wire: str = "",
        encode: Callable[[Any], Any] = lambda value: value,
        acts: str = "",
        types: tuple[str, ...] = (),
        cell: InCell | None = None,
        embed: bool = False,
        when_empty: str = "nothing_set",
    ) -> None:
        super().__init__(default, help=about)
        self.read, self.unit, self.metavar = read, unit, metavar
        self.wire, self.encode, self.acts = wire, encode, acts
        self.types, self.cell, self.embed = types, cell, embed
        self.when_empty = when_empty
        self.tag(config=True)

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the value as it is kept; raises SettingError."""
        if self.default_value is None and (value is None or value == ""):
            return None
        return self.read(value, self.name)


def _choice(*options: str, about: str, acts: str, types: tuple[str, ...] = (), cell: InCell | None = None) -> Setting:
    return Setting(OneOf(options), options[0], about, acts=acts, types=types, cell=cell)


class OllamaSettings(Configurable):
    """The settings of this notebook; an empty value means that something else decides (see each help)."""

    model = Setting(
        values.name,
        "",
        "Model that answers; empty: the only installed one that can do what the cell asks",
        metavar="NAME",
        acts="model of the request",
        cell=InCell(MODEL, "Model that answers; repeatable: each model answers, in columns", "-m", repeat=True),
        when_empty="model_chosen",
    )
    base_url = Setting(
        values.address,
        "",
        f"Address of Ollama; empty: OLLAMA_HOST, else {DEFAULT_ADDRESS}",
        acts="address of every request",
    )
    api_key_env = Setting(
        values.variable,
        "",
        "Environment variable that holds the key; empty: OLLAMA_API_KEY, for ollama.com only",
        acts="header Authorization",
    )
    model_type = _choice("chat", "completion", "embedding", about="What the model is used for", acts="endpoint of the request")
    context_length = Setting(
        values.context_length,
        4096,
        "Context length, sent as num_ctx; takes 8k",
        unit="tokens",
        metavar="N",
        wire="options.num_ctx",
        cell=InCell(ANSWER),
    )
    max_tokens = Setting(
        values.most_tokens,
        4096,
        "Longest answer, sent as num_predict; takes 8k; -1: no limit, -2: fill the context",
        unit="tokens",
        metavar="N",
        wire="options.num_predict",
        types=TEXT,
        cell=InCell(ANSWER),
    )
    vision = _choice("auto", "yes", "no", about="Whether the model sees pictures; auto: ask the server", acts="check", types=TEXT)
    tools = _choice(
        "auto", "yes", "no", about="Whether the model calls functions; auto: ask the server", acts="check", types=CHAT
    )
    embedding_model = Setting(
        values.name,
        "",
        "Model of %embed; empty: the model above if it embeds, else the only one that does",
        acts="model of the request for embeddings",
        types=TEXT,
        when_empty="model_chosen",
    )
    system = Setting(
        values.plain_text,
        "",
        "System prompt of every conversation",
        metavar="TEXT",
        acts="first message, or system prompt of a completion",
        types=TEXT,
        cell=InCell(PROMPT, "System prompt; $name takes it from a variable", "-s"),
        when_empty="models_default",
    )
    temperature = Setting(
        values.temperature,
        None,
        "Randomness of the answer; empty: the model's default",
        metavar="X",
        wire="options.temperature",
        types=TEXT,
        cell=InCell(ANSWER),
        when_empty="models_default",
    )
    top_p = Setting(
        values.fraction,
        None,
        "Probability mass of the tokens to sample from; empty: the model's default",
        metavar="X",
        wire="options.top_p",
        types=TEXT,
        cell=InCell(ANSWER),
        when_empty="models_default",
    )
    top_k = Setting(
        values.top_k,
        None,
        "Number of most likely tokens to sample from; empty: the model's default",
        unit="tokens",
        metavar="N",
        wire="options.top_k",
        types=TEXT,
        cell=InCell(ANSWER),
        when_empty="models_default",
    )
    seed = Setting(
        values.whole,
        None,
        "Seed for repeatable answers, a whole number; empty: random",
        metavar="N",
        wire="options.seed",
        types=TEXT,
        cell=InCell(ANSWER),
        when_empty="models_default",
    )
    stop = Setting(
        values.stops,
        (),
        "Text that ends an answer, \\n for a line break; repeatable",
        metavar="TEXT",
        wire="options.stop",
        types=TEXT,
        cell=InCell(ANSWER, repeat=True),
    )
    think = Setting(
        values.think,
        "auto",
        "Whether and how much the model thinks first; auto: the server's default",
        metavar="LEVEL",
        wire="think",
        encode=values.think_field,
        types=TEXT,
        cell=InCell(ANSWER, "Thinking: off, on, or a level such as low, high or max, as --think=high", const="on"),
    )
    keep_alive = Setting(
        values.keep_alive,
        None,
        "How long the model stays loaded: 30m, -1 forever, 0 not at all; empty: the server's default",
        metavar="T",
        wire="keep_alive",
        cell=InCell(MODEL),
        embed=True,
        when_empty="servers_default",
    )
    connect_timeout = Setting(
        values.seconds, 5.0, "Longest wait for a connection (at most 2 on this machine)", unit="seconds", acts="client"
    )
    first_token_timeout = Setting(
        values.seconds, 600.0, "Longest wait for the first token, loading included", unit="seconds", acts="client"
    )
    idle_timeout = Setting(values.seconds, 120.0, "Longest wait between two tokens", unit="seconds", acts="client")
    ca_bundle = Setting(
        values.certificates,
        "",
        "File or folder of certificates to trust; empty: the system's",
        acts="connection of the client",
        when_empty="systems_default",
    )
    headers = Setting(
        values.headers,
        (),
        "Additional headers, as Name: $VARIABLE of the environment; sent to the current address only",
        acts="headers of every request",
    )
    proxy = Setting(
        values.proxy,
        "",
        "Proxy for other machines; none: no proxy; empty: the system's",
        acts="connection of the client",
        when_empty="systems_default",
    )
    key_store = _choice(
        "notebook",
        "keyring",
        "file",
        about="Where a typed key is kept; file: a file that only you can read",
        acts="where a typed key is kept",
    )
    local_only = _choice(
        "no",
        "yes",
        about="Refuse to send anything off this machine",
        acts="refusal before the request",
        cell=InCell(MODEL, "Refuse if the prompt would leave this machine", switch=True),
    )
    probes = _choice(
        "yes", "no", about="Whether a failed check tries other common addresses; --no-probes: no", acts="connectivity check"
    )
    language = _choice(
        "auto", *messages.LANGUAGES, about="Language of labels and messages; auto: from LANG", acts="labels and messages"
    )

    # The session that was made from these settings, or None; see session.current().
    session = AnyValue(None)

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, by name."""
        return {name: getattr(self, name) for name in names() if getattr(self, name) != default(name)}


SETTINGS: Mapping[str, Any] = {name: trait for name, trait in OllamaSettings.__dict__.items() if isinstance(trait, Setting)}


def names() -> list[str]:
    """Return the names of all settings in the order of the panel."""
    return list(SETTINGS)


@cache
def request_places() -> Mapping[str, str]:
    """Return the settings whose values are sent, each with its place in the body of a request, such as ``options.num_ctx``."""
    return {name: setting.wire for name, setting in SETTINGS.items() if setting.wire}


@cache
def ollama_options() -> Mapping[str, str]:
    """Return the settings that are options of Ollama, by the names that Ollama gives them."""
    return {wire.removeprefix("options."): name for name, wire in request_places().items() if wire.startswith("options.")}


def unused(model_type: str) -> tuple[str, ...]:
    """Return the settings that models of a type do not use."""
    return tuple(name for name, setting in SETTINGS.items() if setting.types and model_type not in setting.types)


def default(name: str) -> Any:
    """Return the built-in value of a setting."""
    return SETTINGS[name].default_value


def words(name: str) -> tuple[str, ...]:
    """Return the words that a setting may take, or () where it is no choice."""
    return tuple(getattr(SETTINGS[name].read, "words", ()))


def limits(name: str) -> str:
    """Return the range of a setting as text, or an empty text where it has none."""
    return str(getattr(SETTINGS[name].read, "limits", ""))


def unit(name: str) -> str:
    """Return the unit of a setting, or an empty text."""
    return str(SETTINGS[name].unit)


def explain(name: str) -> str:
    """Return the help of a setting, one line."""
    return str(SETTINGS[name].help)


def flag(name: str) -> str:
    """Return the option of %ollama_config that sets it."""
    return "--" + FLAGS.get(name, name).replace("_", "-")


def shown(value: Any) -> str:
    """Return a value of the form as a user would type it, with bullets for what is secret."""
    if isinstance(value, tuple):
        return "\n".join(f"{part[0]}: {part[1]}" if isinstance(part, tuple) else values.escaped(part) for part in value)
    if isinstance(value, (float, int)):
        return f"{value:.12g}"
    return "" if value is None else str(value)


def shown_on_line(name: str, value: str) -> str | messages.Phrase:
    """Return a value that ``shown`` returned on one line, or the phrase for an empty one."""
    if value:
        return " · ".join(value.splitlines())
    return messages.Phrase(SETTINGS[name].when_empty if name in SETTINGS else "nothing_set")


_shared: OllamaSettings | None = None


def shared() -> OllamaSettings:
    """Return the settings that the magics and the plain calls share; made at the first call."""
    global _shared  # noqa: PLW0603 - the one module global: notebook and script see the same settings
    if _shared is None:
        _shared = OllamaSettings()
        _shared.observe(lambda change: worker_settings.mark(change["owner"].changed()), names=names())
    return _shared


def language_in_use(chosen: OllamaSettings | None = None) -> str:
    """Return the language of labels and messages, ``en`` or ``zh``: that of the settings, else of the system."""
    typed = str((chosen or shared()).language)
    if typed != "auto":
        return typed
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return "zh" if locale.lower().startswith("zh") else "en"


def forget() -> None:
    """Drop the shared settings; the next call of shared() starts from the defaults."""
    global _shared  # noqa: PLW0603 - see shared()
    _shared = None
