"""The magics about models: what is installed, one of them, downloads, memory and deleting, on the stand-in and in trouble."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_magics.errors import Interrupted
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.jobs import progress
from tests.faults.answers import fine, whole
from tests.faults.server import FaultServer

LINES = "application/x-ndjson"
NAMES = [f"sandbox-{name}:latest" for name in ("chat", "embed", "think", "tools", "vision")]


def use(shell: Any, server: FaultServer) -> None:
    """Use another server."""
    shell.run(f"%ollama_config --base-url {server.url}")


def test_the_table_of_models(shell: Any) -> None:
    """By name, with what each can do; as an object it has rows and a frame, and it is text and HTML."""
    shell.run("%ollama -m sandbox-chat --once hello")
    shell.run("table = %ollama_models")
    table = shell.names["table"]
    assert list(table.frame["name"]) == NAMES
    row = table.rows[0]
    assert (row["size"], row["context_length"], row["capabilities"]) == (4096, 8192, ["completion"])
    assert (row["loaded"], row["gpu"], row["loaded_context"]) == (True, 0.0, 4096)
    assert 200 < row["unloads_in"] <= 300
    assert [one["loaded"] for one in table.rows[1:]] == [False] * 4
    assert "loaded, on the CPU" in repr(table)
    assert table._repr_html_().count("<tr") == 6
    shell.run("%ollama_config --language zh")
    shell.run("chinese = %ollama_models")
    assert "已加载到 CPU" in repr(shell.names["chinese"])


ENTRIES = [
    {
        "name": "b:latest",
        "size": 2_000_000_000,
        "details": {"parameter_size": "3.2B", "quantization_level": "Q4_K_M"},
        "capabilities": ["completion", "tools"],
    },
    {"name": "A:<b>x</b>", "size": 5, "details": {}, "capabilities": []},
    {"name": "c:cloud", "size": 300, "remote_host": "https://ollama.com", "capabilities": ["completion"]},
]
LOADED = [{"name": "b:latest", "size": 100, "size_vram": 25, "context_length": 2048, "expires_at": "2318-01-01T00:00:00Z"}]


def test_the_table_of_models_on_a_gpu(shell: Any) -> None:
    """The share on the GPU, a model that stays, one in a cloud; a hostile name is text."""
    with FaultServer(fine(tags=whole({"models": ENTRIES}), ps=whole({"models": LOADED}))) as server:
        use(shell, server)
        shell.run("table = %ollama_models")
    table = shell.names["table"]
    assert [row["name"] for row in table.rows] == ["A:<b>x</b>", "b:latest", "c:cloud"]
    row = table.rows[1]
    assert (row["parameters"], row["quantization"], row["gpu"], row["unloads_in"]) == ("3.2B", "Q4_K_M", 0.25, None)
    text, page = repr(table), table._repr_html_()
    assert "2.0 GB" in text
    assert "loaded, 25 % on the GPU" in text
    assert "stays" in text
    assert "runs at https://ollama.com" in text
    assert "<b>x</b>" not in page


def test_one_model(shell: Any) -> None:
    """Its card, and where the settings contradict it."""
    card = {
        "capabilities": ["completion"],
        "details": {"family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"},
        "model_info": {"general.architecture": "llama", "llama.context_length": 2048},
        "parameters": 'stop                           "<|end|>"\nstop  "x"\ntemperature                    0.7\nnum_ctx  8192',
        "system": "Be kind.",
        "template": "{{ .Prompt }}",
        "requires": "99.0.0",
    }
    with FaultServer(fine(tags=whole({"models": ENTRIES}), show=whole(card))) as server:
        use(shell, server)
        shell.run('%ollama_config --temperature 0.1 --system "Be short."')
        shell.run("sheet = %ollama_show ollama run b")
        sheet = shell.names["sheet"]
    assert sheet["modelfile_parameters"] == {"stop": ['"<|end|>"', '"x"'], "temperature": ["0.7"], "num_ctx": ["8192"]}
    assert (sheet["context_length"], sheet["family"], sheet["requires"]) == (2048, "llama", "99.0.0")
    conflicts = "\n".join(sheet["conflicts"])
    assert "temperature: the Modelfile says 0.7, the settings send 0.1" in conflicts
    assert "num_ctx: the Modelfile says 8192, the settings send 4096" in conflicts
    assert "the model has at most 2048" in conflicts
    assert "replaces that of the Modelfile" in conflicts
    assert "requires Ollama 99.0.0" in conflicts
    assert "{{ .Prompt }}" in repr(sheet)
    assert "Be kind." in sheet._repr_html_()


NAMED = [
    "sandbox-mini",
    "ollama run sandbox-mini",
    "$ ollama pull sandbox-mini",
    "https://ollama.com/library/sandbox-mini:latest",
]


@pytest.mark.parametrize("typed", NAMED)
def test_a_pull(shell: Any, typed: str) -> None:
    """Whatever the model is called by; then it is listed, and pulling again finds it there."""
    assert "sandbox-mini" in shell.run(f"%ollama_pull {typed}")
    shell.run("table = %ollama_models")
    assert "sandbox-mini:latest" in [row["name"] for row in shell.names["table"].rows]
    assert "already installed" in shell.run("%ollama_pull sandbox-mini")
    assert "hello" in shell.run("r = %ollama -m sandbox-mini hello\nprint(r)").lower()


ENDS = {
    "pull model manifest: file does not exist": "pull-unknown",
    'pull model manifest: Get "https://registry.ollama.ai/v2/": dial tcp: lookup r: no such host': "pull-no-network",
    'Get "https://registry.ollama.ai/v2/": dial tcp 104.21.75.227:443: i/o timeout': "pull-no-network",
    'Get "https://r/": tls: failed to verify certificate: x509: certificate signed by unknown authority': "pull-tls",
    'Get "https://r/": proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused': "pull-proxy",
    'Get "https://r/": Proxy Authentication Required': "pull-proxy",
    "write /models/blobs/sha256-8e-partial: no space left on device": "pull-disk-full",
    "open /models/blobs/sha256-8e: permission denied": "pull-not-writable",
    "digest mismatch, file must be downloaded again: want sha256:1, got sha256:2": "pull-digest",
    "pull model manifest: 412: \n\nThe model requires a newer version of Ollama.": "model-needs-newer-server",
    "context canceled": "pull-cancelled",
    "max retries exceeded: unexpected EOF": "pull-interrupted",
    "net/http: TLS handshake timeout": "pull-interrupted",
    'pull model manifest: 401: {"error":"Repository is gated"}': "pull-denied",
    "pull model manifest: 400: The specified tag is not a valid quantization scheme.": "pull-format",
    "pull model manifest: 429: too many": "pull-limited",
    "pull model manifest: 503: upstream": "pull-registry-failed",
    "something else": "pull-failed",
}


@pytest.mark.parametrize(("said", "code"), ENDS.items(), ids=ENDS.values())
def test_each_end_of_a_pull_has_its_cause(shell: Any, said: str, code: str) -> None:
    """The words of the server stand in the error."""
    body = b"".join(json.dumps(line).encode() + b"\n" for line in ({"status": "pulling manifest"}, {"error": said}))
    with FaultServer(fine(pull=whole(body, kind=LINES))) as server:
        use(shell, server)
        error, shown = shell.fail("%ollama_pull llama3.2")
    assert error.code == code
    assert " ".join(said.split())[:40] in shown


def test_an_interrupted_pull_goes_on(shell: Any, stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was downloaded stays on the server, and the next pull begins there."""
    seen: list[tuple[int, ...]] = []
    move = progress.ProgressBar.resize

    def interrupt(bar: Any, *place: int) -> None:
        seen.append(place)
        if len(seen) == 8:
            raise KeyboardInterrupt
        move(bar, *place)

    monkeypatch.setattr(progress.ProgressBar, "resize", interrupt)
    stand_in.delay = 0.005
    error, shown = shell.fail("%ollama_pull sandbox-mini")
    assert isinstance(error, Interrupted)
    assert "what was downloaded is kept" in shown
    shell.run("%ollama_pull sandbox-mini")
    assert seen[9][2] >= seen[7][1] > 0  # reused


