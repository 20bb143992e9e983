"""Every setting and every option reaches the request that goes out, or acts where its declaration says."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, get_args, get_type_hints

import pytest

import ollama_magics as om
from ollama_magics.embeddings import options as embed_options
from ollama_magics.errors import FormatProblem, OllamaMagicsError
from ollama_magics.secret import Secret
from ollama_magics.session.session import Session, current
from ollama_magics.settings import cell_options, config_folder, form
from ollama_magics.settings.cell_options import EMBED_OPTIONS, PROMPT_OPTIONS, ROW_OPTIONS, Option
from ollama_magics.settings.values import OneOf
from tests.faults import FaultServer, fine, whole
from tests.shells import loaded_shell

ABILITIES = ["completion", "vision", "embedding", "tools", "thinking", "insert"]
EMBEDDING = {"model": "m", "embeddings": [[1.0, 2.0]]}

# Each setting with a place in a request: what is typed, and what stands in the request.
SENT: dict[str, tuple[Any, Any]] = {
    "context_length": ("2k", 2048),
    "max_tokens": ("77", 77),
    "temperature": (0.3, 0.3),
    "top_p": (0.4, 0.4),
    "top_k": (7, 7),
    "seed": (11, 11),
    "stop": ("END", ["END"]),
    "think": ("high", "high"),
    "keep_alive": ("9m", "9m"),
}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Run a server whose model can do everything, and let the shared settings name it."""
    with FaultServer(fine(show=whole({"capabilities": ABILITIES, "model_info": {}}))) as server:
        om.configure(base_url=server.url, model="m")
        yield server
        current().close()


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Any]:
    """Give a shell with the extension loaded."""
    with loaded_shell(monkeypatch, tmp_path) as shell:
        yield shell


def run(shell: Any, line: str) -> None:
    """Run a magic line that must succeed."""
    shell.run_cell(line).raise_error()


def last_body(server: FaultServer, path: str) -> dict[str, Any]:
    """Return the body of the last request to an endpoint."""
    body: dict[str, Any] = json.loads(next(request.body for request in reversed(server.requests) if request.path == path))
    return body


