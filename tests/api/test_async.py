"""The calls for an event loop: the same answers, many at once, and nothing left when they are cancelled."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import anyio
import numpy as np
import pytest
import trio
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.session.session import current
from tests.faults import FaultServer, Hold, fine

ENDLESS = "never stop"


@pytest.fixture(autouse=True)
def configured(stand_in: FakeServer) -> Iterator[None]:
    """Let the shared settings name the stand-in; no thread of a call is left at the end."""
    om.configure(base_url=stand_in.url, model="sandbox-chat")
    yield
    assert is_true_soon(lambda: not threads())


def threads() -> list[str]:
    """Return the threads that work for an event loop."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ollama-")]


def is_true_soon(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not (is_true := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_true


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it is true."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it comes from another thread
            await asyncio.sleep(0.02)


def asked(server: FakeServer) -> list[str]:
    """Return the prompts of the chat requests."""
    return [body["messages"][-1]["content"] for _, path, body in server.requests if path == "/api/chat" and body]


# The calls


@pytest.mark.parametrize(("call", "other"), [(om.chat, om.achat), (om.map, om.amap), (om.embed, om.aembed)])
def test_the_parameters_are_those_of_the_synchronous_call(call: Callable[..., Any], other: Callable[..., Any]) -> None:
    """By name, default and kind, so that nothing is forgotten in one of them."""
    first, second = (inspect.signature(one).parameters.values() for one in (call, other))
    assert [(one.name, one.default, one.kind) for one in first] == [(one.name, one.default, one.kind) for one in second]


def test_an_awaited_reply_is_a_reply(stand_in: FakeServer) -> None:
    """Nothing is sent before it is awaited; awaited again it is the same, and its pieces are there."""

    async def ask() -> None:
        waiting = om.achat("repeat after me: one two three", temperature=0)
        assert asked(stand_in) == []
        reply = await waiting
        assert isinstance(reply, om.Reply)
        assert (reply.text, reply.complete, reply.stats.tokens > 0) == ("one two three", True, True)
        assert await waiting is reply is waiting.partial
        assert "".join([piece async for piece in waiting]) == "one two three"
        assert len(asked(stand_in)) == 1

    asyncio.run(ask())


def test_pieces_come_one_by_one() -> None:
    """All of them also for a second reader."""

    async def ask() -> None:
        reply = om.achat("repeat after me: one two three four")
        pieces = [piece async for piece in reply]
        assert pieces[0] == "one"
        assert "".join(pieces) == (await reply).text == "".join([piece async for piece in reply])

    asyncio.run(ask())


def test_every_way_to_make_a_task_takes_it() -> None:
    """As a coroutine would be."""

    async def ask() -> None:
        assert (await asyncio.create_task(om.achat("repeat after me: a"))).text == "a"
        async with asyncio.TaskGroup() as group:
            task = group.create_task(om.achat("repeat after me: b"))
        assert task.result().text == "b"
        assert (await asyncio.wait_for(om.achat("repeat after me: c"), 20)).text == "c"
        both = await asyncio.gather(om.achat("repeat after me: d"), om.aembed(["d"], model="sandbox-embed"))
        assert (both[0].text, both[1].shape[0]) == ("d", 1)

    asyncio.run(ask())


def test_rows_and_vectors_are_those_of_the_synchronous_calls() -> None:
    """The report of the vectors comes in the thread of the loop."""
    seen: list[Any] = []

    def report(found: om.EmbedReport) -> None:
        seen.append((found.kept, threading.current_thread()))

    async def ask() -> tuple[Any, Any]:
        rows = om.amap(["one", "two"], "repeat after me: {{item}}", store=False)
        vectors = om.aembed(["a", "b"], model="sandbox-embed", store=False, report=report)
        return await rows, await vectors

    rows, vectors = asyncio.run(ask())
    assert [row["reply"] for row in rows] == ["one", "two"]
    assert np.array_equal(vectors, om.embed(["a", "b"], model="sandbox-embed", store=False))
    assert seen == [(range(2), threading.current_thread())]


def test_a_wrong_parameter_is_an_error_at_the_call() -> None:
    """Not when it is awaited; what only the server knows comes then, in the user's language and for Python."""
    calls: list[Callable[[Any], Any]] = [om.achat, lambda text: om.amap([text], text), lambda text: om.aembed([], model=text)]
    for call in calls:
        with pytest.raises(om.OllamaMagicsError):
            call(3)

    async def ask() -> None:
        om.configure(language="zh")
        with pytest.raises(om.ModelProblem) as caught:
            await om.achat("Hi", model="sandbox-none")
        assert (caught.value.code, caught.value.language, caught.value.place) == ("model-missing", "zh", "python")

    asyncio.run(ask())


def test_what_is_known_of_an_answer_is_said_before_it_is_awaited() -> None:
    """Its attributes are those of the reply, which is not there yet."""
    waiting = om.achat("Hi")
    assert "type: reply = await om.achat(…)" in repr(waiting)
    with pytest.raises(AttributeError, match=r"await om\.achat"):
        _ = waiting.text  # type: ignore[attr-defined]
    assert not hasattr(waiting, "nonsense")
    waiting.close()


UNUSED: dict[str, Callable[[], object]] = {
    "await om.achat": lambda: om.achat("Hi"),
    "await om.aembed": lambda: om.aembed(["Hi"]),
    "await om.amap": lambda: om.amap(["Hi"], "{{item}}"),
    "om.chat(…).text": lambda: om.chat("Hi"),
    "for step in om.pull": lambda: om.pull("sandbox-mini"),
    "with om.sandbox": om.sandbox,
}


def drop(call: Callable[[], object]) -> None:
    """Make a call and drop what it returns, which says so at once: nothing holds itself until it is collected."""
    call()


@pytest.mark.parametrize("advice", UNUSED)
def test_what_does_nothing_by_itself_says_so_where_it_is_dropped(advice: str, stand_in: FakeServer) -> None:
    """At the line of the call, with what to type; what was looked at or ended is not reported."""
    with pytest.warns(UserWarning, match="type: ") as caught:
        drop(UNUSED[advice])
    (warning,) = caught
    assert (warning.filename, advice in str(warning.message)) == (__file__, True)
    assert not [body for _, _, body in stand_in.requests if body and ("messages" in body or "input" in body)]

    async def used() -> None:
        (waiting := om.achat("Hi")).close()
        await om.achat("Hi").aclose()
        for call in (om.achat("Hi"), om.aembed(["Hi"]), om.amap(["Hi"], "{{item}}")):
            task = asyncio.ensure_future(call)
            task.cancel()
            await asyncio.wait([task])
        assert "AsyncReply" in repr(waiting)

    asyncio.run(used())
    assert om.chat("Hi").request.model == "sandbox-chat"
    gc.collect()


def test_a_call_that_answers_itself_is_not_awaited(stand_in: FakeServer) -> None:
    """Python says so, and a warning names the call that can be; nothing is sent."""

    async def chat() -> None:
        await om.chat("Hi", temperature=0)  # type: ignore[misc]

    with pytest.warns(UserWarning, match=r"await om\.achat"), pytest.raises(TypeError, match="await"):
        asyncio.run(chat())
    assert not asked(stand_in)


def test_two_at_once_in_one_conversation(stand_in: FakeServer) -> None:
    """Neither waits for the other; the one that ends last says that it does not know the other, and the next knows both."""
    talk, stand_in.delay = om.Conversation(), 0.1

    async def ask() -> list[om.Reply]:
        both = await asyncio.gather(*(om.achat(f"repeat after me: {word} or so", conversation=talk) for word in "ab"))
        return [*both, await om.achat("repeat after me: c", conversation=talk)]

    *both, last = asyncio.run(ask())
    assert sorted(len(reply.notes) for reply in both) == [0, 1]
    assert "at the same time (1)" in "".join(both[0].notes + both[1].notes)
    assert (last.notes, len(last.messages), len(talk.turns)) == ([], 6, 3)


def test_a_variable_in_braces_is_a_warning_at_the_call() -> None:
    """As in om.chat."""

    async def ask() -> None:
        price = 2
        with pytest.warns(UserWarning, match=r"\{\{price\}\} was sent as text") as caught:
            await om.achat("Say {{price}}")
        assert (caught[0].filename, price) == (__file__, 2)

    asyncio.run(ask())


# Many at once, and the end of them


def test_a_hundred_at_once(stand_in: FakeServer) -> None:
    """Each with its own answer, at most 16 at a time; a session that is closed leaves no socket."""
    stand_in.delay = 0.001
    most: list[int] = []

    async def watch() -> None:
        while True:
            most.append(stand_in.open_streams)
            await asyncio.sleep(0.005)

    async def ask() -> list[om.Reply]:
        watching = asyncio.create_task(watch())
        replies = await asyncio.gather(*(om.achat(f"repeat after me: number {number}") for number in range(100)))
        watching.cancel()
        return replies

    assert [reply.text for reply in asyncio.run(ask())] == [f"number {number}" for number in range(100)]
    assert 1 < max(most) < 40  # 16, and those whose end the server has not noticed yet
    assert is_true_soon(lambda: not threads())
    assert (len(asked(stand_in)), stand_in.open_streams) == (100, 0)
    current().close()
    assert is_true_soon(lambda: not connections(stand_in))


def connections(server: FakeServer) -> list[socket.socket]:
    """Return the connections of this process to the server."""
    import psutil  # type: ignore[import-untyped] # noqa: PLC0415 - only here

    found = psutil.Process().net_connections("tcp")
    return [one for one in found if one.raddr and one.raddr.port == server.port and one.status == "ESTABLISHED"]


def test_cancelled_tasks_leave_the_server_idle(stand_in: FakeServer) -> None:
    """Those that wait for their turn send nothing; what was written is kept, also as a cut turn of the conversation."""
    stand_in.delay = 0.01
    talk = om.Conversation()

    async def ask() -> list[om.AsyncReply]:
        waiting = [om.achat(ENDLESS, conversation=talk if number == 0 else None) for number in range(30)]
        tasks = [asyncio.ensure_future(one) for one in waiting]
        await until(lambda: stand_in.open_streams == 16)
        await asyncio.sleep(0.5)  # in which some words come
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(error) for error in done} == {asyncio.CancelledError}
        await until(lambda: not stand_in.open_streams)
        return waiting

    waiting = asyncio.run(ask())
    assert len(asked(stand_in)) == 16
    assert [one.partial is None for one in waiting] == [False] * 16 + [True] * 14
    assert waiting[0].partial is not None
    assert waiting[0].partial.text.startswith(" and")
    assert not waiting[0].partial.complete
    (turn,) = talk.turns
    assert (turn.complete, turn.answer.content) == (False, waiting[0].partial.text)
    with pytest.raises(om.OllamaMagicsError, match="call-cancelled"):
        asyncio.run(awaited(waiting[0]))
    assert asyncio.run(awaited(om.achat("repeat after me: well"))).text == "well"


async def awaited(waiting: Awaitable[Any]) -> Any:
    """Return what comes of it."""
    return await waiting


@pytest.mark.parametrize("path", ["version", "show", "chat"])
def test_a_wait_without_an_answer_ends(path: str) -> None:
    """Whatever the server was asked; its connection is closed."""
    with FaultServer(fine(**{path: [Hold()]})) as server:
        om.configure(base_url=server.url, model="m")

        async def ask() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(om.achat("Hi"), 0.3)

        asyncio.run(ask())
        assert server.wait_until_left()


def test_leaving_the_pieces_early_closes_the_connection(stand_in: FakeServer) -> None:
    """By break, and for certain at the end of a with block."""
    stand_in.delay = 0.01

    async def ask() -> None:
        async for _ in om.achat(ENDLESS):
            break
        await until(lambda: not stand_in.open_streams and not threads())
        async with om.achat(ENDLESS) as reply:
            pieces = aiter(reply)
            assert await anext(pieces) == " and"
        await until(lambda: not stand_in.open_streams)
        with pytest.raises(om.OllamaMagicsError, match="call-cancelled"):
            await reply

    asyncio.run(ask())


def test_cancelled_rows_and_vectors_end_their_job(stand_in: FakeServer) -> None:
    """Finished rows are kept: the same call asks only for the rest."""
    stand_in.delay = 0.02

    async def cancelled() -> None:
        rows = asyncio.ensure_future(om.amap([f"row {n}" for n in range(40)], "repeat after me: {{item}}", parallel=2))
        vectors = asyncio.ensure_future(
            om.aembed([f"text {n}" for n in range(2000)], model="sandbox-embed", batch=1, store=False)
        )
        await until(lambda: len(asked(stand_in)) > 5 and any(path == "/api/embed" for _, path, _ in stand_in.requests))
        for task in (rows, vectors):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()

    asyncio.run(cancelled())
    assert is_true_soon(lambda: not threads() and not stand_in.open_streams)
    before, stand_in.delay = len(asked(stand_in)), 0
    found = asyncio.run(awaited(om.amap([f"row {n}" for n in range(40)], "repeat after me: {{item}}", parallel=2)))
    assert [row["reply"] for row in found] == [f"row {n}" for n in range(40)]
    assert len(asked(stand_in)) - before <= 40 - (before - 2)


def test_a_session_that_closes_ends_the_calls(stand_in: FakeServer) -> None:
    """With an error that says so."""
    stand_in.delay = 0.01

    async def ask() -> None:
        task = asyncio.ensure_future(om.achat(ENDLESS))
        await until(lambda: stand_in.open_streams == 1)
        current().close()
        with pytest.raises(om.OllamaMagicsError, match="call-cancelled"):
            await task

    asyncio.run(ask())


# Functions that the model calls

LOOPS: list[Any] = []


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    await asyncio.sleep(0)
    LOOPS.append(asyncio.get_running_loop())
    return a + b


def test_asynchronous_functions_are_awaited_in_the_loop_of_the_call() -> None:
    """So is the question; other functions run in the thread of the call, so that the loop goes on."""
    LOOPS.clear()
    others: list[threading.Thread] = []

    async def confirm(call: om.ToolCall) -> bool:
        LOOPS.append(asyncio.get_running_loop())
        return call.name != "never"

    async def never(a: int) -> int:
        """Do what nobody allows."""
        raise AssertionError(a)

    def thread_of(a: int) -> int:
        """Note the thread."""
        others.append(threading.current_thread())
        return a

    async def ask() -> None:
        reply = await om.achat("add 2 and 3", model="sandbox-tools", tools=[add], confirm=confirm)
        assert [call.result for call in reply.tool_calls] == ["5"]
        assert [asyncio.get_running_loop()] * 2 == LOOPS
        refused = await om.achat("never 1", model="sandbox-tools", tools=[never], confirm=confirm)
        assert "did not allow" in str(refused.tool_calls[0].error)
        await om.achat("thread_of 1", model="sandbox-tools", tools=[thread_of], confirm=lambda _: True)
        rows = om.amap(["add 1 and 2"], "{{item}}", model="sandbox-tools", tools=[add], confirm=confirm)
        assert (await rows)[0]["error"] == ""
        assert set(LOOPS) == {asyncio.get_running_loop()}

    asyncio.run(ask())
    assert others
    assert threading.current_thread() not in others


def test_functions_may_ask_themselves() -> None:
    """However many wait for such a function: they have left their slots."""

    async def look_up(a: int) -> str:
        """Ask another model."""
        return (await om.achat(f"repeat after me: {a}")).text

    async def ask() -> None:
        async with asyncio.timeout(60):
            replies = await asyncio.gather(
                *(om.achat("look_up 4", model="sandbox-tools", tools=[look_up], confirm=lambda _: True) for _ in range(20))
            )
        assert {call.error for reply in replies for call in reply.tool_calls} == {None}

    asyncio.run(ask())


def test_a_cancelled_task_cancels_the_function_that_it_waits_for() -> None:
    """The function sees it, as any task does."""
    seen: list[str] = []

    async def wait(a: int) -> int:
        """Wait for long."""
        seen.append("begun")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return a

    async def ask() -> None:
        task = asyncio.ensure_future(om.achat("wait 1", model="sandbox-tools", tools=[wait], confirm=lambda _: True))
        await until(lambda: bool(seen))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)

    asyncio.run(ask())
    assert seen == ["begun", "cancelled"]


