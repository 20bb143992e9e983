"""Run synchronous calls in threads for an event loop, and what is awaited in an event loop for synchronous calls."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from concurrent import futures
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from ollama_magics.errors import Cancelled, Interrupted, OllamaMagicsError, in_language
from ollama_magics.jobs.interrupt import AWAITED, SECONDS_TO_END
from ollama_magics.jobs.unused import Unused
from ollama_magics.server.background import SLICE

Awaits = Callable[[Awaitable[Any]], Any]  # returns the result of what is awaited, to a thread that waits for it
_MOST_AT_ONCE = 16  # calls of one event loop that are at work; a server computes fewer at a time and queues the others
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this thread; raises OllamaMagicsError (event-loop-unsupported) where it is none of asyncio's."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        library = "trio" if "trio" in sys.modules else "another library"
        raise OllamaMagicsError("event-loop-unsupported", library=library) from None


class AsyncCall(Unused, Coroutine[Any, Any, _Result]):
    """What a call for an event loop returns: a coroutine, so that asyncio.create_task() and TaskGroup.create_task() take it."""

    _steps: Coroutine[Any, Any, _Result] | None = None

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, _Result]]) -> None:
        self._begin = begin

    def _awaited(self) -> Coroutine[Any, Any, _Result]:
        return self._begin()

    def _used(self) -> Coroutine[Any, Any, _Result]:
        self._is_used = True
        self._steps = self._steps or self._awaited()
        return self._steps

    def __await__(self) -> Generator[Any, Any, _Result]:
        return self._used().__await__()

    def send(self, value: Any) -> Any:
        """Run the task that awaits the call until it waits."""
        return self._used().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error in the task that awaits the call."""
        return self._used().throw(*error)

    def close(self) -> None:
        """End the task that awaits the call."""
        self._is_used = True
        if self._steps:
            self._steps.close()


