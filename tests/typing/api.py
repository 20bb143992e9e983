"""What a type checker sees of the public calls; read by mypy and pyright in ``make check``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np

import ollama_magics as om
from ollama_magics import AsyncReply, CheckReport, EmbedReport, Replies, Reply, ToolCall


def confirm(call: ToolCall) -> bool:
    """Let every function run."""
    return bool(call.name)


def watch(report: EmbedReport) -> None:
    """Take the report of a job."""
    assert_type(report.seconds, float)


def use(replies: Replies) -> None:
    """Use each public call with parameters of the right types."""
    reply = om.chat("Hi", model="m", temperature=0.5, max_tokens="8k", stop=["END"], think="low", tools=[max], confirm=confirm)
    assert_type(reply, Reply)
    assert_type(reply.text, str)
    assert_type(list(reply), list[str])
    assert_type(next(reply.chunks()).thinking, str)
    assert_type(("yes" in reply, len(reply), reply.stats.tokens_per_second), tuple[bool, int, float])
    assert_type(replies[0], Reply)
    assert_type(om.embed(["a"], batch=8, on_error="nan", report=watch), np.ndarray[Any, np.dtype[np.float32]])
    assert_type(om.check(deep=True), CheckReport)
    assert_type(om.models(), list[dict[str, Any]])
    assert_type(next(om.pull("m")).status, str)
    with om.sandbox(delay=0) as url:
        assert_type(url, str)
    assert_type(om.achat("Hi", model="m", confirm=confirm), AsyncReply)
    om.configure(model="m", context_length="8k", temperature=None, vision="yes")
    om.use_profile("work")


async def use_in_a_loop() -> None:
    """Use the calls for an event loop."""
    assert_type(await om.achat("Hi"), Reply)
    assert_type([piece async for piece in om.achat("Hi")], list[str])
    async with om.achat("Hi") as waiting:
        assert_type(waiting.partial, Reply | None)
    assert_type(await asyncio.create_task(om.achat("Hi", think="low")), Reply)
    assert_type(await om.aembed(["a"]), np.ndarray[Any, np.dtype[np.float32]])
    assert_type(await om.amap(["a"], "{{item}}"), Any)


def misuse() -> Iterator[object]:
    """Use them wrongly; each line is an error of its own, and an ignored one that is none is reported."""
    yield om.chat("Hi", temperatur=0.5)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    yield om.chat("Hi", temperature="warm")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    yield om.achat("Hi", temperatur=0.5)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    yield om.chat("Hi", think=3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    yield om.embed(["a"], on_error="ignore")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    yield om.check(depth=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    om.configure(vision="perhaps")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
