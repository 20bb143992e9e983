"""Which models are in memory and until when, without any memory being used."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ollama_magics.fake_server import framing, models

KEEP_ALIVE = 300.0  # seconds, where a request does not say


@dataclass
class _Stay:
    context_length: int
    keep: float = KEEP_ALIVE
    expires: float = 0.0
    uses: int = 0


class Residence:
    """The models in memory; any thread may ask."""

    def __init__(self) -> None:
        self._stays: dict[str, _Stay] = {}
        self._lock = threading.Lock()

    @contextmanager
    def use(self, model: models.Model, context_length: int, keep_alive: float | None) -> Iterator[None]:
        """Keep the model in memory for this block and ``keep_alive`` seconds more (None: as before)."""
        stay = self._enter(model, context_length, keep_alive)
        try:
            yield
        finally:
            with self._lock:
                stay.uses -= 1
                stay.expires = time.time() + stay.keep

    def unload(self, model: models.Model) -> None:
        """Forget the model."""
        with self._lock:
            self._stays.pop(model.name, None)

    def listing(self) -> dict[str, Any]:
        """Return the answer of /api/ps: who stays longest comes first."""
        with self._lock:
            now = time.time()
            self._stays = {name: stay for name, stay in self._stays.items() if stay.uses or stay.expires > now}
            stays = sorted(self._stays.items(), key=lambda item: -item[1].expires)
            return {"models": [_listed(models.MODELS[name], stay) for name, stay in stays]}

    def _enter(self, model: models.Model, context_length: int, keep_alive: float | None) -> _Stay:
        with self._lock:
            stay = self._stays.setdefault(model.name, _Stay(context_length))
            stay.context_length = context_length
            stay.keep = stay.keep if keep_alive is None else keep_alive
            stay.expires = time.time() + stay.keep
            stay.uses += 1
            return stay


def _listed(model: models.Model, stay: _Stay) -> dict[str, Any]:
    return {
        **model.identity(),
        "size": model.size,
        "digest": model.digest(),
        "details": models.details(),
        "expires_at": framing.moment(stay.expires),
        "size_vram": 0,
        "context_length": stay.context_length,
    }