def missing(body: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return the places, such as ``options.seed``, whose value is not the expected one."""
    flat = {**body, **{f"options.{name}": value for name, value in body.get("options", {}).items()}}
    return [f"{wire}: {flat.get(wire)!r}, not {value!r}" for wire, value in expected.items() if flat.get(wire) != value]


def flags(names: Any) -> str:
    """Return the settings as options of a magic."""
    return " ".join(f"{form.flag(name)}={SENT[name][0]}" for name in names)


EXPECTED = {form.SETTINGS[name].wire: value for name, (_, value) in SENT.items()}


def test_every_setting_is_sent_or_says_where_it_acts() -> None:
    """One of the two; the tables of this module know them all, with values that are not the defaults."""
    assert set(SENT) == set(form.request_places())
    assert set(CHECKS) == set(form.names()) - set(form.request_places())
    both = [name for name, setting in form.SETTINGS.items() if bool(setting.wire) == bool(setting.acts)]
    assert not both
    assert not [name for name in SENT if form.SETTINGS[name].read(SENT[name][0], name) == form.default(name)]


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_settings_are_sent_with_a_prompt(server: FaultServer, shell: Any, path: str) -> None:
    """From the form, from the options of a cell, and from the parameters of the plain calls."""
    completes = path == "/api/generate"
    option = "--generate" if completes else "--once"
    typed = {name: value for name, (value, _) in SENT.items()}
    wrong = []

    run(shell, f"%ollama {option} {flags(SENT)} Hi")
    wrong += [f"%ollama: {found}" for found in missing(last_body(server, path), EXPECTED)]
    assert om.chat("Hi", generate=completes, **typed).text
    wrong += [f"om.chat: {found}" for found in missing(last_body(server, path), EXPECTED)]

    run(shell, f"%ollama {option} Hi")
    assert last_body(server, path)["options"] == {"num_ctx": 4096, "num_predict": 4096}
    run(shell, f"%ollama_config {flags(SENT)}")
    run(shell, f"%ollama {option} Hi")
    wrong += [f"%ollama_config: {found}" for found in missing(last_body(server, path), EXPECTED)]
    om.configure(**{name: form.default(name) for name in SENT})
    om.configure(**typed)
    assert om.chat("Hi", generate=completes).text
    wrong += [f"om.configure: {found}" for found in missing(last_body(server, path), EXPECTED)]
    assert not wrong, "\n".join(wrong)


def test_settings_are_sent_with_texts(server: FaultServer, shell: Any) -> None:
    """Those that are options of %embed."""
    names = [name for name, setting in form.SETTINGS.items() if setting.embed]
    expected = {form.SETTINGS[name].wire: SENT[name][1] for name in names}
    typed: dict[str, Any] = {name: SENT[name][0] for name in names}
    wrong = []
    run(shell, f"%embed {flags(names)} 'a text'")
    wrong += [f"%embed: {found}" for found in missing(last_body(server, "/api/embed"), expected)]
    om.embed("another", **typed)
    wrong += [f"om.embed: {found}" for found in missing(last_body(server, "/api/embed"), expected)]
    om.configure(**typed)
    om.embed("a third")
    wrong += [f"om.configure: {found}" for found in missing(last_body(server, "/api/embed"), expected)]
    assert not wrong, "\n".join(wrong)


# Settings without a place in a request: what shows that each acts.


def refusal(call: Callable[[], object]) -> str:
    """Return the code of the error of a call."""
    with pytest.raises(OllamaMagicsError) as caught:
        call()
    return caught.value.code


def asked(server: FaultServer, prompt: str = "Hi", **options: Any) -> dict[str, Any]:
    """Return the body of a prompt."""
    assert om.chat(prompt, **options).text
    return last_body(server, "/api/chat")


def checks_model(server: FaultServer) -> None:
    """Expect it in the request."""
    om.configure(model="other")
    assert asked(server)["model"] == "other"


def checks_base_url(server: FaultServer) -> None:
    """Expect the requests there."""
    with FaultServer(fine()) as other:
        om.configure(base_url=other.url)
        assert om.chat("Hi").text
        assert "/api/chat" in other.paths()
    assert server.paths() == []


def checks_api_key_env(server: FaultServer) -> None:
    """Expect the key in the header of every request."""
    om.configure(api_key_env="A_KEY")
    asked(server)
    assert {request.headers.get("authorization") for request in server.requests} == {"Bearer a-key"}


def checks_model_type(server: FaultServer) -> None:
    """Expect the request at another endpoint."""
    om.configure(model_type="completion")
    assert om.chat("Hi").text
    assert server.paths()[-1] == "/api/generate"


def checks_vision(server: FaultServer) -> None:
    """Expect the refusal of a picture."""
    from PIL import Image  # noqa: PLC0415 - only this check needs it

    picture = Image.new("RGB", (8, 8))
    assert asked(server, images=[picture])["messages"][0]["images"]
    om.configure(vision="no")
    assert refusal(lambda: om.chat("Hi", images=[picture])) == "ability-switched-off"


def checks_tools(server: FaultServer) -> None:
    """Expect the refusal of a function."""
    assert asked(server, tools=[add])["tools"]
    om.configure(tools="no")
    assert refusal(lambda: om.chat("Hi", tools=[add])) == "ability-switched-off"


def checks_embedding_model(server: FaultServer) -> None:
    """Expect it in requests with texts only."""
    om.configure(embedding_model="vectors")
    with suppress(OllamaMagicsError):
        om.embed("a")
    assert last_body(server, "/api/embed")["model"] == "vectors"
    assert asked(server)["model"] == "m:latest"  # the name that the server lists


def checks_system(server: FaultServer) -> None:
    """Expect it as the first message, or as the system prompt of a completion."""
    om.configure(system="Be brief.")
    assert asked(server)["messages"][0] == {"role": "system", "content": "Be brief."}
    assert om.chat("Hi", generate=True).text
    assert last_body(server, "/api/generate")["system"] == "Be brief."


def limits(session: Session) -> Any:
    """Return the limits of the client."""
    return session.client._timeouts


def checks_connect_timeout(_: FaultServer) -> None:
    """Expect it in the client and in a check."""
    om.configure(connect_timeout=1.5)
    assert limits(current()).connect == current().check_request().timeout == 1.5


def checks_first_token_timeout(_: FaultServer) -> None:
    """Expect it in the client."""
    om.configure(first_token_timeout=33)
    assert limits(current()).first_token == 33


def checks_idle_timeout(_: FaultServer) -> None:
    """Expect it in the client."""
    om.configure(idle_timeout=44)
    assert limits(current()).idle == 44


def checks_ca_bundle(_: FaultServer) -> None:
    """Expect it in the connections of the client."""
    om.configure(ca_bundle="/")
    assert current()._connection(current().address)[0].ca_bundle == "/"


def checks_headers(server: FaultServer) -> None:
    """Expect them with every request."""
    om.configure(headers={"X-Team": "blue"})
    asked(server)
    assert {request.headers.get("x-team") for request in server.requests} == {"blue"}


def checks_proxy(_: FaultServer) -> None:
    """Expect the requests for another machine there."""
    with FaultServer(fine()) as proxy:
        om.configure(proxy=proxy.url, base_url="http://ollama.test:1")
        assert om.chat("Hi").text
        assert {request.target.partition("/api")[0] for request in proxy.requests} == {"http://ollama.test:1"}


def checks_key_store(_: FaultServer) -> None:
    """Expect a typed key in a file."""
    om.configure(key_store="file")
    current().resolved.secrets.hold_key(Secret("a-key"))
    assert (config_folder.folder() / "keys.toml").exists()


def checks_local_only(_: FaultServer) -> None:
    """Expect the refusal of another machine."""
    om.configure(local_only="yes", base_url="http://ollama.test:1")
    assert refusal(lambda: om.chat("Hi")) == "local-only"


def checks_probes(_: FaultServer) -> None:
    """Expect a check without them."""
    om.configure(probes="no")
    assert not current().check_request().probes


def checks_language(_: FaultServer) -> None:
    """Expect Chinese messages."""
    om.configure(language="zh")
    assert current().language == "zh"


CHECKS: dict[str, Callable[[FaultServer], None]] = {
    name.removeprefix("checks_"): check for name, check in list(globals().items()) if name.startswith("checks_")
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_setting_acts_where_it_says(server: FaultServer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """By what it changes outside of the body of a request."""
    monkeypatch.setenv("A_KEY", "a-key")
    CHECKS[name](server)


# Options that are no settings.


def add(a: int, b: int) -> int:
    """Return the sum."""
    return a + b


def example(names: Iterable[str]) -> str:
    """Return an option of Ollama that takes a whole number and is no setting, for -O."""
    return next(name for name in names if name.startswith("num_") and name not in form.ollama_options())


OF_PROMPT, OF_TEXTS = example(cell_options._KINDS), example(embed_options._RUNNER_OPTIONS)
# place in a request: what is typed on the line, the parameters of the plain call, and the value there
PROMPTS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "suffix": ("--suffix END", {"suffix": "END"}, "END"),
    "shift": ("--strict", {"strict": True}, False),
    f"options.{OF_PROMPT}": (f"-O {OF_PROMPT}=3", {"options": {OF_PROMPT: 3}}, 3),
    "format": ("-f json", {"format": "json"}, "json"),
    "top_logprobs": ("--logprobs=2", {"logprobs": 2}, 2),
}
TEXTS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "model": ("-m vectors", {"model": "vectors"}, "vectors"),
    "dimensions": ("--dimensions 2", {"dimensions": 2}, 2),
    "options.num_ctx": ("--context 2k", {"context": "2k"}, 2048),
    f"options.{OF_TEXTS}": (f"-O {OF_TEXTS}=3", {"options": {OF_TEXTS: 3}}, 3),
}
OPTIONS = [option for group in PROMPT_OPTIONS.values() for option in group]


def wires(options: Any, example: str) -> set[str]:
    """Return the places in a request that options have; the example stands for any option of Ollama."""
    return {option.wire.replace("*", example) for option in options if option.wire}


def test_every_option_is_sent_or_says_where_it_acts() -> None:
    """One of the two; a function is sent as its description, which has a test of its own."""
    assert wires(OPTIONS, OF_PROMPT) - {"tools"} == set(PROMPTS)
    assert wires(EMBED_OPTIONS, OF_TEXTS) == set(TEXTS)
    assert not [option.flags for option in (*OPTIONS, *ROW_OPTIONS, *EMBED_OPTIONS) if bool(option.wire) == bool(option.acts)]


def test_options_of_a_prompt_are_sent(server: FaultServer, shell: Any) -> None:
    """From a cell and from the plain call."""
    wrong = []
    for wire, (line, parameters, value) in PROMPTS.items():
        path = "/api/generate" if wire == "suffix" else "/api/chat"
        for caller, call in (
            ("%ollama", lambda line=line: run(shell, f"%ollama {line} Hi")),
            ("om.chat", lambda parameters=parameters: om.chat("Hi", **parameters).text),
        ):
            with suppress(om.AnswerCut, FormatProblem):  # the answer is no JSON
                call()
            wrong += [f"{caller}: {found}" for found in missing(last_body(server, path), {wire: value})]
    shell.user_ns["add"] = add
    run(shell, "%ollama --yes -t add Hi")
    wrong += [
        f"%ollama: {found}" for found in missing(last_body(server, "/api/chat"), {"tools": asked(server, tools=[add])["tools"]})
    ]
    assert not wrong, "\n".join(wrong)


def test_options_of_texts_are_sent(server: FaultServer, shell: Any) -> None:
    """From %embed and from the plain call."""
    wrong = []
    for number, (wire, (line, parameters, value)) in enumerate(TEXTS.items()):
        run(shell, f"%embed {line} ['a{number}']")
        wrong += [f"%embed: {found}" for found in missing(last_body(server, "/api/embed"), {wire: value})]
        om.embed(f"b{number}", **parameters)
        wrong += [f"om.embed: {found}" for found in missing(last_body(server, "/api/embed"), {wire: value})]
    assert not wrong, "\n".join(wrong)


# The plain calls, whose parameters are written by hand.


def parameters(call: Callable[..., object]) -> set[str]:
    """Return the names of the parameters of a call."""
    return set(inspect.signature(call).parameters)


def declared(options: list[Option] | tuple[Option, ...]) -> set[str]:
    """Return the parameters that do what the options do."""
    return {option.parameter for option in options if option.parameter}


def test_the_plain_calls_have_a_parameter_for_each_setting_and_option() -> None:
    """What the declarations name, and nothing else but the texts and what is about dask."""
    in_cell = {name for name, setting in form.SETTINGS.items() if setting.cell}
    with_texts = {name for name, setting in form.SETTINGS.items() if setting.embed}
    assert parameters(om.configure) == set(form.names())
    assert parameters(om.chat) == {"prompt"} | in_cell | declared(OPTIONS)
    of_rows = {"prompt", "model", "system", "format", "images", "tools", "confirm", "options", "values", "reuse", "local_only"}
    of_rows |= {"examples", "api_key_env", "pages", "rows", "strict", "generate", "suffix"}
    assert parameters(om.map) == of_rows | {name for name in in_cell if name in form.request_places()} | declared(ROW_OPTIONS)
    assert parameters(om.embed) == {"texts", "lengths", "api_key_env"} | with_texts | declared(EMBED_OPTIONS)


def test_a_parameter_takes_the_words_of_its_setting() -> None:
    """The literal types of configure() are the words of the declaration; bool stands for yes and no."""
    hints = get_type_hints(inspect.unwrap(om.configure))
    closed = [name for name in form.names() if type(form.SETTINGS[name].read) is OneOf]
    for name in closed:
        words, *others = get_args(hints[name]) if bool in get_args(hints[name]) else (hints[name],)
        assert (name, set(get_args(words)), bool(others)) == (name, set(form.words(name)), {"yes", "no"} <= set(form.words(name)))


def test_the_options_of_the_magics_are_those_declared(shell: Any) -> None:
    """None is added beside the declaration."""
    magics = shell.magics_manager.magics["line"]
    names = {action.dest for action in magics["ollama"].parser._actions} - {"help"}
    assert names == {name for name, setting in form.SETTINGS.items() if setting.cell} | {
        option.name for option in (*OPTIONS, *ROW_OPTIONS)
    }
    names = {action.dest for action in magics["embed"].parser._actions} - {"help"}
    assert names == {name for name, setting in form.SETTINGS.items() if setting.embed} | {o.name for o in EMBED_OPTIONS}
