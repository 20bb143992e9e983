"""Which model a cell means, and what is said where it means none or several."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ollama_magics.errors import ModelProblem, RequestRefused
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server.client import Client
from ollama_magics.server.models import InstalledModels, ModelRegistry, read_registry
from ollama_magics.server.wire import InstalledModel, LoadedModel
from tests.faults import FaultServer, Serve, Step, whole
from tests.faults.connection import Connection

Connect = Callable[..., Client]

ALL = {
    "llama3.2:latest": (2000, ["completion", "tools"]),
    "gemma3:4b": (3000, ["completion", "vision"]),
    "all-minilm:latest": (40, ["embedding"]),
}


class Show:
    """Answers /api/show for the model that was asked for, from a table of sizes and capabilities."""

    def __init__(self, models: dict[str, tuple[int, list[str] | None]]) -> None:
        self.models = models

    def run(self, connection: Connection) -> None:
        """Do it."""
        name = json.loads(connection.received[-1].body)["model"]
        tagged = name if ":" in name else f"{name}:latest"
        known = self.models.get(tagged)
        answer = whole({"capabilities": known[1]}) if known else whole({"error": f"model '{name}' not found"}, status=404)
        for step in answer:
            step.run(connection)


def having(models: Any, version: str = "0.24.0") -> list[Step]:
    """Return the script of a server with these models."""
    listed = [{"name": name, "size": size} for name, (size, _) in models.items()]
    return [
        Serve({"/api/version": whole({"version": version}), "/api/tags": whole({"models": listed}), "/api/show": [Show(models)]})
    ]


def problem(act: Callable[[], object]) -> ModelProblem:
    """Return the error of an act."""
    with pytest.raises(ModelProblem) as caught:
        act()
    return caught.value


@pytest.mark.parametrize(("ability", "model"), [("vision", "gemma3:4b"), ("embedding", "all-minilm"), ("tools", "llama3.2")])
def test_the_only_model_with_the_ability_is_chosen(connect: Connect, ability: str, model: str) -> None:
    """Nobody has to name it."""
    with FaultServer(having(ALL)) as server:
        assert InstalledModels(connect(server.url)).choose("", ability) == model


def test_several_models_with_the_ability_are_an_error_that_lists_them(connect: Connect) -> None:
    """The smallest first, ready to be typed."""
    with FaultServer(having(ALL)) as server:
        error = problem(lambda: InstalledModels(connect(server.url)).choose("", "completion"))
    assert error.code == "model-ambiguous"
    assert error.how_we_know == "They are: llama3.2, gemma3:4b."
    assert "-m llama3.2" in error.remedy


@pytest.mark.parametrize(("ability", "pull"), [("vision", "gemma3"), ("embedding", "all-minilm"), ("completion", "llama3.2")])
def test_where_no_model_has_the_ability_one_is_suggested(connect: Connect, ability: str, pull: str) -> None:
    """With the command that gets it."""
    with FaultServer(having({"odd:latest": (1, ["thinking"])}), having({})) as server:
        client = connect(server.url)
        error = problem(lambda: InstalledModels(client).choose("", ability))
        assert (error.code, error.remedy) == ("no-model-able", f"ollama pull {pull}")
        assert error.how_we_know == "Installed there: odd."
    with FaultServer(having({})) as server:
        client = connect(server.url)
        assert "No model is installed there." in str(problem(lambda: InstalledModels(client).choose("", ability)))


def test_a_named_model_without_the_ability_is_refused(connect: Connect) -> None:
    """With what it can, and who could."""
    with FaultServer(having(ALL)) as server:
        models = InstalledModels(connect(server.url))
        error = problem(lambda: models.choose("llama3.2", "vision"))
        assert error.code == "model-not-able"
        assert error.what == "llama3.2 does not support this: vision."
        assert "completion, tools" in error.how_we_know
        assert "gemma3:4b" in error.remedy
        assert "no installed model supports it" in problem(lambda: models.choose("llama3.2", "insert")).remedy


def test_a_named_model_with_the_ability_keeps_its_spelling(connect: Connect) -> None:
    """Also in capitals and with its tag."""
    with FaultServer(having(ALL)) as server:
        models = InstalledModels(connect(server.url))
        for name in ("llama3.2", "llama3.2:latest"):
            assert models.choose(name, "tools") == name


def test_a_missing_model_is_named_with_similar_names(connect: Connect) -> None:
    """And with all that are there."""
    with FaultServer(having(ALL)) as server:
        error = problem(lambda: InstalledModels(connect(server.url)).choose("lama3.2", "completion"))
    assert (error.code, error.what) == ("model-missing", "lama3.2 is not installed on 127.0.0.1.")
    assert "llama3.2, gemma3:4b, all-minilm" in error.how_we_know
    assert error.remedy.splitlines()[0] == "ollama pull lama3.2"
    assert error.remedy.endswith("or use -m llama3.2   ·   for the notebook: %ollama_config --model llama3.2")
    assert error.repairs == (("model", "llama3.2"),)


def test_a_long_list_is_cut(connect: Connect) -> None:
    """A server may have hundreds."""
    many = {f"model-{number}:latest": (1, ["completion"]) for number in range(50)}
    with FaultServer(having(many)) as server:
        error = problem(lambda: InstalledModels(connect(server.url)).choose("zzz", "completion"))
    assert error.how_we_know.endswith("model-7, ….")


def test_a_server_that_lists_no_capabilities_is_accepted(connect: Connect) -> None:
    """A named model may be able to, and the server will say so if not."""
    with FaultServer(having({"old:latest": (1, None)})) as server:
        models = InstalledModels(connect(server.url))
        assert models.choose("old", "vision") == "old"
        assert problem(lambda: models.choose("", "vision")).code == "no-model-able"


def test_a_card_is_requested_once_for_all_spellings(connect: Connect) -> None:
    """Until the models are forgotten."""
    with FaultServer(having(ALL)) as server:
        models = InstalledModels(connect(server.url))
        models.card("llama3.2")
        models.card("llama3.2:latest")
        models.card(" Llama3.2")
        assert server.paths() == ["/api/show"]
        models.forget()
        models.card("llama3.2")
        assert server.paths() == ["/api/show"] * 2


def test_an_old_server_is_refused_and_the_version_requested_once(connect: Connect) -> None:
    """Before 0.12.6 it cuts long prompts silently."""
    with FaultServer(having(ALL, version="0.12.5")) as server, pytest.raises(RequestRefused) as caught:
        InstalledModels(connect(server.url)).require_recent()
    assert caught.value.code == "server-too-old"
    assert "0.12.5" in caught.value.what
    with FaultServer(having(ALL)) as server:
        models = InstalledModels(connect(server.url))
        models.require_recent()
        models.require_recent()
        assert server.paths() == ["/api/version"]


SLIPS = {
    "deepseek-r1-32b": "deepseek-r1:32b",
    "DeepSeek-R1:32B": "deepseek-r1:32b",
    "registry.ollama.ai/library/llama3.2": "llama3.2",
    "llama3_2": "llama3.2",
    "lama3.2": "llama3.2",
    "all_minilm:latest": "all-minilm",
}


@pytest.mark.parametrize(("typed", "meant"), SLIPS.items())
def test_a_mistyped_name_is_answered_with_the_right_one(connect: Connect, typed: str, meant: str) -> None:
    """Whatever stands for the colon, in any case, with the registry before it."""
    there: dict[str, tuple[int, list[str]]] = {
        "deepseek-r1:32b": (1, []),
        "llama3.2:latest": (1, []),
        "all-minilm:latest": (1, []),
    }
    with FaultServer(having(there)) as server:
        error = InstalledModels(connect(server.url)).missing(typed)
    assert f"or use -m {meant} " in error.remedy


DETAILS = {"parameter_size": "4.3B", "quantization_level": "Q4_K_M"}


@pytest.mark.parametrize(
    ("size", "details", "loaded", "text"),
    [
        (3_338_801_804, DETAILS, None, "3.3 GB · 4.3B · Q4_K_M"),
        (45_960_996, {"parameter_size": "22.7M", "quantization_level": 7}, None, "46 MB · 22.7M"),
        (2_048, {"parameter_size": "0", "quantization_level": "unknown"}, None, "2 kB"),
        (2_048, ["nonsense"], None, "2 kB"),
        (0, None, (100, 100), "● loaded, on the GPU"),
        (0, None, (100, 48), "● loaded, 48 % on the GPU"),
        (0, None, (100, 0), "● loaded, on the CPU"),
        (0, {"parameter_size": "a\x1b[2Jb"}, None, "a [2Jb"),
    ],
)
def test_a_model_is_described_by_what_the_server_lists(
    size: int, details: Any, loaded: tuple[int, int] | None, text: str
) -> None:
    """Size, parameters, quantisation, and where it is in memory; what a server does not know is left out."""
    memory = {"m:latest": LoadedModel("m:latest", *loaded)} if loaded else {}
    assert ModelRegistry((InstalledModel("m:latest", size, details=details),), {}, memory).describe("M", "en") == text


def test_the_registry_is_read_with_the_chosen_model_first(connect: Connect, stand_in: FakeServer) -> None:
    """So that a form need not wait for a hundred others."""
    first, last = read_registry(connect(stand_in.url), "sandbox-vision")
    assert list(first.cards) == ["sandbox-vision:latest"]
    assert len(last.cards) == len(last.models) == 5
    assert last.describe("sandbox-embed", "en") == "2 kB · embedding · dimension 256"
    assert last.able("embedding") == ["sandbox-embed"]
    assert first.able("embedding") == ["sandbox-chat", "sandbox-embed", "sandbox-think", "sandbox-tools"]  # three may be
    assert last.has("SANDBOX-CHAT")
    assert not last.has("sandbox")