def test_an_old_server_is_called_so(shell: Any) -> None:
    """By every magic that it does not understand, as 0.1.20 answers; what it lists is shown."""
    model = {"name": "m:latest", "size": 1, "digest": "78e26419b446" + "0" * 52}
    unknown = whole(b"404 page not found", status=404, kind="text/plain")
    refused = {"show": "model is required", "pull": "name required", "delete": "name is required"}
    old = {name: whole({"error": said}, status=400) for name, said in refused.items()}
    with FaultServer(fine(**old, version=whole({"version": "0.1.20"}), tags=whole({"models": [model]}), ps=unknown)) as server:
        use(shell, server)
        for line in ("%ollama_show m", "%ollama_pull m", "%ollama_stop m", "%ollama_rm m --yes"):
            assert shell.fail(line)[0].code == "server-too-old", line
        assert "m:latest" in shell.run("%ollama_models")


def test_a_model_leaves_the_memory(shell: Any) -> None:
    """It says whether it was there."""
    shell.run("%ollama -m sandbox-chat --once hello")
    assert "no longer in memory" in shell.run("%ollama_stop sandbox-chat")
    assert "was not in memory" in shell.run("%ollama_stop SANDBOX-CHAT:latest")


def test_a_copy_in_memory_under_another_name_is_unloaded(shell: Any) -> None:
    """A server lists two models with the same files under one name; the name that it lists is unloaded."""
    entries = [{"name": f"{name}:latest", "size": 1, "digest": digest} for name, digest in (("a", "1"), ("b", "1"), ("c", "2"))]
    loaded = [{"name": "a:latest", "size": 10, "size_vram": 10, "digest": "1"}]
    unloaded = whole({"model": "a", "response": "", "done": True, "done_reason": "unload"})
    with FaultServer(fine(tags=whole({"models": entries}), ps=whole({"models": loaded}), generate=unloaded)) as server:
        use(shell, server)
        shell.run("table = %ollama_models")
        assert [row["loaded"] for row in shell.names["table"].rows] == [True, True, False]
        assert "b is no longer in memory" in shell.run("%ollama_stop b")
        assert json.loads(server.requests[-1].body) == {"model": "a:latest", "keep_alive": 0}
        assert "was not in memory" in shell.run("%ollama_stop c")