def test_synchronous_calls_run_asynchronous_functions_too() -> None:
    """In one event loop of the session, in a thread, also where a loop runs already; an asynchronous no is a no."""
    LOOPS.clear()

    async def no(_: om.ToolCall) -> bool:
        return False

    def ask(confirm: Any = lambda _: True) -> om.ToolCall:
        reply = om.chat("add 2 and 3", model="sandbox-tools", tools=[add], confirm=confirm)
        assert reply.text
        return reply.tool_calls[0]

    async def in_a_loop() -> om.ToolCall:
        return ask()

    assert [ask().result, asyncio.run(in_a_loop()).result] == ["5", "5"]
    assert len(set(LOOPS)) == 1
    assert "did not allow" in str(ask(no).error)
    assert len(LOOPS) == 2
    rows = om.map(["add 1 and 2"], "{{item}}", model="sandbox-tools", tools=[add], confirm=lambda _: True)
    assert (rows[0]["error"], len(set(LOOPS))) == ("", 1)
    assert threads() == ["ollama-event-loop"]
    current().close()


# Where the loop comes from


def test_anyio_on_asyncio() -> None:
    """Its cancel scopes and task groups end a call."""

    async def ask() -> None:
        assert (await om.achat("repeat after me: a")).text == "a"
        with anyio.move_on_after(0.3) as scope:
            await om.achat(ENDLESS, max_tokens=-1)
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(awaited, om.achat("repeat after me: b"))

    current().configure({"idle_timeout": 5})
    anyio.run(ask, backend="asyncio")
    assert is_true_soon(lambda: not threads())


