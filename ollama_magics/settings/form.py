"""The lines of the form, each with its reader, its default and its help, in the order of the panel."""

from __future__ import annotations

from typing import Any

from traitlets import Any as AnyValue
from traitlets import TraitType
from traitlets.config import Configurable

from ollama_magics import messages
from ollama_magics.settings import secret_values, values
from ollama_magics.settings.values import FLAGS, OneOf, Optional, Reader

# The panel, the flags of %ollama_config and of the shell command, %config OllamaSettings, the profile file and the table in
# the README follow from the traits below.


DEFAULT_ADDRESS = "127.0.0.1:11434"


class Line(TraitType):
    """One line of the form: a value that its reader lets in, and its unit."""

    def __init__(self, read: Reader, default: Any, about: str, *, unit: str = "") -> None:
        super().__init__(default, help=about)
        self.read, self.unit = read, unit
        self.tag(config=True)

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the value as it is kept; raises SettingError."""
        return self.read(value, self.name)


def _choice(*options: str, about: str) -> Line:
    return Line(OneOf(options), options[0], about)


class OllamaSettings(Configurable):
    """What the person set for this notebook; an empty value means that something else decides (see each help)."""

    model = Line(values.name, "", "Model that answers; empty: the only installed one that can do what the cell asks")
    base_url = Line(secret_values.place, "", f"Where Ollama listens; empty: OLLAMA_HOST, else {DEFAULT_ADDRESS}")
    api_key_env = Line(
        secret_values.variable, "", "Environment variable that holds the key; empty: OLLAMA_API_KEY, for ollama.com only"
    )
    model_type = _choice("chat", "completion", "embedding", about="What the model is asked for")
    context_length = Line(values.context_length, 4096, "Context, sent as num_ctx; takes 8k", unit="tokens")
    max_tokens = Line(
        values.most_tokens, 4096, "Longest answer, sent as num_predict; -1: no bound, -2: fill the context", unit="tokens"
    )
    vision = _choice("auto", "yes", "no", about="Whether the model sees pictures; auto: as the server says")
    tools = _choice("auto", "yes", "no", about="Whether the model calls functions; auto: as the server says")
    embedding_model = Line(values.name, "", "Model of %embed; empty: the model above if it embeds, else the only one that does")
    system = Line(values.plain_text, "", "System prompt of every conversation")
    temperature = Line(Optional(values.temperature), None, "How freely words are chosen; empty: the model's own")
    top_p = Line(Optional(values.top_p), None, "Share of likely words to choose from; empty: the model's own")
    top_k = Line(Optional(values.top_k), None, "Number of likely words to choose from; empty: the model's own", unit="tokens")
    seed = Line(Optional(values.whole), None, "Whole number for repeatable answers; empty: random")
    stop = Line(values.stops, (), "Text that ends an answer; repeatable")
    think = Line(values.think, "auto", "Whether, and how much, the model thinks first; auto: as the server does")
    keep_alive = Line(
        values.keep_alive, None, "How long the model stays loaded: 30m, -1 for good, 0 not at all; empty: the server's"
    )
    connect_timeout = Line(values.seconds, 5.0, "Longest wait for a connection (at most 2 on this machine)", unit="seconds")
    first_token_timeout = Line(values.seconds, 600.0, "Longest wait for the first token, loading included", unit="seconds")
    idle_timeout = Line(values.seconds, 120.0, "Longest wait between two tokens", unit="seconds")
    ca_bundle = Line(values.certificates, "", "File or folder of certificates to trust; empty: the system's")
    headers = Line(
        secret_values.headers, (), "Additional headers, as Name: $VARIABLE of the environment; only for the address of now"
    )
    proxy = Line(secret_values.proxy, "", "Proxy for other machines; none: no proxy; empty: the system's")
    key_store = _choice(
        "notebook", "keyring", "file", about="Where a key that is typed is kept; file: one that only you can read"
    )
    local_only = _choice("no", "yes", about="Refuse to send anything off this machine")
    probes = _choice("yes", "no", about="Whether a failed check tries the usual other addresses; --no-probes: no")
    language = _choice("auto", *messages.LANGUAGES, about="Language of labels and messages; auto: from LANG")

    # The session that was made from these settings, or None; see session.current().
    session = AnyValue(None)

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, by name."""
        return {name: getattr(self, name) for name in form() if getattr(self, name) != default(name)}


def form() -> list[str]:
    """Return the names of all settings in the order of the panel."""
    return [name for name, line in OllamaSettings.__dict__.items() if isinstance(line, Line)]


def _line(name: str) -> Any:
    return OllamaSettings.class_traits()[name]


def default(name: str) -> Any:
    """Return the built-in value of a setting."""
    return _line(name).default_value


def words(name: str) -> tuple[str, ...]:
    """Return the words that a setting may take, or () where it is no choice."""
    return tuple(getattr(_line(name).read, "words", ()))


def limits(name: str) -> str:
    """Return the range of a setting as text, or an empty text where it has none."""
    return str(getattr(_line(name).read, "limits", ""))


def unit(name: str) -> str:
    """Return the unit of a setting, or an empty text."""
    return str(_line(name).unit)


def explain(name: str) -> str:
    """Return the help of a setting, one line."""
    return str(_line(name).help)


def flag(name: str) -> str:
    """Return the option of %ollama_config that sets it."""
    return "--" + FLAGS.get(name, name).replace("_", "-")


def shown(value: Any) -> str:
    """Return a value of the form as a person would type it, with bullets for what is secret."""
    if isinstance(value, tuple):
        return "\n".join(f"{part[0]}: {part[1]}" if isinstance(part, tuple) else part for part in value)
    if isinstance(value, (float, int)):
        return f"{value:.12g}"
    return "" if value is None else str(value)


_shared: OllamaSettings | None = None


def shared() -> OllamaSettings:
    """Return the settings that the magics and the plain calls share; made at the first call."""
    global _shared  # noqa: PLW0603 - the one module global: notebook and script see the same settings
    if _shared is None:
        _shared = OllamaSettings()
    return _shared


def forget() -> None:
    """Drop the shared settings; the next call of shared() starts from the defaults."""
    global _shared  # noqa: PLW0603 - see shared()
    _shared = None
