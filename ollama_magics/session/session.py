"""Hold the settings, the client and the conversations of one notebook or script."""

from __future__ import annotations

import atexit
import difflib
import os
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from ollama_magics.conversation.async_reply import AsyncReply
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.pages import read_pages
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.replies import Replies
from ollama_magics.errors import OllamaMagicsError, PictureProblem, PromptProblem, SettingError
from ollama_magics.jobs.event_loop import LoopThread, Slots, ThreadCall
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret
from ollama_magics.server.address import Address, address_told, parse
from ollama_magics.server.background import CancelFlag
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.server.models import InstalledModels
from ollama_magics.server.sockets import raise_if_cancelled
from ollama_magics.server.transport import ConnectionOptions, Recorder
from ollama_magics.session import build_request
from ollama_magics.session.server_status import ServerStatus
from ollama_magics.settings import form
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.settings.resolved import ResolvedSettings
from ollama_magics.store.answers import AnswerStore
from ollama_magics.store.rows import RowStore

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture
    from ollama_magics.conversation.reply import Reply
    from ollama_magics.conversation.sounds import Sound
    from ollama_magics.diagnosis import stages
    from ollama_magics.diagnosis.report import CheckReport, CheckRequest
    from ollama_magics.embeddings.output import Array
    from ollama_magics.rows.map_rows import RowsResult, RowTarget
    from ollama_magics.rows.options import RowOptions
    from ollama_magics.rows.progress import RowsView
    from ollama_magics.server.fetch import Limits
    from ollama_magics.store.vectors import VectorStore

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_MAKING = threading.RLock()


