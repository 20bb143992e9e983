"""Which model a cell means, and what is said where it means none or several."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.errors import ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server.client import Client
from ollama_magics.server.model_card import InstalledModel, LoadedModel
from ollama_magics.server.models import InstalledModels, ModelRegistry, read_registry
from ollama_magics.server.wire import ChatRequest, embed_request, embeddings
from tests.faults import FaultServer, Serve, Step, fine, whole
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


def having(models: Any, version: str = "0.24.0", recommended: Any = None) -> list[Step]:
    """Return the script of a server with these models, and what it answers about those that it recommends."""
    listed = [{"name": name, "size": size} for name, (size, _) in models.items()]
    return fine(
        version=whole({"version": version}),
        tags=whole({"models": listed}),
        show=[Show(models)],
        **({} if recommended is None else {"experimental/model-recommendations": whole(recommended)}),
    )


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
        assert (error.code, error.remedy) == ("no-model-able", f"%ollama_pull {pull}")
        assert error.how_we_know == "Installed there: odd."
    with FaultServer(having({})) as server:
        client = connect(server.url)
        assert "No model is installed there." in str(problem(lambda: InstalledModels(client).choose("", ability)))


# As Ollama 0.24.0 answers.
RECOMMENDED = {
    "recommendations": [
        {
            "model": "qwen3.5:cloud",
            "description": "Reasoning, coding, and agentic tool use with vision",
            "context_length": 262144,
        },
        {"model": "qwen3.5", "description": "Reasoning, coding, and visual understanding locally", "vram_bytes": 14_000_000_000},
        {"model": "gemma4", "description": "Reasoning and code generation locally", "vram_bytes": 12_000_000_000},
        {"model": "bad name; rm", "description": "", "vram_bytes": 1},
    ]
}
ADVISED = [
    ("completion", RECOMMENDED, "gemma4", "12.0 GB"),
    ("vision", RECOMMENDED, "qwen3.5", "14.0 GB"),
    ("embedding", RECOMMENDED, "", ""),
    ("tools", RECOMMENDED, "", ""),  # a cloud model has them, which is never chosen for the user
    ("completion", {"recommendations": []}, "", ""),
    ("completion", {"recommendations": [{"model": "own", "vram_bytes": -1}]}, "", ""),
    ("completion", {"recommendations": [{"model": "own"}]}, "own", ""),
    ("completion", [1], "", ""),
]


@pytest.mark.parametrize(("ability", "recommended", "model", "memory"), ADVISED)
def test_a_model_that_the_server_recommends_is_suggested(
    connect: Connect, ability: str, recommended: Any, model: str, memory: str
) -> None:
    """The one that has the ability and needs the least memory, besides a small one; odd answers and clouds are passed over."""
    small = {"vision": "gemma3", "embedding": "all-minilm"}.get(ability, "llama3.2")
    with FaultServer(having({"odd:latest": (1, ["insert"])}, recommended=recommended)) as server:
        models = InstalledModels(connect(server.url))
        lines = problem(lambda: models.choose("", ability)).remedy.splitlines()
        wrong = problem(lambda: models.choose("odd", ability)).remedy.splitlines()
    assert lines == wrong[-len(lines) :]
    assert (memory in lines[0], "cloud" in "".join(lines)) == (True, False)
    assert [line.rpartition(" ")[2] for line in lines] == ([model] if model else []) + [small]


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
    assert error.remedy.splitlines()[0].endswith("%ollama_config --model llama3.2")
    assert error.remedy.splitlines()[-1].endswith("%ollama_pull lama3.2")
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
        assert server.paths() == ["/api/tags", "/api/show"]
        models.forget()
        models.card("llama3.2")
        assert server.paths() == ["/api/tags", "/api/show"] * 2


def test_an_old_server_is_refused_and_the_version_requested_once(connect: Connect) -> None:
    """Before 0.12.6 it cuts long prompts silently."""
    with FaultServer(fine(version=whole({"version": "0.12.5"}))) as server, pytest.raises(RequestRefused) as caught:
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


@pytest.mark.finding("C23")
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
    assert f"%ollama_config --model {meant}\n" in error.remedy


@pytest.mark.parametrize("typed", ["sandbox-chat:", "sandbox-chat,", "sandbox chat", "/sandbox-chat", "sandbox@chat"])
def test_what_no_model_can_be_called_is_answered_with_the_nearest(connect: Connect, stand_in: FakeServer, typed: str) -> None:
    """The server itself says only that the name is invalid."""
    error = problem(lambda: InstalledModels(connect(stand_in.url)).card(typed))
    assert error.code == "model-name-invalid"
    assert "%ollama_config --model sandbox-chat\n" in error.remedy


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


@pytest.mark.release("0.24.0")  # newer ones list what each model can do
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


# Names: those of requests are the server's own, those on the screen are short.

# typed, the entry of /api/tags, the name in requests; Open WebUI gives servers behind it a prefix, and ollama.com uses no tags
NAMES = [
    ("llama3.2", {"name": "llama3.2:latest", "model": "llama3.2:latest"}, "llama3.2:latest"),
    ("Llama3.2:LATEST", {"name": "llama3.2:latest", "model": "llama3.2:latest"}, "llama3.2:latest"),
    ("parrot", {"name": "Parrot:latest"}, "Parrot:latest"),
    ("llama3.2", {"name": "llama3.2:latest", "model": "gpu.llama3.2:latest"}, "gpu.llama3.2:latest"),
    ("gpu.llama3.2", {"name": "llama3.2:latest", "model": "gpu.llama3.2:latest"}, "gpu.llama3.2:latest"),
    ("glm-4.6", {"name": "glm-4.6", "model": "glm-4.6"}, "glm-4.6"),
    ("hf.co/a/B-GGUF", {"name": "hf.co/a/B-GGUF:latest", "model": "hf.co/a/B-GGUF:latest"}, "hf.co/a/B-GGUF:latest"),
    ("not-listed", {"name": "other:latest"}, "not-listed"),
]


@pytest.mark.finding("C3")
@pytest.mark.parametrize(("typed", "entry", "name"), NAMES)
def test_requests_use_the_name_that_the_server_lists(connect: Connect, typed: str, entry: dict[str, str], name: str) -> None:
    """In /api/show, chat, embeddings and pulls, also over a sibling's connection."""
    with FaultServer(fine(tags=whole({"models": [entry]}))) as server:
        client = connect(server.url)
        assert InstalledModels(client).choose(typed, "completion") == typed
        sibling = client.sibling(threading.Event())
        assert [chunk.done for chunk in sibling.chat(ChatRequest(model=typed, messages=()))] == [True]
        assert client.embed(embed_request(typed, ["a"]), embeddings) == [[1.0, 2.0]]
        sibling.close()
        sent = {request.path: json.loads(request.body)["model"] for request in server.requests if request.body}
    assert sent == dict.fromkeys(["/api/show", "/api/chat", "/api/embed"], name)


