"""The reply to one prompt in an event loop: awaited as a whole, or read in pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from ollama_magics.conversation.reply import Reply
from ollama_magics.jobs.event_loop import AsyncCall, Awaits, ThreadCall

_Call = ThreadCall[str, Reply]


class AsyncReply(AsyncCall[Reply]):
    """A reply in an event loop: ``await`` gives the finished Reply, ``async for`` the text in pieces as they come.

    The request is sent when the reply is first awaited or iterated over, with the settings of that moment. Cancelling the task
    that waits closes the connection, so that the server stops; so does leaving the ``async for`` early, for certain at the end of
    an ``async with`` block. What was written until then is in ``partial``, and in the conversation as a cut turn.

    Raises what Reply raises; OllamaMagicsError (``call-cancelled``) where the reply was cancelled before, and
    (``event-loop-unsupported``) where the event loop is none of asyncio's.

    Example::

        async with om.achat("Name three colours.") as reply:
            async for piece in reply:
                print(piece, end="")
        reply.partial.stats.tokens_per_second
    """

    def __init__(
        self,
        ask: Callable[[Awaits], Reply],
        begin: Callable[[Callable[[_Call], Reply]], _Call],
        ended: Callable[[], object],
    ) -> None:
        self.partial: Reply | None = None
        self._ask, self._make_call, self._ended = ask, begin, ended

    @cached_property
    def _call(self) -> _Call:
        return self._make_call(self._read)  # which holds this object: not before it is used, so that it ends where it is dropped

    def _read(self, call: _Call) -> Reply:
        """Read the answer in the thread of the call."""
        self.partial = reply = self._ask(call.result_of)
        with reply:
            for piece in reply:
                call.post(piece)
        return reply

    async def _awaited(self) -> Reply:
        reply = await self._call.result()
        self._ended()
        return reply

    async def _pieces(self) -> AsyncGenerator[str, None]:
        async with aclosing(self._call.items()) as pieces:
            async for piece in pieces:
                yield piece
        self._ended()

    def __await__(self) -> Generator[Any, Any, Reply]:
        self._is_used = True
        return self._awaited().__await__()  # again and again: the answer stays

    def __aiter__(self) -> AsyncIterator[str]:
        self._is_used = True
        return self._pieces()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, so that the server stops; what was written stays in ``partial``."""
        self._is_used = True
        await self._call.cancel()

    if not TYPE_CHECKING:  # which would take it to have every attribute

        def __getattr__(self, name: str) -> Any:
            if hasattr(Reply, name):
                raise AttributeError(f"{name} is there once the reply is awaited: reply = await om.achat(…)")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<AsyncReply: {self.partial!r}>" if self.partial else super().__repr__()
