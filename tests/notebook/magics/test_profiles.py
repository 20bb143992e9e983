"""%ollama_config with profiles and keys, and what of the form a server really gets."""

import os
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from ollama_magics.errors import OllamaMagicsError, SettingError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.notebook.magics import config_actions
from ollama_magics.session.session import current
from ollama_magics.settings import form
from tests.canary import KEY
from tests.faults import FaultServer, fine


def body(stand_in: FakeServer) -> dict[str, Any]:
    """Return the last chat request."""
    return next(body for _, path, body in reversed(stand_in.requests) if path == "/api/chat" and body is not None)


def test_every_line_of_the_form_reaches_the_server(shell: Any, stand_in: FakeServer) -> None:
    """In the forms that it takes."""
    shell.run("%ollama_config --top-p 0.9 --top-k 40 --stop END --stop 终 --keep-alive -1 --think off --temperature 0")
    shell.run("%ollama hello")
    sent = body(stand_in)
    assert (sent["keep_alive"], sent["think"]) == (-1, False)
    wanted = {"num_ctx": 4096, "num_predict": 4096, "temperature": 0, "top_p": 0.9, "top_k": 40, "stop": ["END", "终"]}
    assert sent["options"] == wanted
    shell.run("%ollama --top-k 3 --keep-alive 1h30m --stop X --think=off --seed 5 hello")
    sent = body(stand_in)
    assert (sent["options"]["top_k"], sent["options"]["stop"], sent["options"]["seed"]) == (3, ["X"], 5)
    assert sent["keep_alive"] == "1h30m"


@pytest.mark.parametrize(("level", "sent"), [("on", "medium"), ("high", "high"), ("max", "high")])
def test_thinking_is_asked_for_where_a_model_thinks(shell: Any, stand_in: FakeServer, level: str, sent: object) -> None:
    """And refused before anything is sent where it does not."""
    shell.run(f"%ollama -m sandbox-think --think={level} hello")
    assert body(stand_in)["think"] == sent
    error, _ = shell.fail(f"%ollama --think={level} hello")
    assert error.code == "model-not-able"


@pytest.mark.finding("F4")
@pytest.mark.parametrize(
    ("option", "refused"),
    [
        pytest.param("typical_p=0.9", False, marks=pytest.mark.release("0.24.0")),
        pytest.param("typical_p=0.9", True, marks=pytest.mark.release("0.34.4")),
        pytest.param("min_p=0.1", False, marks=pytest.mark.release("0.34.4")),
    ],
)
def test_an_option_that_the_server_gave_up_is_named(shell: Any, stand_in: FakeServer, option: str, *, refused: bool) -> None:
    """The older release takes it; the advice is to leave it out."""
    line = f"%ollama -O {option} hello"
    if not refused:
        shell.run(line)
        assert body(stand_in)["options"][option.partition("=")[0]] == float(option.partition("=")[2])
        return
    error, shown = shell.fail(line)
    assert error.code == "option-refused"
    assert "does not take the option typical_p" in shown
    assert "leave it out: -O typical_p" in shown


def test_an_option_without_its_value_leaves_the_prompt_alone(shell: Any, stand_in: FakeServer) -> None:
    """--think takes what follows its =, and nothing else."""
    shell.run("%ollama -m sandbox-think --think high time for tea")
    assert body(stand_in)["messages"][-1]["content"] == "high time for tea"