@pytest.mark.parametrize("run", [trio.run, lambda ask: anyio.run(ask, backend="trio")])
def test_trio_is_an_error_that_says_so(run: Callable[[Any], None]) -> None:
    """And what it says is what works."""

    async def ask() -> None:
        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            lambda: om.achat("Hi"),
            lambda: om.amap(["a"], "{{item}}"),
            lambda: om.aembed(["a"]),
        ]
        for call in calls:
            with pytest.raises(om.OllamaMagicsError, match="trio runs this code") as caught:
                await call()
            assert (caught.value.code, caught.value.place) == ("event-loop-unsupported", "python")
        with pytest.raises(om.OllamaMagicsError):
            async for _ in om.achat("Hi"):
                pass
        reply = await trio.to_thread.run_sync(lambda: om.chat("repeat after me: a"))
        assert await trio.to_thread.run_sync(lambda: reply.text) == "a"

    run(ask)


@pytest.fixture
def web() -> Iterator[str]:
    """Run an application that answers by a model, and return its address."""
    app = FastAPI()

    @app.get("/whole")
    async def whole(prompt: str) -> dict[str, str]:
        return {"text": (await om.achat(prompt)).text}

    @app.get("/pieces")
    async def pieces(prompt: str) -> StreamingResponse:
        return StreamingResponse(om.achat(prompt, max_tokens=-1), media_type="text/plain")

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(server.run)
        assert is_true_soon(lambda: server.started)
        (listening,) = server.servers[0].sockets
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        running.result(20)


def test_a_web_application(web: str, stand_in: FakeServer) -> None:
    """Whole answers and streams; a browser that leaves ends the answer."""
    import httpx  # noqa: PLC0415 - only here

    with httpx.Client(base_url=web, trust_env=False, timeout=20) as browser:
        assert browser.get("/whole", params={"prompt": "repeat after me: one"}).json() == {"text": "one"}
        assert browser.get("/pieces", params={"prompt": "repeat after me: one two"}).text == "one two"
        stand_in.delay = 0.01
        with browser.stream("GET", "/pieces", params={"prompt": ENDLESS}) as answer:
            assert next(answer.iter_text()).startswith(" and")
    assert is_true_soon(lambda: not stand_in.open_streams and not threads())
