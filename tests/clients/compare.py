"""Let other clients of Ollama ask the stand-in and, at OLLAMA_TEST_URL, a real one, and print where the results differ."""

# What a call returns is reduced to what must not depend on the model: types, members, and whether there is any text.

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollama_magics.fake_server.server import FakeServer

HELLO = [{"role": "user", "content": "Hello"}]
ASKED = [{"role": "user", "content": "What is 2 plus 3? Use add."}]
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"]}
SHORT = {"num_predict": 8, "temperature": 0, "num_ctx": 512}
FORMATTED = {"num_predict": 60, "temperature": 0, "num_ctx": 512}
LONGEST = 90  # characters of a cell of the table


class TestsDidNotRunError(Exception):
    """The end of what pytest printed; this is no result of a client."""


@dataclass(frozen=True)
class Server:
    """A server, and its models by purpose."""

    url: str
    chat: str
    tools: str
    embed: str
    think: str
    follows: bool = True  # instructions of a prompt, which the tiny models of tests/real_ollama do not


STAND_IN = ("sandbox-chat", "sandbox-tools", "sandbox-embed", "sandbox-think")
REAL = ("parrot", "caller", "all-minilm", "thinker")
# tests of others that pass only if the model calls the function, or writes the object, that it is asked for
_NEEDS_INSTRUCTIONS = re.compile(
    "test_(agent_loop|bind_runnables_as_tools|json_mode|structured_output|tool_c|tools|unicode_tool|async_model_prompt_with_schema)"
)
Calls = Iterator[tuple[str, Callable[[Server], Any]]]


def shape(value: Any) -> Any:
    """Return the types of a value and its members; of a list those of its first item."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in sorted(value.items()) if part not in (None, [], {}, "")}
    if isinstance(value, list | tuple):
        return [shape(value[0])] if value else []
    return type(value).__name__


def dumped(value: Any) -> Any:
    """Return the shape of a pydantic object."""
    return shape(value.model_dump())


def ollama_calls() -> Calls:
    """Yield every method of Ollama's Python client that a server without an account answers."""
    import ollama  # noqa: PLC0415 - each client may be missing

    def with_client(use: Callable[[Any, Server], Any]) -> Callable[[Server], Any]:
        return lambda server: use(ollama.Client(server.url), server)

    def changed(client: Any, server: Server) -> Any:
        made = client.create("clients-made", from_=server.chat, system="Be brief.", parameters={"temperature": 0.5}).status
        client.copy("clients-made", "clients-copy")
        shown = client.show("clients-copy")
        listed = [one.model for one in client.list().models if one.model.startswith("clients-")]
        ended = [client.delete(name).status for name in ("clients-made", "clients-copy")]
        return made, sorted(listed), shown.modelfile is not None, ended

    def blob(client: Any, _: Server) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "blob"
            file.write_bytes(b"a blob of the client tests")
            return client.create_blob(file)

    yield "list", with_client(lambda client, _: dumped(client.list())["models"][0].keys())
    yield "ps", with_client(lambda client, server: (client.chat(server.chat, HELLO, options=SHORT), bool(client.ps().models))[1])
    yield "show", with_client(lambda client, server: sorted(client.show(server.tools).capabilities))
    yield "chat", with_client(lambda client, server: dumped(client.chat(server.chat, HELLO, options=SHORT)))
    yield (
        "chat, streamed",
        with_client(lambda client, server: dumped([*client.chat(server.chat, HELLO, stream=True, options=SHORT)][-1])),
    )
    yield (
        "chat, tools",
        with_client(
            lambda client, server: (
                client.chat(server.tools, ASKED, tools=[ADD], options=FORMATTED).message.tool_calls[0].function.name
            )
        ),
    )
    yield (
        "chat, thinking",
        with_client(
            lambda client, server: bool(client.chat(server.think, HELLO, think=True, options=FORMATTED).message.thinking)
        ),
    )
    yield (
        "chat, format",
        with_client(
            lambda client, server: shape(
                json.loads(client.chat(server.chat, HELLO, format=SCHEMA, options=FORMATTED).message.content)
            )
        ),
    )
    yield (
        "chat, logprobs",
        with_client(
            lambda client, server: dumped(
                client.chat(server.chat, HELLO, logprobs=True, top_logprobs=2, options=SHORT).logprobs[0]
            )
        ),
    )
    yield "generate", with_client(lambda client, server: dumped(client.generate(server.chat, "Hello", options=SHORT)))
    yield (
        "generate, streamed",
        with_client(lambda client, server: dumped([*client.generate(server.chat, "Hello", stream=True, options=SHORT)][-1])),
    )
    yield "embed", with_client(lambda client, server: dumped(client.embed(server.embed, ["a", "b"])))
    yield "embeddings", with_client(lambda client, server: dumped(client.embeddings(server.embed, "a")))
    yield "create, copy, delete", with_client(changed)
    yield "create_blob", with_client(blob)
    yield "push", with_client(lambda client, server: client.push(server.chat))
    yield "pull, unknown", with_client(lambda client, _: client.pull("nonesuch/nonesuch"))
    yield "chat, unknown model", with_client(lambda client, _: client.chat("nonesuch", HELLO))

    async def in_loop(server: Server) -> Any:
        client = ollama.AsyncClient(server.url)
        pieces = [one async for one in await client.chat(server.chat, HELLO, stream=True, options=SHORT)]
        whole = await client.generate(server.chat, "Hello", options=SHORT)
        vectors = await client.embed(server.embed, "a")
        names = [shape((await client.list()).model_dump()["models"][0]), shape((await client.show(server.chat)).capabilities)]
        return dumped(pieces[-1]), dumped(whole), dumped(vectors), names, (await client.ps()).models != []

    yield "async: chat, generate, embed, list, show, ps", lambda server: asyncio.run(in_loop(server))


