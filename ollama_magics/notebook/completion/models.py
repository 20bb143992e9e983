"""Keep the names of the server's models for completion, requested in a thread."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from typing import Any

from ollama_magics.settings import form


class ModelNames:
    """The models of the server, requested in a thread of its own, since no server may hold up a Tab.

    A Tab that finds none yet waits a fifth of a second for the first list.
    """

    _FRESH, _RETRY = 10.0, 5.0  # seconds until the server is asked again, after a list and after a failure
    _PATIENCE = 0.2

    def __init__(self) -> None:
        self._models: tuple[Any, ...] = ()
        self._url, self._asked_again_at = "", 0.0
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def close(self) -> None:
        """Cancel a request that is under way."""
        self._ended.set()

    def known(self, *, embeds: bool | None = None) -> list[str]:
        """Return the names as they were listed last; ``embeds``: those that do or do not, as far as the server says."""
        session = form.shared().session
        if session is not None and session.address.url != self._url:
            self._models, self._asked_again_at = (), 0.0
        if time.monotonic() >= self._asked_again_at and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self._read, daemon=True, name="ollama-completion")
            self._thread.start()
            if not self._models:
                self._thread.join(self._PATIENCE)
        fitting = (model for model in self._models if embeds is None or _may_embed(model, embeds))
        return [model.name for model in fitting if model.name.isprintable() and not re.search(r"\s", model.name)]

    def _read(self) -> None:
        from ollama_magics.server.client import Timeouts  # noqa: PLC0415 - brings in the client, which options do without
        from ollama_magics.session.session import current  # noqa: PLC0415 - as above

        models: tuple[Any, ...] = ()
        with suppress(Exception):  # whatever it is, the next cell reports it: a Tab has no place for an error
            session = current()
            self._url = session.address.url
            if session.recording is None:
                client = session.client.sibling(self._ended, Timeouts(connect=2, metadata=5))
                try:
                    models = tuple(client.installed())
                finally:
                    client.close()
        self._models = models
        self._asked_again_at = time.monotonic() + (self._FRESH if models else self._RETRY)


def _may_embed(model: Any, embeds: bool) -> bool:  # noqa: FBT001 - the same as in known()
    abilities = model.capabilities
    return not abilities or ("embedding" in abilities if embeds else set(abilities) != {"embedding"})