class Slots:
    """Limits the calls that are at work at once, for each event loop by itself."""

    def __init__(self) -> None:
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    def of(self, loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
        """Return the slots of an event loop."""
        return self._of_loops.setdefault(loop, asyncio.Semaphore(_MOST_AT_ONCE))


class ThreadCall(Generic[_Item, _Result]):
    """A synchronous call for the tasks of an event loop: ``work`` runs in a daemon thread as soon as there is a slot.

    ``work`` gets this object, whose ``cancelled`` it has to watch. Its items, which it posts, and its result go to the tasks that
    wait for them. Cancelling one of these tasks cancels the call; so does Ctrl-C while the loop runs, which raises Interrupted
    where there is no other task.
    """

    def __init__(self, work: Callable[[ThreadCall[_Item, _Result]], _Result], slots: Slots, language: Callable[[], str]) -> None:
        self._work, self._slots, self._language = work, slots, language
        self.cancelled = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._items: list[_Item] = []
        self._readers = 0
        self._is_interrupted = False
        self._grown, self._ended = asyncio.Event(), asyncio.Event()
        self._outcome: Callable[[], _Result]

    # For the tasks.

    async def result(self) -> _Result:
        """Return what the call returns, and raise what it raises, in the language of the user."""
        with in_language(self._language):
            try:
                await self._begin()
                await self._ended.wait()
            except asyncio.CancelledError:
                await self.cancel()
                raise
            return self._outcome()

    async def items(self) -> AsyncGenerator[_Item, None]:
        """Yield the items from the first one on, as they come; raise what the call raises."""
        self._readers += 1
        seen = 0
        try:
            with in_language(self._language):
                await self._begin()
            while seen < len(self._items) or not self._ended.is_set():
                if seen < len(self._items):
                    seen += 1
                    yield self._items[seen - 1]
                else:
                    self._grown.clear()
                    await self._grown.wait()
        except (asyncio.CancelledError, GeneratorExit):
            await self.cancel()
            raise
        finally:
            self._readers -= 1
        await self.result()

    async def cancel(self) -> None:
        """Let the thread end, and wait a moment for that; what was begun is left as after an interrupt."""
        AWAITED.remove(self)  # first: its handler sets the flag too, and must not wait for the lock of it
        self.cancelled.set()
        if self._loop is None and not self._ended.is_set():
            self._end(None, Cancelled())
        with suppress(TimeoutError):  # in a function of the user, which ends when it likes
            async with asyncio.timeout(SECONDS_TO_END):
                await self._ended.wait()

    async def _begin(self) -> None:
        """Start the thread; the first task that waits does."""
        if self._loop or self._ended.is_set():
            return
        self._loop = running_loop()
        if AWAITED.are_ending:  # the interrupt came before this task had its turn
            self._is_interrupted = True
            self._end(None, Cancelled())
            return
        slots = self._slots.of(self._loop)
        AWAITED.add(self, self._interrupt)
        try:
            await slots.acquire()
        except asyncio.CancelledError:
            self._end(None, Cancelled())
            raise
        if self.cancelled.is_set():  # while it waited
            slots.release()
            self._end(None, Cancelled())
            return
        try:
            threading.Thread(target=copy_context().run, args=(self._run, slots), daemon=True, name="ollama-async").start()
        except RuntimeError as error:  # no more threads
            slots.release()
            self._end(None, error)
        self._tick()

    def _tick(self) -> None:
        """Wake the loop up in slices: Jupyter notes an interrupt, but a loop that waits for a socket would not see it."""
        if self._loop and not self._ended.is_set():
            self._loop.call_later(SLICE, self._tick)

    def _interrupt(self) -> bool:
        """Let the thread end after an interrupt, and after a second do not wait for it any more."""
        if self._is_interrupted or not self._running.is_running():
            return False
        self._is_interrupted = True
        self.cancelled.set()
        self.in_loop(self._running.call_later, SECONDS_TO_END, self._end, None, Cancelled())
        return True

    def _end(self, result: Any, error: BaseException | None) -> None:
        def outcome() -> _Result:
            if isinstance(error, Cancelled):
                # A KeyboardInterrupt leaves the loop at once: tasks that wait for this one would go on in the next cell.
                if self._is_interrupted and asyncio.all_tasks() == {asyncio.current_task()}:
                    raise Interrupted(code="interrupted-call")
                raise OllamaMagicsError("call-cancelled")
            if error is not None:
                raise error
            returned: _Result = result
            return returned

        AWAITED.remove(self)
        if self._ended.is_set():  # it was not waited for any more
            return
        self._outcome = outcome
        self._ended.set()
        self._grown.set()

    # For the thread.

    def _run(self, slots: asyncio.Semaphore) -> None:
        result, error = None, None
        try:
            result = self._work(self)
        except BaseException as raised:  # noqa: BLE001 - raised again by the task that waits
            error = raised
        self.in_loop(slots.release)
        self.in_loop(self._end, result, error)

    def post(self, item: _Item) -> None:
        """Give an item to the tasks."""
        self._items.append(item)
        if self._readers:
            self.in_loop(self._grown.set)

    def in_loop(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in the thread of the loop; where that is closed, nobody waits any more, and the call is cancelled."""
        try:
            self._running.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            self.cancelled.set()
            AWAITED.remove(self)

    def result_of(self, awaitable: Awaitable[Any]) -> Any:
        """Return the result of what the user's functions returned, which is awaited in the loop while the slot is free."""
        return _result_in(self._running, self._without_slot(awaitable), self._check)

    async def _without_slot(self, awaitable: Awaitable[Any]) -> Any:
        # it may itself make calls, which could otherwise wait for the slots of calls that wait for them
        slots = self._slots.of(self._running)
        slots.release()
        try:
            return await awaitable
        finally:
            await slots.acquire()

    @property
    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the call has not begun")
        return self._loop

    def _check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled


class LoopThread:
    """An event loop in a daemon thread, for what synchronous calls have to await; it starts at first use.

    One loop for all of them: clients that a function of the user keeps between two calls belong to a loop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def result_of(self, awaitable: Awaitable[Any], check: Callable[[], object]) -> Any:
        """Return its result; ``check`` is called in slices and may raise."""
        return _result_in(self._started(), _awaited(awaitable), check)

    def close(self) -> None:
        """Cancel what is still awaited, and end the thread."""
        if self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(SECONDS_TO_END)

    def _started(self) -> asyncio.AbstractEventLoop:
        if threading.current_thread() is self._thread:
            raise RuntimeError("an asynchronous function called om.chat, which waits: use await om.achat")
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # the thread of a process does not live on in a fork
                begun = threading.Event()
                self._thread = threading.Thread(target=self._serve, args=(begun,), daemon=True, name="ollama-event-loop")
                self._thread.start()
                begun.wait()
            return self._loop

    def _serve(self, begun: threading.Event) -> None:
        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            begun.set()
            await self._stop.wait()

        asyncio.run(serve())


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _result_in(loop: asyncio.AbstractEventLoop, awaitable: Any, check: Callable[[], object]) -> Any:
    """Return the result of a coroutine in the loop of another thread; ``check`` is called in slices and may raise."""
    try:
        future = asyncio.run_coroutine_threadsafe(awaitable, loop)
    except RuntimeError:  # the loop is closed
        awaitable.close()
        raise Cancelled from None
    try:
        while not futures.wait([future], SLICE).done:
            check()
    except BaseException:
        future.cancel()
        raise
    return future.result()
