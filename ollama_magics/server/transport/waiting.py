"""Waits in slices, between which an interrupt lands even where no signal ends a system call."""

from __future__ import annotations

import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from ollama_magics.errors import Cancelled

# On Windows a blocking recv, connect or name look-up cannot be interrupted.


SLICE = 0.2  # seconds that one wait lasts at the most
_Found = TypeVar("_Found")


def look_at(cancelled: threading.Event) -> None:
    """Raise Cancelled where the flag is up."""
    if cancelled.is_set():
        raise Cancelled


class Aside(Generic[_Found]):
    """Does something in a thread of its own, because it cannot be interrupted itself; ``waste`` ends what came too late."""

    def __init__(self, act: Callable[[], _Found], waste: Callable[[_Found], object] = lambda _: None) -> None:
        self._act, self._waste = act, waste
        self._answer: queue.SimpleQueue[_Found | Exception] = queue.SimpleQueue()
        self._lock, self._given_up = threading.Lock(), False

    def wait(self, seconds: float, cancelled: threading.Event) -> _Found:
        """Return what it gave; raises its error, TimeoutError after so many seconds, or Cancelled."""
        threading.Thread(target=self._run, daemon=True, name="ollama-aside").start()
        deadline = time.monotonic() + seconds
        try:
            return self._waited(deadline, cancelled)
        finally:
            self._give_up()

    def _waited(self, deadline: float, cancelled: threading.Event) -> _Found:
        while time.monotonic() < deadline:
            look_at(cancelled)
            try:
                found = self._answer.get(timeout=SLICE)
            except queue.Empty:
                continue
            if isinstance(found, Exception):
                raise found
            return found
        raise TimeoutError

    def _run(self) -> None:
        try:
            found = self._act()
        except Exception as error:  # noqa: BLE001 - it is raised again where one waits for it
            self._answer.put(error)
            return
        with self._lock:
            if self._given_up:
                self._waste(found)
            else:
                self._answer.put(found)

    def _give_up(self) -> None:
        with self._lock:
            self._given_up = True
            while not self._answer.empty():
                found = self._answer.get()
                if not isinstance(found, Exception):
                    self._waste(found)


def until_writable(sock: socket.socket, deadline: float, cancelled: threading.Event) -> None:
    """Return when something can be sent, or at the deadline; raises Cancelled."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while not selector.select(SLICE) and time.monotonic() < deadline:
            look_at(cancelled)