def openai_calls() -> Calls:
    """Yield calls of OpenAI's client below /v1."""
    import openai  # noqa: PLC0415 - as above

    def with_client(use: Callable[[Any, Server], Any]) -> Callable[[Server], Any]:
        return lambda server: use(openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0), server)

    def completed(client: Any, model: str, messages: Any = HELLO, **more: Any) -> Any:
        return client.chat.completions.create(model=model, messages=messages, **{"temperature": 0, "max_tokens": 8, **more})

    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    usage = {"include_usage": True}
    yield "models", with_client(lambda client, _: dumped(next(iter(client.models.list()))))
    yield "models, one", with_client(lambda client, server: dumped(client.models.retrieve(server.chat)))
    yield "chat", with_client(lambda client, server: dumped(completed(client, server.chat)))
    yield (
        "chat, streamed",
        with_client(lambda client, server: dumped([*completed(client, server.chat, stream=True, stream_options=usage)][-1])),
    )
    yield (
        "chat, tools",
        with_client(lambda client, server: dumped(completed(client, server.tools, ASKED, tools=[ADD], max_tokens=60).choices[0])),
    )
    yield (
        "chat, tools, streamed",
        with_client(
            lambda client, server: [
                chunk.choices[0].finish_reason
                for chunk in completed(client, server.tools, ASKED, tools=[ADD], max_tokens=60, stream=True)
            ][-1]
        ),
    )
    yield (
        "chat, schema",
        with_client(
            lambda client, server: shape(
                json.loads(completed(client, server.chat, response_format=wanted, max_tokens=60).choices[0].message.content)
            )
        ),
    )
    yield (
        "completions",
        with_client(lambda client, server: dumped(client.completions.create(model=server.chat, prompt="Hello", max_tokens=8))),
    )
    yield "embeddings", with_client(lambda client, server: dumped(client.embeddings.create(model=server.embed, input=["a", "b"])))
    yield "unknown model", with_client(lambda client, _: completed(client, "nonesuch"))


def chatlas_calls() -> Calls:
    """Yield calls of chatlas."""
    import chatlas  # noqa: PLC0415 - as above

    def with_chat(use: Callable[[Any], Any], model: str = "chat") -> Callable[[Server], Any]:
        return lambda server: use(chatlas.ChatOllama(model=getattr(server, model), base_url=server.url))

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    def with_tool(chat: Any) -> Any:
        chat.register_tool(add)
        answer = chat.chat(ASKED[0]["content"], echo="none")
        return [type(content).__name__ for turn in chat.get_turns() for content in turn.contents], bool(str(answer))

    yield "chat", with_chat(lambda chat: bool(str(chat.chat("Hello", echo="none"))))
    yield "stream", with_chat(lambda chat: bool("".join(chat.stream("Hello", echo="none"))))
    yield "tools", with_chat(with_tool, "tools")