class Session:
    """One per notebook or script; shared by the magics and the plain calls."""

    def __init__(self, chosen: OllamaSettings) -> None:
        self.settings = chosen
        self.resolved = ResolvedSettings(chosen)
        self.conversations = {"": Conversation()}  # by name; without one: that of the notebook
        self._lock = threading.Lock()
        self._client: tuple[tuple[Any, ...], Client, InstalledModels] | None = None
        self._store: VectorStore | None = None
        self._rows: RowStore | None = None
        self._event_loop: LoopThread | None = None
        self._cancelled, self._owned = CancelFlag(), list[Callable[[], object]]()
        self._slots = Slots()
        self.recording: Recorder | None = None  # writes every exchange to a file, or replays it
        self.label_letters: dict[str, str] = {}  # by model, see rows/map_rows.py
        self.others: dict[Any, Session] = {}  # for other addresses, see integrations/remote_session.py; closed with this one

    # Where and in which language.

    @property
    def address(self) -> Address:
        """Where the requests go: the setting, else OLLAMA_HOST, else this machine; raises AddressError."""
        return self.resolved.address

    def typed_address(self) -> tuple[str, str]:
        """Return the address as it was typed and its source: notebook, profile and its name, environment, saved or default."""
        return self.resolved.typed_address()

    def address_told(self) -> str:
        """Return one line about the address: where it comes from, and how what was typed was changed; raises AddressError."""
        return address_told(self.address, self.typed_address()[1], self.resolved.overridden, self.language)

    @property
    def language(self) -> str:
        """The language of labels and messages: ``en`` or ``zh``."""
        return form.language_in_use(self.settings)

    def configure(self, values: Mapping[str, Any]) -> Sequence[str]:
        """Set all of the values or none, and forget what is known about the models.

        Raises SettingError for an unknown name or a bad value, AddressError for an address that cannot be used.
        """
        changed = self.resolved.configure(values)
        self.forget_models()
        return changed

    def described(self) -> Iterator[tuple[str, str, str]]:
        """Yield each setting with its value and where the value comes from, as texts."""
        return self.resolved.described()

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
        """Return the kept client and models of the session's address, or new ones for another address, to be closed."""
        self.resolved.require_profiles()
        chosen, address = self.settings, parse(url) if url else self.address
        timeouts = Timeouts(chosen.connect_timeout, chosen.first_token_timeout, chosen.idle_timeout)
        connection, key = self._connection(address)

        def new() -> tuple[Client, InstalledModels]:
            client = Client(address, timeouts, key=key, connection=connection, cancelled=self._cancelled, recorder=self.recording)
            return client, InstalledModels(client)

        if url:
            return new()
        # a fork must not share connections
        identity = (address.url, address.username, address.password, timeouts, connection, key, self.recording, os.getpid())
        with self._lock:
            if self._client is None or self._client[0] != identity:
                made = new()  # which may be refused
                if self._client:
                    self._client[1].close_when_idle()
                self._client = (identity, *made)
            return self._client[1], self._client[2]

    def _connection(self, address: Address) -> tuple[ConnectionOptions, Secret]:
        """Return how to connect and the key; raises SettingError (local-only) where nothing may be sent to the address."""
        chosen, local_only = self.settings, self.settings.local_only == "yes"
        ConnectionOptions(local_only=local_only).require_allowed(address)  # before a variable or store is read
        options = ConnectionOptions(chosen.proxy, chosen.ca_bundle, self.resolved.secrets.headers(address), local_only)
        return options, self.resolved.secrets.key(address)[0]

    # Chat.

    def ask(self, prompt: Prompt, values: Mapping[str, Any] | None = None) -> Reply:
        """Return the reply to a prompt; nothing is sent yet, except for the request for the model's card.

        ``values`` fill ``{{name}}``; None leaves braces alone. Raises PromptProblem, ModelProblem and errors of the connection.
        """
        return build_request.ask(self, *build_request.fill(prompt, values))

    def ask_in_loop(
        self, prompt: Prompt, values: Mapping[str, Any] | None = None, *, ended: Callable[[], object] = lambda: None
    ) -> AsyncReply:
        """Return the reply to a prompt for an event loop; nothing is sent before it is awaited.

        ``ended`` is called in the loop after the answer. Raises PromptProblem for what is wrong with the prompt itself.
        """
        filled, notes = build_request.fill(prompt, values)
        return AsyncReply(lambda awaits: build_request.ask(self, replace(filled, awaits=awaits), notes), self.thread_call, ended)

    def thread_call(self, work: Callable[[ThreadCall[_Item, _Result]], _Result]) -> ThreadCall[_Item, _Result]:
        """Return a call that runs in a thread for an event loop; when it is cancelled, all waits of that thread end."""

        def run(call: ThreadCall[_Item, _Result]) -> _Result:
            with self._cancelled.also(call.cancelled):
                return work(call)

        return ThreadCall(run, self._slots, lambda: self.language)

    def result_of(self, awaitable: Awaitable[Any]) -> Any:
        """Return the result of what an asynchronous function returned, which runs in an event loop of the session."""
        with self._lock:
            if self._event_loop is None:
                self._event_loop = LoopThread()
                self.own(self._event_loop.close)
        return self._event_loop.result_of(awaitable, lambda: raise_if_cancelled(self._cancelled))

    @property
    def conversation(self) -> Conversation:
        """The conversation of prompts that name none."""
        return self.conversations[""]

    def conversation_named(self, name: str) -> Conversation:
        """Return a conversation; raises PromptProblem, with the nearest name, where there is none of that name."""
        if name not in self.conversations:
            near = difflib.get_close_matches(name, filter(None, self.conversations), n=1, cutoff=0.5)
            known = Phrase("nearest_chat", name=near[0]) if near else Phrase("no_chats")
            raise PromptProblem("conversation-unknown", name=name, seen=known)
        return self.conversations[name]

    def ask_several(self, prompt: Prompt, models: Sequence[str], values: Mapping[str, Any] | None = None) -> Replies:
        """Return the replies of several models to a prompt; nothing is sent yet, and nothing is remembered."""
        build_request.response_spec(self.settings, prompt)  # a mistake in the prompt is reported once, not for each model
        filled, notes = build_request.fill(prompt, values)
        return Replies(
            models, lambda model: build_request.ask(self, replace(filled, model=model, once=True), notes), self.language
        )

    def map(
        self,
        data: Any,
        prompt: Prompt,
        values: Mapping[str, Any] | None = None,
        *,
        options: RowOptions,
        watch: Callable[[RowsView], object] | None = None,
    ) -> RowsResult:
        """Return the rows of the data with the answers to the prompt, which is asked for each of them; see rows.map_rows."""
        from ollama_magics.rows.map_rows import map_rows  # noqa: PLC0415 - only a job of rows needs it

        return map_rows(self, data, prompt, values or {}, options=options, watch=watch)

    def row_target(
        self, prompt: Prompt, values: Mapping[str, Any], servers: Sequence[str], stack: ExitStack, *, abilities: Collection[str]
    ) -> RowTarget:
        """Return the model, its servers and how a request is built, for a job of rows."""
        from ollama_magics.session.row_requests import row_target  # noqa: PLC0415 - as above

        return row_target(self, prompt, values, servers, stack, abilities=abilities)

    def watch(self) -> ServerStatus:
        """Return the object that asks, while a cell waits, what the server is doing."""
        return ServerStatus(self.connected)

    def pictures_of(self, what: Any, name: str = "", pages: Any = None) -> list[Picture | Sound]:
        """Return the pictures and sounds in a value of the notebook, of documents these pages; raises PictureProblem."""
        from ollama_magics.conversation import image_sources  # noqa: PLC0415 - brings in Pillow, which text does not need

        return image_sources.collect(what, name=name, pages=read_pages(pages))

    def pictures_at(self, path: str, pages: Any = None) -> list[Picture | Sound]:
        """Return the pictures and sounds in the files of a path or pattern; raises PictureProblem."""
        from ollama_magics.conversation import image_sources  # noqa: PLC0415 - as above

        return image_sources.from_path(path, read_pages(pages))

    def pictures_from(self, url: str, *, allowed: bool, local_only: bool = False, limits: Limits | None = None) -> list[Any]:
        """Return the picture behind an address, fetched now if that is allowed; raises PictureProblem."""
        from ollama_magics.conversation import image_sources  # noqa: PLC0415 - as above
        from ollama_magics.server import fetch  # noqa: PLC0415 - as above

        if not allowed:
            raise PictureProblem("picture-is-url", source=fetch.shown(url))
        self.resolved.require_profiles()
        if local_only or self.settings.local_only == "yes":
            raise SettingError("local-only", what=fetch.shown(url))
        if self.recording and self.recording.replays:
            raise PictureProblem("picture-not-fetched", source=fetch.shown(url), reason=Phrase("fetch_replay"))
        return image_sources.collect(fetch.fetch(url, self._cancelled, limits), name=fetch.shown(url))

    @property
    def is_recorded(self) -> bool:
        """Whether exchanges are recorded or replayed: then outputs hold no times, rates or addresses, so that they compare."""
        return self.recording is not None

    @property
    def uses_stores(self) -> bool:
        """Whether stores are read and written: not while exchanges are recorded or replayed."""
        return not self.is_recorded

    @cached_property
    def answers(self) -> AnswerStore:
        """The stored answers of cells with --reuse."""
        return AnswerStore()

    @property
    def rows(self) -> RowStore:
        """The rows that jobs have finished; made at first use, and closed with the session."""
        with self._lock:
            if self._rows is None:
                self._rows = RowStore()
                self.own(self._rows.close)
            return self._rows

    # Embeddings and the check.

    @property
    def store(self) -> VectorStore:
        """The vectors that are kept from one job to the next; made at first use, and closed with the session."""
        with self._lock:  # two threads that begin at once share one, which itself knows a fork when it sees one
            if self._store is None:
                from ollama_magics.store.vectors import VectorStore  # noqa: PLC0415 - brings in numpy, which chat does not need

                self._store = VectorStore()
                self.own(self._store.close)
            return self._store

    def embed(self, rows: Any = None, model: str = "", **options: Any) -> Array:
        """Return the ``(n, d)`` float32 array of the texts, one row for each, in order; ``options`` are those of om.embed."""
        from ollama_magics.embeddings import collect  # noqa: PLC0415 - brings in numpy, which chat does not need

        if options.get("keep_alive") is None:
            options["keep_alive"] = self.settings.keep_alive
        if not self.uses_stores:
            options["store"] = False
        model = model or self.embedding_model()
        return collect.embed_rows(self, rows, model, local_only=self.settings.local_only == "yes", **options)

    def embedding_model(self) -> str:
        """Return the model that the settings name for embeddings, or an empty text."""
        chosen = self.settings
        return str(chosen.embedding_model or (chosen.model if chosen.model_type == "embedding" else ""))

    def check(
        self, report: stages.OnProgress | None = None, *, deep: bool = False, stop: threading.Event | None = None
    ) -> CheckReport:
        """Return the connectivity check; ``report`` gets the result after every stage, ``deep`` asks the model too.

        A profile that holds the settings with which the model has answered is not marked as unverified any more.
        """
        from ollama_magics.diagnosis import stages  # noqa: PLC0415 - few cells need the check

        self.forget_models()
        shown, request = self.resolved.shown(), self.check_request(deep=deep)
        found = stages.check(request, report, stop=stop or self._cancelled)
        if found.ok and deep and not request.replays:
            with suppress(OllamaMagicsError):  # the mark stays, and the next --save says why
                self.resolved.confirm(shown)
        return found

    def check_request(self, *, deep: bool = False) -> CheckRequest:
        """Return what to check, frozen, so that a thread may work on it while settings change."""
        from ollama_magics.diagnosis.report import CheckRequest  # noqa: PLC0415 - as above

        chosen, (typed, source) = self.settings, self.typed_address()
        more: dict[str, Any] = {"deep": deep, "language": self.language, "recorder": self.recording}
        try:
            self.resolved.require_profiles()
            more["connection"], more["key"] = self._connection(self.address)
        except OllamaMagicsError as error:  # the first stage reports it
            more["refused"] = error
        more |= {"options": Prompt("").options(chosen), "keep_alive": chosen.keep_alive, "probes": chosen.probes == "yes"}
        used = [ability for ability in ("vision", "tools") if ability not in form.unused(chosen.model_type)]
        denied, wanted = (tuple(one for one in used if getattr(chosen, one) == word) for word in ("no", "yes"))
        more |= {"denied": denied, "context_length": chosen.context_length, "local_only": chosen.local_only == "yes"}
        embeds = chosen.model_type == "embedding"
        abilities = ("embedding",) if embeds else ("completion", *wanted)
        model = self.embedding_model() if embeds else chosen.model
        return CheckRequest(typed, source, model, abilities, chosen.connect_timeout, overridden=self.resolved.overridden, **more)

    def record(self, path: str) -> None:
        """Write every exchange from here on to a file, or with OLLAMA_MAGICS_REPLAY=1 answer requests from it; "off" ends it.

        Meanwhile the stores are neither read nor written. Raises RecordingProblem.
        """
        from ollama_magics.server import recording  # noqa: PLC0415 - a session that records nothing does not need it

        if self.recording:
            self.recording.close()
        found = None if path == "off" else recording.open_recording(path)
        if found:
            self.own(atexit.register(found.close))  # a kernel that ends unloads nothing
        for session in (self, *self.others.values()):
            session.recording = found

    def forget_models(self) -> None:
        """Forget what is known about the models; the server is asked again."""
        if self._client:
            self._client[2].forget()

    def own(self, end: Callable[[], object]) -> None:
        """Call ``end`` when the session closes."""
        self._owned.append(end)

    def disown(self, end: Callable[[], object]) -> None:
        """Do not call ``end``, which was done before."""
        with suppress(ValueError):
            self._owned.remove(end)

    def close(self) -> None:
        """End everything that the session started: waits within 0.2 s, connections, the stand-in server."""
        self._cancelled.set()
        if self._client:
            self._client[1].close()
        owned, self._owned = self._owned, []
        with ExitStack() as ends:
            for end in owned:
                ends.callback(end)


def current() -> Session:
    """Return the session of this notebook or script; made from the shared settings, and the saved ones, at first use.

    Where the saved ones cannot be read, every request raises SettingError until they can.
    """
    chosen = form.shared()
    with _MAKING:  # the thread that lists models for a Tab may come at the same time as a cell
        if chosen.session is None:
            chosen.session = Session(chosen)
            chosen.session.resolved.begin()
    found: Session = chosen.session
    return found