def test_headers_and_keys_reach_the_server(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names of their variables."""
    monkeypatch.setenv("TEAM", "blue")
    monkeypatch.setenv("A_KEY", KEY)
    with FaultServer(fine()) as server:
        shell.run(f"%ollama_config --base-url {server.url} --model m --headers 'X-Team: $TEAM' --api-key-env A_KEY")
        shell.run("%ollama hello")
        got = server.requests[-1].headers
        assert (got["x-team"], got["authorization"]) == ("blue", f"Bearer {KEY}")
        shown = shell.run("%ollama_config --show") + shell.run("%ollama_config --base-url 127.0.0.1:1")
    assert "environment variable A_KEY" in shown
    assert f"Headers removed: it was for {server.url} only" in shown
    assert KEY not in shown


def test_a_key_is_asked_for_and_shown_to_nobody(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer forgets it."""
    answers = iter([f"  “{KEY}”\n", "", "sk with spaces"])
    monkeypatch.setattr(config_actions, "getpass", lambda _: next(answers))
    with FaultServer(fine()) as server:
        shell.run(f"%ollama_config --base-url {server.url} --model m")
        shown = shell.run("%ollama_config --api-key")
        assert f"API key: set, for {server.url} only" in shown
        shell.run("%ollama hello")
        assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"
        shown += shell.run("%ollama_config --show") + shell.run("%ollama_config --save") + shell.run("%config OllamaSettings")
        assert "removed" in shell.run("%ollama_config --api-key")
        shell.run("%ollama hello")
        assert "authorization" not in server.requests[-1].headers
        error, output = shell.fail("%ollama_config --api-key")
    files = "".join(path.read_text() for path in Path(os.environ["OLLAMA_MAGICS_CONFIG"]).iterdir())
    assert KEY not in shown + files
    assert "with spaces" not in output + str(error)


def test_a_profile_leaves_an_empty_value_of_the_notebook_and_says_what_it_means(shell: Any) -> None:
    """By the phrase that the table of settings shows, in the language of the notebook."""
    shell.run("%ollama_config --system Brief. --temperature 0.5 --ca-bundle /")
    shell.run("%ollama_config --save g")
    for language, notes in (
        ("en", "System prompt is still the model's default: ¦Temperature is still the model's default: "),
        ("zh", "系统提示词 保持为 模型的默认值：¦温度 保持为 模型的默认值："),
    ):
        shell.run(f"%ollama_config --language {language} --system '' --temperature '' --ca-bundle ''")
        shown = shell.run("%ollama_config --profile g")
        assert [note for note in notes.split("¦") if note not in shown] == [], shown


LINES = [
    f"--api-key {KEY}",
    f"--api-key={KEY}",
    f"--api-key = {KEY}",
    f"--api-key '{KEY}",
    f'--model m --api-key="{KEY}" --show',
    f"-api-key {KEY}",
    f"--api_key {KEY}",
    f"--apikey {KEY}",
    f"--base-url http://me:{KEY}@host",
    f"--base-url=me:{KEY}@host",
    f"--base-url http://host/?token={KEY}",
    f"--proxy http://me:{KEY}@host:1",
    f'--headers "X-Token: {KEY}"',
    f"--api-key-env {KEY}",
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_secret_on_the_line_is_refused_and_not_repeated(shell: Any, line: str) -> None:
    """Nothing of the line takes effect."""
    before = form.shared().changed()
    error, output = shell.fail(f"%ollama_config --seed 7 {line}")
    assert isinstance(error, SettingError)
    assert "key" in error.remedy
    assert KEY not in output + str(error) + repr(error) + repr(error.facts)
    assert form.shared().changed() == before


def test_a_secret_in_a_variable_is_taken(shell: Any) -> None:
    """The line does not hold it."""
    shell.names.update(key=KEY, place=f"http://me:{KEY}@127.0.0.1:1", more={"X-Token": KEY})
    shown = shell.run("%ollama_config --base-url $place --headers $more --api-key=$key")
    shown += shell.run("%ollama_config --show")
    assert "http://127.0.0.1:1" in shown
    assert KEY not in shown


def test_profiles_come_and_go(shell: Any, tmp_path: Path) -> None:
    """Saved, used, listed, exported, imported, forgotten."""
    assert "no profile" in shell.run("%ollama_config --profiles")
    assert "saved as" in shell.run("%ollama_config --context 8k --save work")
    shell.run("%ollama_config --save default")
    assert shell.run("%ollama_config --profiles").split() == ["default", "work"]
    shell.run(f"%ollama_config --export {tmp_path / 'x.toml'}")
    shell.run("%ollama_config --context 2k")
    assert "Context length: 8192" in shell.run(f"%ollama_config --import {tmp_path / 'x.toml'}")
    shell.run("%reload_ext ollama_magics")
    assert "profile default" in shell.run("%ollama_config --show")
    shell.run("%ollama_config --top-k 9")
    assert "profile work" in shell.run("%ollama_config --profile work --show")
    assert "Top K: 9" in shell.run("%ollama_config --unset top_k --top-k 9")
    assert "Top K: the model's default" in shell.run("%ollama_config --unset top-k")
    assert "forgotten" in shell.run("%ollama_config --forget work")
    assert shell.run("%ollama_config --profiles").split() == ["default"]
    for line in ("--profile work", "--forget work", "--save ../x", "--import nowhere.toml"):
        assert isinstance(shell.fail(f"%ollama_config {line}")[0], SettingError)
    assert "--export" in shell.fail("%ollama_config --import nowhere.toml")[1]


FROM_OTHERS = """format = 1
[settings]
proxy = "http://evil.test:3128"
ca_bundle = "PLACE"
local_only = "no"
seed = 7
"""


@pytest.mark.finding("E5")
def test_a_file_that_lets_others_read_along_is_asked_for(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy, an authority and the end of --local-only, each with its value; the rest is taken."""
    (tmp_path / "x.toml").write_text(FROM_OTHERS.replace("PLACE", str(tmp_path)))
    asked: list[str] = []
    answers = {"Proxy": "n", "Certificates": "y", "This machine only": ""}

    def answer(question: str) -> str:
        asked.append(question)
        return next(word for label, word in answers.items() if label in question)

    monkeypatch.setattr("builtins.input", answer)
    shell.run("%ollama_config --local-only")
    shown = shell.run(f"%ollama_config --import {tmp_path / 'x.toml'}")
    assert len(asked) == 3
    assert "http://evil.test:3128" in asked[0]
    assert "to take it: %ollama_config --proxy http://evil.test:3128" in shown
    values = {name: value for name, value, _ in current().described()}
    assert (values["proxy"], values["ca_bundle"], values["local_only"], values["seed"]) == ("", str(tmp_path), "yes", "7")

    def nobody(question: str) -> str:
        raise EOFError(question)

    def impatient(question: str) -> str:
        raise KeyboardInterrupt(question)

    monkeypatch.setattr("builtins.input", nobody)
    assert "Proxy of the file was not taken" in shell.run(f"%ollama_config --import {tmp_path / 'x.toml'}")
    monkeypatch.setattr("builtins.input", impatient)
    assert "nothing was imported" in str(shell.fail(f"%ollama_config --import {tmp_path / 'x.toml'}")[0])


@pytest.mark.finding("E5")
def test_the_footer_names_the_proxy(shell: Any) -> None:
    """It reads the prompt as well as the server does; its password is not shown."""
    with FaultServer(fine()) as proxy:
        shell.run(f"%ollama_config --base-url http://gpu-box.test:11434 --model m --proxy {proxy.url}")
        assert f"sent to gpu-box.test through the proxy {proxy.url}" in shell.run("%ollama hello")


def test_the_table_says_what_the_environment_overrides(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A saved address that is not used must not be a riddle."""
    shell.run("%ollama_config --base-url http://saved:1 --save")
    shell.run("%reload_ext ollama_magics")
    monkeypatch.setenv("OLLAMA_HOST", "far:2")
    assert "environment, overriding the saved http://saved:1" in shell.run("%ollama_config --show")


@pytest.mark.finding("A12", "C8")
def test_a_broken_profile_stops_every_cell_and_not_the_extension(bare: Any, stand_in: FakeServer) -> None:
    """Until it is replaced, for example; loading reads nothing, and settings can be shown and changed."""
    folder = Path(os.environ["OLLAMA_MAGICS_CONFIG"])
    folder.mkdir()
    (folder / "default.toml").write_text("broken")
    bare.run("%load_ext ollama_magics")
    bare.run(f"%ollama_config --base-url {stand_in.url} --model sandbox-chat")
    for line in ("%ollama hello", "%ollama --once hello", "%embed -m sandbox-embed ['a']"):
        error, _ = bare.fail(line)
        assert isinstance(error, OllamaMagicsError)
        assert error.code == "profile-unreadable"
    shown = bare.run("%ollama_check") + bare.run("%ollama_config --show")
    assert shown.count("profile-unreadable") == 1
    assert "cannot be used, so nothing is sent" in shown
    assert stand_in.requests == []
    assert "the former file could not be read" in bare.run("%ollama_config --save")
    bare.run("%ollama hello")
    bare.run("%unload_ext ollama_magics")


def test_relations_are_said_and_nothing_is_clamped(shell: Any, stand_in: FakeServer) -> None:
    """A longer answer than context at once, a longer context than the model's own under the answer."""
    assert "max tokens (4096) exceed the context (512)" in shell.run("%ollama_config --context 512")
    assert "own maximum" not in shell.run("%ollama hello")
    assert "maximum context is 8192" in shell.run("%ollama --context 100k hello")
    assert body(stand_in)["options"]["num_ctx"] == 102400


@pytest.mark.parametrize("line", ["%ollama --local-only hello", "%ollama hello", "%embed ['a']"])
def test_nothing_leaves_this_machine_where_that_is_forbidden(shell: Any, line: str) -> None:
    """Neither to another address nor through a server that passes it on."""
    if "--local-only" not in line:
        shell.run("%ollama_config --local-only")
    shell.run(line)
    shell.run("%ollama_config --base-url http://a.test:1")
    error, _ = shell.fail(line)
    assert error.code in ("local-only", "host-unknown")


@pytest.mark.parametrize("line", ["--save a b", "--profile", "--apikey-env X", "work"])
def test_words_that_belong_to_nothing_are_a_mistake(shell: Any, line: str) -> None:
    """They are named."""
    assert isinstance(shell.fail(f"%ollama_config {line}")[0], UsageError)


def test_an_interrupted_question_for_the_key_says_so(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has nothing to do with an answer."""

    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(config_actions, "getpass", interrupt)
    assert "the key was not changed" in str(shell.fail("%ollama_config --api-key")[0])