def langchain_calls() -> Calls:
    """Yield calls of langchain-ollama, and its own standard tests."""
    from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM  # noqa: PLC0415 - as above

    options = {"temperature": 0, "num_predict": 8, "num_ctx": 512}
    yield "invoke", lambda server: type(ChatOllama(model=server.chat, base_url=server.url, **options).invoke("Hello")).__name__
    yield "stream", lambda server: len([*ChatOllama(model=server.chat, base_url=server.url, **options).stream("Hello")]) > 1
    yield "llm", lambda server: bool(OllamaLLM(model=server.chat, base_url=server.url, **options).invoke("Hello"))
    yield "embeddings", lambda server: shape(OllamaEmbeddings(model=server.embed, base_url=server.url).embed_documents(["a"]))
    yield "standard tests", _standard_tests


def _standard_tests(server: Server) -> Any:
    """Return how many of langchain's tests passed, and the others by name."""
    file = Path(__file__).with_name("langchain_standard.py")
    models = {"CLIENTS_URL": server.url, "CLIENTS_CHAT": server.tools, "CLIENTS_EMBED": server.embed}
    return _tested(server, [str(file), "--noconftest", "-c", os.devnull, "-o", "asyncio_mode=auto"], file.parent, models)


def _tested(server: Server, arguments: list[str], folder: Path, environment: dict[str, str]) -> Any:
    """Return how many tests of others ran, and which failed for another reason than that a tiny model does not do as it is told.

    Raises TestsDidNotRunError where none passed.
    """
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-rfE", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False, cwd=folder)
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.MULTILINE)
    if not (passed := re.search(r"(\d+) passed", done.stdout)):
        raise TestsDidNotRunError((done.stdout + done.stderr)[-500:])
    wrong = [name for name in failed if server.follows or not _NEEDS_INSTRUCTIONS.match(name)]
    return f"{int(passed[1]) + len(failed)} ran", sorted(wrong)


def llama_index_calls() -> Calls:
    """Yield calls of llama-index."""
    from llama_index.core.llms import ChatMessage  # noqa: PLC0415 - as above
    from llama_index.embeddings.ollama import OllamaEmbedding  # noqa: PLC0415 - as above
    from llama_index.llms.ollama import Ollama  # noqa: PLC0415 - as above

    def model(server: Server) -> Any:
        return Ollama(model=server.chat, base_url=server.url, context_window=512, additional_kwargs={"num_predict": 8})

    yield "complete", lambda server: bool(model(server).complete("Hello").text)
    yield "stream_complete", lambda server: len([*model(server).stream_complete("Hello")]) > 1
    yield "chat", lambda server: str(model(server).chat([ChatMessage(role="user", content="Hello")]).message.role)
    yield "embedding", lambda server: shape(OllamaEmbedding(model_name=server.embed, base_url=server.url).get_text_embedding("a"))


def llm_calls() -> Calls:
    """Yield commands of llm with llm-ollama."""

    def command(*words: str) -> Callable[[Server], Any]:
        def run(server: Server) -> Any:
            with tempfile.TemporaryDirectory() as folder:
                chosen = [word.format(server=server) for word in words]
                environment = os.environ | {"OLLAMA_HOST": server.url, "LLM_USER_PATH": folder}
                done = subprocess.run(
                    [sys.executable, "-m", "llm", *chosen], env=environment, capture_output=True, text=True, check=False
                )
                return done.returncode, bool(done.stdout.strip()), done.stderr.strip()[-60:]

        return run

    importlib.import_module("llm_ollama")
    yield "models", command("models")
    yield "prompt", command("-m", "ollama/{server.chat}", "Hello", "-o", "num_predict", "8")
    yield "prompt, not streamed", command("-m", "ollama/{server.chat}", "Hello", "--no-stream", "-o", "num_predict", "8")
    yield "embed", command("embed", "-m", "ollama/{server.embed}", "-c", "a")
    if source := os.environ.get("LLM_OLLAMA_SOURCE"):  # a checkout: its tests are in no package

        def own_tests(server: Server) -> Any:
            with tempfile.TemporaryDirectory() as folder:
                models = ["--integration", "--no-vision", "--model", server.tools]
                return _tested(server, models, Path(source), {"OLLAMA_HOST": server.url, "LLM_USER_PATH": folder})

        yield "its own tests", own_tests


NODE = """
import { Ollama } from 'ollama'
const [url, chat, embed] = process.argv.slice(2)
const client = new Ollama({ host: url })
const messages = [{ role: 'user', content: 'Hello' }], options = { num_predict: 8, temperature: 0, num_ctx: 512 }
const said = await client.chat({ model: chat, messages, options })
let pieces = 0
for await (const part of await client.chat({ model: chat, messages, options, stream: true })) pieces += 1
const vectors = await client.embed({ model: embed, input: ['a', 'b'] })
const known = await client.show({ model: chat })
const listed = await client.list(), loaded = await client.ps()
const text = await client.generate({ model: chat, prompt: 'Hi', options })
console.log(JSON.stringify([Object.keys(said).sort(), pieces > 1, vectors.embeddings.length, known.capabilities,
  listed.models.length > 0, loaded.models.length > 0, text.response.length > 0]))
"""