def test_a_model_is_deleted_after_a_question(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only *y* or *yes* is a yes; where nobody can be asked, the line to type is named."""
    asked: list[str] = []
    answers = iter(["", "n", "y"])

    def answer(text: str) -> str:
        asked.append(text)
        return next(answers)

    monkeypatch.setattr("builtins.input", answer)
    for said in ("not deleted", "not deleted", "was deleted"):
        assert said in shell.run("%ollama_rm sandbox-tools")
    assert asked[0] == "Delete sandbox-tools:latest (4 kB) from 127.0.0.1? [y/N] "
    assert "was deleted" in shell.run("%ollama_rm sandbox-think --yes")
    shell.run("table = %ollama_models")
    assert [row["name"] for row in shell.names["table"].rows] == [NAMES[0], NAMES[1], NAMES[4]]

    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    assert "%ollama_rm sandbox-chat:latest --yes" in shell.fail("%ollama_rm sandbox-chat")[1]


@pytest.mark.parametrize("magic", ["show", "stop", "rm", "pull"])
def test_bad_lines(shell: Any, magic: str) -> None:
    """Nothing, two names, a name that none can be, and one that is not there."""
    assert f"name a model: %ollama_{magic} llama3.2" in shell.fail(f"%ollama_{magic}")[1]
    assert "one name is enough" in shell.fail(f"%ollama_{magic} a b")[1]
    assert "does not exist" not in shell.fail(f"%ollama_{magic} --nonsense a")[1]
    for typed in ("<script>", "a/b/c/d", "https://ollama.com/search?q=x", "模型"):
        assert shell.fail(f"%ollama_{magic} {typed}")[0].code == "model-name-invalid"
    error, shown = shell.fail(f"%ollama_{magic} sandbox-chatt")
    assert error.code == ("pull-unknown" if magic == "pull" else "model-missing")
    if magic != "pull":
        assert ("%ollama_pull sandbox-chatt" in shown) == (magic == "show")
        assert ("%ollama_config --model" if magic == "show" else f"%ollama_{magic}") + " sandbox-chat\n" in shown
    shell.run("%ollama_config --base-url http://127.0.0.1:1 --no-probes")
    assert shell.fail(f"%ollama_{magic} sandbox-chat")[0].code.startswith("address-refused")
    assert shell.fail("%ollama_models")[0].code.startswith("address-refused")
