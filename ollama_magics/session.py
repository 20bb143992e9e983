"""What lives as long as the notebook: settings, client and conversations, from which each request is built."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ollama_magics import diagnosis, fill, settings
from ollama_magics.address import Address, parse
from ollama_magics.client import Client, Timeouts
from ollama_magics.conversation import Conversation, Place
from ollama_magics.errors import PromptProblem, SettingError
from ollama_magics.installed import InstalledModels
from ollama_magics.reply import Circumstances, Reply
from ollama_magics.settings import OllamaSettings
from ollama_magics.wire import ChatRequest, GenerateRequest, Message, ModelCard

if TYPE_CHECKING:
    import numpy as np

    from ollama_magics.images import Picture
    from ollama_magics.store import VectorStore

_CLOUD, _CLOUD_KEY = "ollama.com", "OLLAMA_API_KEY"
# Ollama's option: our setting, and how a value of it is read (plain calls may pass any)
_OPTIONS: dict[str, tuple[str, Callable[[object, str], Any]]] = {
    "num_ctx": ("context_length", settings.count),
    "num_predict": ("max_tokens", settings.most_tokens),
    "temperature": ("temperature", settings.temperature),
    "seed": ("seed", settings.whole),
}


@dataclass(frozen=True)
class Prompt:
    """A turn as the person typed it; what is None or empty comes from the settings."""

    text: str
    model: str = ""
    system: str | None = None
    images: tuple[Picture, ...] = ()
    context_length: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    place: Place = field(default_factory=Place)
    new: bool = False
    once: bool = False


class Session:
    """One per notebook or script; shared by the magics and the plain calls."""

    def __init__(self, chosen: OllamaSettings) -> None:
        self.settings = chosen
        self.conversation = Conversation()
        self._lock = threading.Lock()
        self._client: tuple[tuple[Any, ...], Client, InstalledModels] | None = None
        self._cancelled, self._owned = threading.Event(), ExitStack()
        self.api_key_env = ""  # the environment variable that holds the key of this address
        self.others: dict[Any, Session] = {}  # for other addresses, see access.py; they end with this one

    # Where and in which language.

    @property
    def address(self) -> Address:
        """Where the requests go: the setting, else OLLAMA_HOST, else this machine; raises AddressError."""
        return parse(self.typed_address()[0])

    def typed_address(self) -> tuple[str, str]:
        """Return the address as it was typed and where it comes from: ``notebook``, ``environment`` or ``default``."""
        if self.settings.base_url:
            return self.settings.base_url, "notebook"
        if host := os.environ.get("OLLAMA_HOST", "").strip():
            return host, "environment"
        return settings.DEFAULT_ADDRESS, "default"

    @property
    def language(self) -> str:
        """The language of labels and messages: ``en`` or ``zh``."""
        if self.settings.language != "auto":
            return str(self.settings.language)
        spoken = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
        return "zh" if spoken.lower().startswith("zh") else "en"

    def configure(self, values: Mapping[str, Any]) -> Sequence[str]:
        """Set all of the values or, if one is refused, none; return the names of those that changed.

        Raises SettingError for an unknown name or a bad value, AddressError for an address that cannot be used.
        """
        _known(values)
        before = {name: getattr(self.settings, name) for name in values}
        try:
            self._take(values)
            parse(self.settings.base_url)
        except BaseException:
            self._take(before)
            raise
        self.forget_models()
        return [name for name in values if getattr(self.settings, name) != before[name]]

    def _take(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            setattr(self.settings, name, value)

    # The server.

    @property
    def client(self) -> Client:
        """The kept client of the address; made at first use and again when the address changes."""
        return self.connected()[0]

    @property
    def installed(self) -> InstalledModels:
        """What is known about the models of the server."""
        return self.connected()[1]

    def connected(self, url: str = "") -> tuple[Client, InstalledModels]:
        """Return the kept client and models of the address in force, or for another address new ones, to be closed."""
        chosen, address = self.settings, parse(url) if url else self.address
        times = Timeouts(chosen.connect_timeout, chosen.first_token_timeout, chosen.idle_timeout)
        named = "" if url else self.api_key_env  # a key is bound to one address
        key = os.environ.get(named or (_CLOUD_KEY if address.host == _CLOUD else ""), "").strip()
        wanted = (address.url, address.username, address.password, times, key, os.getpid())  # a fork must not share connections
        if url:
            return (other := Client(address, times, key=key, cancelled=self._cancelled)), InstalledModels(other)
        with self._lock:
            if self._client is None or self._client[0] != wanted:
                if self._client:
                    self._client[1].close()
                client = Client(address, times, key=key, cancelled=self._cancelled)
                self._client = (wanted, client, InstalledModels(client))
            return self._client[1], self._client[2]

    # Chat.

    def ask(self, prompt: Prompt, values: Mapping[str, Any] | None = None) -> Reply:
        """Return the reply to a prompt, for which nothing but the model's card has been asked yet.

        ``values`` fill ``{{name}}``; None leaves braces alone. Raises PromptProblem, ModelProblem and the connection's own.
        """
        text = prompt.text if values is None else fill.fill(prompt.text, values)
        if not text.strip():
            raise PromptProblem("OM-T01")
        self.installed.require_recent()
        model = self._able(prompt)
        request = self.build(prompt, model, text, values)
        return Reply(request, self.client.chat, self._circumstances(prompt, request.options["num_ctx"], model))

    def build(self, prompt: Prompt, model: str, text: str, values: Mapping[str, Any] | None) -> Any:
        """Return the frozen request in which settings, options of the cell and earlier turns meet."""
        system = self.settings.system if prompt.system is None else prompt.system
        system = system if values is None else fill.fill(system, values)
        pictures = tuple(picture.base64 for picture in prompt.images)
        options = self._options(prompt)
        if self.settings.model_type == "completion":
            return GenerateRequest(model=model, prompt=text, system=system, images=pictures, options=options)
        first = (Message("system", system),) if system else ()
        earlier = () if prompt.once or prompt.new else self.conversation.before(prompt.place)
        messages = (*first, *earlier, Message("user", text, pictures))
        return ChatRequest(model=model, messages=messages, options=options)

    def _able(self, prompt: Prompt) -> str:
        model = prompt.model or self.settings.model
        ability = "vision" if prompt.images else "completion"
        if prompt.images and model and self.settings.vision == "yes":
            ability = "completion"
        elif prompt.images and self.settings.vision == "no":
            reason, example = "The form says that it does not see (vision: no).", "%ollama_config --vision auto"
            raise SettingError("OM-S01", value="a picture", setting="this model", reason=reason, example=example)
        return self.installed.choose(model, ability)

    def _options(self, prompt: Prompt) -> dict[str, Any]:
        options = {}
        for option, (name, read) in _OPTIONS.items():
            typed = getattr(prompt, name)
            value = getattr(self.settings, name) if typed is None else read(typed, name)
            if value is not None:
                options[option] = value
        return options

    def _circumstances(self, prompt: Prompt, asked: int, model: str) -> Circumstances:
        card = self.installed.card(model)
        return Circumstances(
            conversation=None if prompt.once else self.conversation,
            place=prompt.place,
            new=prompt.new,
            images=prompt.images,
            context=min(asked, card.context_length or asked),
            remote_host=self._remote_host(card),
            language=self.language,
        )

    def _remote_host(self, card: ModelCard) -> str:
        here = self.address
        return card.remote_host or ("" if here.is_loopback else here.host)

    def place(self, cell: str, run: str) -> Place:
        """Return where a prompt is typed: the cell and the run of it, as the front end names them."""
        return Place(cell, run)

    def pictures_of(self, what: Any, name: str = "") -> list[Picture]:
        """Return the pictures in a value of the notebook; raises PictureProblem."""
        from ollama_magics import images  # noqa: PLC0415 - brings in Pillow, which text does not need

        return images.collect(what, name=name)

    def pictures_at(self, path: str) -> list[Picture]:
        """Return the pictures in the files of a path or pattern; raises PictureProblem."""
        from ollama_magics import images  # noqa: PLC0415 - as above

        return images.from_path(path)

    # Embeddings and the check.

    @cached_property
    def store(self) -> VectorStore:
        """The vectors that are kept from one job to the next; closed with the session."""
        from ollama_magics.store import VectorStore  # noqa: PLC0415 - brings in SQLite

        self.own((found := VectorStore()).close)
        return found

    def embed(self, rows: Any = None, model: str = "", **wishes: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the ``(n, d)`` float32 array of the texts, one row for each, in order; for the wishes see embedding.call."""
        from ollama_magics import embedding  # noqa: PLC0415 - brings in numpy, which chat does not need

        return embedding.call(self, rows, model or self.embedding_model(), **wishes)

    def embedding_model(self) -> str:
        """Return the model that the settings name for embeddings, or an empty text."""
        chosen = self.settings
        return str(chosen.embedding_model or (chosen.model if chosen.model_type == "embedding" else ""))

    def check(self, report: Callable[[diagnosis.CheckReport], None] | None = None) -> diagnosis.CheckReport:
        """Return the connectivity check; ``report`` is called with what is known after every stage."""
        self.forget_models()
        return diagnosis.check(self.question(), report)

    def question(self) -> diagnosis.Question:
        """Return what a check has to find out, frozen, so that a thread may work on it while settings change."""
        chosen = self.settings
        typed, source = self.typed_address()
        wanted = {"embedding": "embedding"}.get(chosen.model_type, "completion")
        abilities = (wanted, "vision") if chosen.vision == "yes" and wanted == "completion" else (wanted,)
        return diagnosis.Question(
            typed=typed,
            source=source,
            model=chosen.model,
            abilities=abilities,
            timeout=chosen.connect_timeout,
            language=self.language,
            context_length=chosen.context_length,
        )

    def forget_models(self) -> None:
        """Ask the server again what its models can do."""
        if self._client:
            self._client[2].forget()

    # Life.

    def own(self, end: Callable[[], object]) -> None:
        """Call ``end`` when the session closes."""
        self._owned.callback(end)

    def close(self) -> None:
        """End everything that the session started: waits within 0.2 s, connections, the stand-in."""
        self._cancelled.set()
        if self._client:
            self._client[1].close()
        self._owned.close()

    def described(self) -> Iterator[tuple[str, Any, str]]:
        """Yield each setting with the value in force and where it comes from."""
        for name in settings.form():
            value = getattr(self.settings, name)
            source = "default" if value == settings.default(name) else "notebook"
            yield (name, value, source) if name != "base_url" else (name, self.address.url, self.typed_address()[1])


def current() -> Session:
    """Return the session of this notebook or script; made from the shared settings at first use."""
    chosen = settings.shared()
    if chosen.session is None:
        chosen.session = Session(chosen)
    found: Session = chosen.session
    return found


def _known(values: Mapping[str, Any]) -> None:
    for name in values:
        if name not in settings.form():
            raise SettingError("OM-S03", setting=name, known=", ".join(settings.form()))
