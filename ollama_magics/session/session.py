"""The session of a notebook or script: its settings, its client and its conversation."""

from __future__ import annotations

import atexit
import difflib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ollama_magics.conversation.conversation import Conversation, Place
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.diagnosis import stages
from ollama_magics.diagnosis.report import CheckReport, CheckRequest
from ollama_magics.errors import AddressError, PictureProblem, PromptProblem, SettingError
from ollama_magics.messages import Phrase
from ollama_magics.server.address import Address, address_told, parse
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.server.models import InstalledModels
from ollama_magics.server.transport import ConnectionOptions, Recording
from ollama_magics.session import build_request
from ollama_magics.session.server_status import ServerStatus
from ollama_magics.settings import form
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.settings.resolved import ResolvedSettings

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture
    from ollama_magics.conversation.replies import Replies
    from ollama_magics.conversation.reply import Reply
    from ollama_magics.embeddings.output import Array
    from ollama_magics.server.fetch import Limits
    from ollama_magics.store.answers import AnswerStore
    from ollama_magics.store.vectors import VectorStore


class Session:
    """One per notebook or script; shared by the magics and the plain calls."""

    def __init__(self, chosen: OllamaSettings) -> None:
        self.settings = chosen
        self.in_force = ResolvedSettings(chosen)
        self.conversations = {"": Conversation()}  # by name; without one: that of the notebook
        self._lock = threading.Lock()
        self._client: tuple[tuple[Any, ...], Client, InstalledModels] | None = None
        self._store: VectorStore | None = None
        self._cancelled, self._owned = threading.Event(), ExitStack()
        self.tape: Recording | None = None  # what listens to every exchange, or gives it back
        self.others: dict[Any, Session] = {}  # for other addresses, see integrations/remote_session.py; they end with this one

    # Where and in which language.

    @property
    def address(self) -> Address:
        """Where the requests go: the setting, else OLLAMA_HOST, else this machine; raises AddressError."""
        return self.in_force.address

    def typed_address(self) -> tuple[str, str]:
        """Return the address as it was typed and its source: notebook, profile, environment, saved or default."""
        return self.in_force.typed_address()

    def address_told(self) -> str:
        """Return one line about the address: where it comes from, and what of it was changed; raises AddressError."""
        return address_told(self.address, self.typed_address()[1], self.in_force.overridden, self.language)

    @property
    def language(self) -> str:
        """The language of labels and messages: ``en`` or ``zh``."""
        if self.settings.language != "auto":
            return str(self.settings.language)
        spoken = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
        return "zh" if spoken.lower().startswith("zh") else "en"

    def configure(self, values: Mapping[str, Any]) -> Sequence[str]:
        """Set all of the values or none, as InForce.configure does, and ask the server again what its models can do."""
        changed = self.in_force.configure(values)
        self.forget_models()
        return changed

    def described(self) -> Iterator[tuple[str, str, str]]:
        """Yield each setting with the value in force and where it comes from, as texts."""
        return self.in_force.described()

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
        if chosen.local_only == "yes" and not address.is_loopback:
            raise SettingError("local-only", what=address.host)
        times = Timeouts(chosen.connect_timeout, chosen.first_token_timeout, chosen.idle_timeout)
        way, key = self._way(address)
        if url:
            other = Client(address, times, key=key, way=way, cancelled=self._cancelled, tape=self.tape)
            return other, InstalledModels(other)
        # a fork must not share connections
        wanted = (address.url, address.username, address.password, times, way, key, self.tape, os.getpid())
        with self._lock:
            if self._client is None or self._client[0] != wanted:
                if self._client:
                    self._client[1].close()
                client = Client(address, times, key=key, way=way, cancelled=self._cancelled, tape=self.tape)
                self._client = (wanted, client, InstalledModels(client))
            return self._client[1], self._client[2]

    def _way(self, address: Address) -> tuple[ConnectionOptions, str]:
        chosen = self.settings
        return ConnectionOptions(chosen.proxy, chosen.ca_bundle, self.in_force.headers(address)), self.in_force.key(address)[0]

    # Chat.

    def ask(self, prompt: Prompt, values: Mapping[str, Any] | None = None) -> Reply:
        """Return the reply to a prompt, for which nothing but the model's card has been asked yet.

        ``values`` fill ``{{name}}``; None leaves braces alone. Raises PromptProblem, ModelProblem and the connection's own.
        """
        return build_request.ask(self, prompt, values)

    @property
    def conversation(self) -> Conversation:
        """The conversation of prompts that name none."""
        return self.conversations[""]

    def conversation_named(self, name: str) -> Conversation:
        """Return a conversation; raises PromptProblem, with the nearest name, where there is none of that name."""
        if name not in self.conversations:
            near = difflib.get_close_matches(name, filter(None, self.conversations), n=1, cutoff=0.5)
            seen = Phrase("nearest_chat", name=near[0]) if near else Phrase("no_chats")
            raise PromptProblem("conversation-unknown", name=name, seen=seen)
        return self.conversations[name]

    def ask_several(self, prompt: Prompt, models: Sequence[str], values: Mapping[str, Any] | None = None) -> Replies:
        """Return the replies of several models to a prompt, for which nothing has been asked yet; none is remembered."""
        return build_request.ask_several(self, prompt, models, values)

    def watch(self) -> ServerStatus:
        """Return what tells, while a cell waits, what the server is doing."""
        return ServerStatus(self)

    def place(self, cell: str, run: str) -> Place:
        """Return where a prompt is typed: the cell and the run of it, as the front end names them."""
        return Place(cell, run)

    def pictures_of(self, what: Any, name: str = "") -> list[Picture]:
        """Return the pictures in a value of the notebook; raises PictureProblem."""
        from ollama_magics.conversation import image_sources  # noqa: PLC0415 - brings in Pillow, which text does not need

        return image_sources.collect(what, name=name)

    def pictures_at(self, path: str) -> list[Picture]:
        """Return the pictures in the files of a path or pattern; raises PictureProblem."""
        from ollama_magics.conversation import image_sources  # noqa: PLC0415 - as above

        return image_sources.from_path(path)

    def pictures_from(self, url: str, *, allowed: bool, local_only: bool = False, limits: Limits | None = None) -> list[Picture]:
        """Return the picture behind an address, fetched now if that is allowed; raises PictureProblem."""
        from ollama_magics.conversation import image_sources  # noqa: PLC0415 - as above
        from ollama_magics.server import fetch  # noqa: PLC0415 - as above

        if not allowed:
            raise PictureProblem("picture-is-url", source=fetch.shown(url))
        if local_only or self.settings.local_only == "yes":
            raise SettingError("local-only", what=fetch.shown(url))
        if self.tape and self.tape.replays:
            raise PictureProblem("picture-not-fetched", source=fetch.shown(url), reason=Phrase("fetch_replay"))
        return image_sources.collect(fetch.fetch(url, self._cancelled, limits), name=fetch.shown(url))

    @cached_property
    def answers(self) -> AnswerStore:
        """The answers of cells that said --reuse."""
        from ollama_magics.store.answers import AnswerStore  # noqa: PLC0415 - brings in SQLite

        return AnswerStore()

    # Embeddings and the check.

    @property
    def store(self) -> VectorStore:
        """The vectors that are kept from one job to the next; made at first use, and closed with the session."""
        from ollama_magics.store.vectors import VectorStore  # noqa: PLC0415 - brings in SQLite

        with self._lock:  # two threads that begin at once share one, which itself knows a fork when it sees one
            if self._store is None:
                self._store = VectorStore()
                self.own(self._store.close)
            return self._store

    def embed(self, rows: Any = None, model: str = "", **options: Any) -> Array:
        """Return the ``(n, d)`` float32 array of the texts, one row for each, in order; ``options``: see embed_rows."""
        from ollama_magics.embeddings import collect  # noqa: PLC0415 - brings in numpy, which chat does not need

        chosen = self.settings
        if options.get("keep_alive") is None:
            options["keep_alive"] = chosen.keep_alive
        if self.tape:
            options["store"] = False
        here = chosen.local_only == "yes"
        return collect.embed_rows(self, rows, model or self.embedding_model(), local_only=here, **options)

    def embedding_model(self) -> str:
        """Return the model that the settings name for embeddings, or an empty text."""
        chosen = self.settings
        return str(chosen.embedding_model or (chosen.model if chosen.model_type == "embedding" else ""))

    def check(self, report: stages.Report | None = None, *, deep: bool = False) -> CheckReport:
        """Return the connectivity check; ``report`` gets what is known after every stage, ``deep`` asks the model too."""
        self.forget_models()
        return stages.check(self.question(deep=deep), report, stop=self._cancelled)

    def question(self, *, deep: bool = False) -> CheckRequest:
        """Return what a check has to find out, frozen, so that a thread may work on it while settings change."""
        chosen = self.settings
        typed, source = self.typed_address()
        more: dict[str, Any] = {"language": self.language, "context_length": chosen.context_length, "deep": deep}
        with suppress(AddressError):  # which the check explains
            more["way"], more["key"] = self._way(self.address)
        more |= {"options": Prompt("").options(chosen), "keep_alive": chosen.keep_alive, "probes": chosen.probes == "yes"}
        more |= {"denied": tuple(self._said("no")), "overridden": self.in_force.overridden, "tape": self.tape}
        embeds = chosen.model_type == "embedding"
        abilities = ("embedding",) if embeds else ("completion", *self._said("yes"))
        model = self.embedding_model() if embeds else chosen.model
        return CheckRequest(typed, source, model, abilities, chosen.connect_timeout, **more)

    def _said(self, word: str) -> Iterator[str]:
        """Yield the abilities about which the form says this word; a model type has no use for some of them."""
        useful = {"chat": ("vision", "tools"), "completion": ("vision",)}.get(self.settings.model_type, ())
        yield from (ability for ability in useful if getattr(self.settings, ability) == word)

    def record(self, path: str) -> None:
        """Let every exchange from here on be written to a file, or with OLLAMA_MAGICS_REPLAY=1 be answered from it.

        Meanwhile the stores are neither read nor written. Raises RecordingProblem.
        """
        from ollama_magics.server import recording  # noqa: PLC0415 - a session that records nothing does not need it

        self.own((found := recording.open_recording(path)).close)
        atexit.register(found.close)  # a kernel that ends unloads nothing
        for session in (self, *self.others.values()):
            session.tape = found

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


def current() -> Session:
    """Return the session of this notebook or script; made from the shared settings, and the saved ones, at first use.

    Raises SettingError, once, where the saved ones cannot be read; then it goes on without them.
    """
    chosen = form.shared()
    if chosen.session is None:
        chosen.session = Session(chosen)
        chosen.session.in_force.begin()
    found: Session = chosen.session
    return found