def test_a_list_that_is_forbidden_leaves_the_typed_name(connect: Connect) -> None:
    """It is read once; the error of a missing model is then the server's own."""
    forbidden, missing = whole({"error": "no"}, status=403), whole({"error": "model 'x' not found"}, status=404)
    with FaultServer(fine(tags=forbidden)) as server:
        models = InstalledModels(connect(server.url))
        assert (models.choose("m", "completion"), models.digest("m"), models.choose("n", "vision")) == ("m", "", "n")
        assert server.paths() == ["/api/tags", "/api/show", "/api/show"]
    with FaultServer(fine(tags=forbidden, show=missing)) as server:
        assert problem(lambda: InstalledModels(connect(server.url)).card("x")).code == "model-missing"


# Side requests: /api/ps, odd entries, the cards of other models.

ODD_PS = {
    "forbidden": whole({"error": "no"}, status=403),
    "a page": whole(b"<html>", kind="text/html"),
    "unknown": whole(b"404 page not found", status=404, kind="text/plain"),
    "broken": whole({"error": "boom"}, status=500),
    "of another form": whole({"models": 7}),
    "with odd entries": whole({"models": [7, {"name": None}, {"size": 1}]}),
}


@pytest.mark.finding("C4")
@pytest.mark.parametrize("ps", ODD_PS.values(), ids=ODD_PS)
def test_what_is_in_memory_is_optional(connect: Connect, monkeypatch: pytest.MonkeyPatch, ps: list[Step]) -> None:
    """The list of models, the panel's registry and a chat go on without it."""
    monkeypatch.setenv("LANG", "C")
    with FaultServer(fine(ps=ps)) as server:
        *_, registry = read_registry(connect(server.url), "m")
        assert (registry.names, registry.loaded, list(registry.cards)) == (["m"], {}, ["m:latest"])
        om.configure(base_url=server.url, model="m")
        assert [(one["name"], one["size"], one["loaded"]) for one in om.models()] == [("m:latest", 1, False)]
        assert om.chat("Hi").text == "Hello"


@pytest.mark.finding("C4", "C24")
def test_an_odd_entry_leaves_the_others(connect: Connect) -> None:
    """Fields of another type are left out, and entries without a name."""
    entries = [
        {"name": "a:latest", "size": "", "digest": "", "capabilities": ""},  # as llama.cpp writes them
        {"model": "b:latest", "size": 10**400, "details": [], "remote_host": 7},
        {"name": None, "model": "c:latest", "size": None},
        {"size": 1},
        {"name": 7},
        {},
        7,
        None,
        [],
        {"name": "d:latest", "size": 5},
        {"name": "e" * 2_000_000},
        {"name": "f:latest", "model": "f" * 2_000_000},
    ]
    with FaultServer(fine(tags=whole({"models": entries}))) as server:
        found = connect(server.url).installed()
    assert [(one.name, one.size) for one in found] == [(f"{letter}:latest", 5 * (letter == "d")) for letter in "abcdf"]
    tags = whole({"models": [{"name": f"m{at}"} for at in range(2001)]})
    with FaultServer(fine(tags=tags)) as server, pytest.raises(OllamaMagicsError, match="more than 2000 models"):
        connect(server.url).installed()