def npm_calls() -> Calls:
    """Yield one program with the client of npm, which is installed into a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="clients-npm-"))
    subprocess.run(["npm", "install", "--silent", "--no-fund", "ollama"], cwd=folder, check=True, capture_output=True)
    program = folder / "ask.mjs"
    program.write_text(NODE)

    def run(server: Server) -> Any:
        done = subprocess.run(
            ["node", program, server.url, server.chat, server.embed], cwd=folder, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() or done.stderr.strip()[-LONGEST:]

    yield "chat, embed, show, list, ps, generate", run


def command_line_calls() -> Calls:
    """Yield commands of Ollama's own program: that of OLLAMA_PROGRAM, on the PATH, or built by tests/real_ollama."""
    built = sorted((Path.home() / ".cache" / "ollama-magics-tests").glob("ollama-*[0-9x]/bin/ollama"))
    program = os.environ.get("OLLAMA_PROGRAM") or shutil.which("ollama") or next(map(str, built), "")
    if not program:
        message = "no ollama on the PATH, no OLLAMA_PROGRAM, none built by tests/real_ollama"
        raise ImportError(message)

    def command(*words: str) -> Callable[[Server], Any]:
        def run(server: Server) -> Any:
            chosen = [word.format(server=server) for word in words]
            done = subprocess.run(
                [program, *chosen], env=os.environ | {"OLLAMA_HOST": server.url}, capture_output=True, text=True, check=False
            )
            return done.returncode, bool(done.stdout.strip())

        return run

    for name, words in {
        "list": ("list",),
        "show": ("show", "{server.chat}"),
        "run": ("run", "{server.chat}", "Hello"),
        "ps": ("ps",),
        "cp": ("cp", "{server.chat}", "clients-cli"),
        "rm": ("rm", "clients-cli"),
        "stop": ("stop", "{server.chat}"),
        "show, unknown": ("show", "nonesuch"),
    }.items():
        yield name, command(*words)


CLIENTS = {
    "ollama (Python)": ollama_calls,
    "ollama (npm)": npm_calls,
    "ollama (program)": command_line_calls,
    "openai": openai_calls,
    "chatlas": chatlas_calls,
    "langchain-ollama": langchain_calls,
    "llama-index": llama_index_calls,
    "llm-ollama": llm_calls,
}


def outcome(call: Callable[[Server], Any], server: Server) -> str:
    """Return what a call gives on a server as text, or the kind and status of its error."""
    try:
        return str(call(server))
    except TestsDidNotRunError:
        raise
    except Exception as error:  # noqa: BLE001 - an error is a result, too
        status = getattr(error, "status_code", "")
        return f"{type(error).__name__} {status}".strip()


def compare(servers: dict[str, Server], chosen: list[str]) -> bool:
    """Print a line for each call, and return whether all servers give the same."""
    are_equal = True
    for client, calls in CLIENTS.items():
        if chosen and client not in chosen:
            continue
        try:
            listed = [*calls()]
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            print(f"–  {client}: not here ({str(error)[:LONGEST]})")
            continue
        for name, call in listed:
            found = {place: outcome(call, server) for place, server in servers.items()}
            is_same = len(set(found.values())) == 1
            are_equal = are_equal and is_same
            print(
                f"{'✓' if is_same else '✗'}  {client}: {name}" + (f"  {next(iter(found.values()))[:LONGEST]}" if is_same else "")
            )
            for place, text in () if is_same else found.items():
                print(f"     {place:9} {text}")
    return are_equal


def main() -> int:
    """Run the clients that are named, or all."""
    with FakeServer(delay=0, version=os.environ.get("CLIENTS_VERSION", "0.24.0")) as stand_in:
        servers = {"stand-in": Server(stand_in.url, *STAND_IN)}
        if real := os.environ.get("OLLAMA_TEST_URL"):
            servers["real"] = Server(real.rstrip("/"), *REAL, follows=False)
        print("servers:", ", ".join(f"{place} {server.url}" for place, server in servers.items()))
        return 0 if compare(servers, sys.argv[1:]) else 1


if __name__ == "__main__":
    sys.exit(main())