# Many models

MANY = [{"name": f"model-{number}:latest", "size": number} for number in range(58)]
EMBEDS = {"name": "all-minilm:latest", "size": 99}
LISTED = {"family": "bert", "context_length": 512, "embedding_length": 384}


@pytest.mark.finding("C9", "F7")
def test_capabilities_of_the_list_save_requests(connect: Connect, record_property: Callable[[str, object], None]) -> None:
    """59 models cost one request where the server lists what they can, and else one each, a few at once."""
    models = [{**one, "capabilities": ["completion"], "details": {"family": "llama"}} for one in MANY]
    newer = [*models, {**EMBEDS, "capabilities": ["embedding"], "details": LISTED}]
    with FaultServer(fine(tags=whole({"models": newer}))) as server:
        client = connect(server.url)
        assert InstalledModels(client).choose("", "embedding") == "all-minilm"
        *_, registry = read_registry(client, "")
        assert registry.able("embedding") == ["all-minilm"]
        card = registry.card("all-minilm")
        assert card
        assert (card.context_length, card.embedding_length, card.can("vision")) == (512, 384, False)
        assert server.paths() == ["/api/tags", "/api/tags", "/api/ps"]
    named: Any = {one["name"]: (one["size"], ["completion"]) for one in MANY} | {"all-minilm:latest": (99, ["embedding"])}
    with FaultServer(having(named)) as server:
        client = connect(server.url)
        assert InstalledModels(client).choose("", "embedding") == "all-minilm"
        older = server.paths().count("/api/show")
        assert (older, server.paths().count("/api/tags")) == (59, 1)
        assert 1 < server.accepted <= 10  # connections at once
    record_property("figure", f"59 models: 0 cards from a newer server, {older} from an older one")


@pytest.mark.finding("C9")
def test_a_model_whose_card_cannot_be_read_is_passed_over(connect: Connect) -> None:
    """Removed meanwhile, or forbidden; the others are chosen from."""
    named: Any = {"all-minilm:latest": (99, ["embedding"])}
    listed = whole({"models": [*MANY[:5], EMBEDS]})
    shown: Any = [Serve({"/api/version": whole({"version": "0.24.0"}), "/api/tags": listed, "/api/show": [Show(named)]})]
    with FaultServer(shown) as server:
        assert InstalledModels(connect(server.url)).choose("", "embedding") == "all-minilm"


@pytest.mark.finding("C21")
@pytest.mark.parametrize("ability", ["completion", "embedding", "vision"])
def test_only_cloud_models_are_named_as_such(connect: Connect, ability: str) -> None:
    """None is chosen by itself, since prompts would leave the server; a local one among them is."""
    cloud = [{"name": "gpt-oss:120b-cloud", "size": 384}, {"name": "glm-5:cloud"}, {"name": "k2", "remote_host": "https://x"}]
    with FaultServer(fine(tags=whole({"models": cloud}))) as server:
        error = problem(lambda: InstalledModels(connect(server.url)).choose("", ability))
    assert (error.code, error.repairs[0]) == ("only-cloud-models", ("model", "gpt-oss:120b-cloud"))
    assert "gpt-oss:120b-cloud, glm-5:cloud, k2" in error.how_we_know
    assert "%ollama_config --model gpt-oss:120b-cloud" in error.remedy
    with FaultServer(fine(tags=whole({"models": [*cloud, {"name": "m:latest"}]}))) as server:
        assert InstalledModels(connect(server.url)).choose("", "completion") == "m"


@pytest.mark.finding("C24")
@pytest.mark.parametrize(("requires", "accepted"), [("", True), ("0.24.0", True), ("0.9.1", True), ("0.30.0", False)])
def test_a_model_that_requires_a_newer_server_says_so(connect: Connect, requires: str, accepted: bool) -> None:  # noqa: FBT001
    """Before anything is sent to it."""
    with FaultServer(fine(show=whole({"capabilities": ["completion"], "requires": requires}))) as server:
        models = InstalledModels(connect(server.url))
        models.require_recent()
        if accepted:
            assert models.choose("m", "completion") == "m"
            return
        with pytest.raises(RequestRefused) as caught:
            models.choose("m", "completion")
    assert caught.value.code == "model-needs-newer-server"
    assert "0.30.0" in caught.value.how_we_know
    assert "0.24.0" in caught.value.how_we_know
