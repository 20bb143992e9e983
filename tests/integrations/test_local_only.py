"""With local_only no public call reaches another machine, and other processes get what makes a setting safe."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.errors import OllamaMagicsError, SettingError
from ollama_magics.integrations.remote_session import describe_session
from ollama_magics.session.session import current
from tests.faults import FaultServer, fine, whole

FAR = "http://192.0.2.7:11434"  # for documentation; belongs to nobody


def lazy_texts() -> Any:
    """Return a dask bag."""
    return pytest.importorskip("dask.bag").from_sequence(["a", "b"], npartitions=1)


def estimator(**more: Any) -> Any:
    """Return an embedder with a model."""
    pytest.importorskip("sklearn")
    return om.OllamaEmbedder("m", **more)


def lazily(array: Any) -> Any:
    """Compute a lazy array in this thread."""
    return array.compute(scheduler="synchronous")


def awaited(waiting: Coroutine[Any, Any, Any]) -> Any:
    """Run a call for an event loop."""
    return asyncio.run(waiting)


def classifier(**more: Any) -> Any:
    """Return a classifier with two labels."""
    pytest.importorskip("sklearn")
    return om.OllamaClassifier(["x", "y"], "", **more)


# With the setting of the notebook, then with an address of the call.
CALLS: dict[str, list[Callable[[], Any]]] = {
    "chat": [lambda: om.chat("Hi", model="m")],
    "map": [lambda: om.map(["a"], "Say {{item}}", model="m"), lambda: om.map(["a"], "{{item}}", model="m", base_url=FAR)],
    "experiment": [lambda: om.experiment(["a"], {"short": "Say {{item}}"}, models=["m"], base_url=FAR)],
    "embed": [
        lambda: om.embed(["a"], model="m"),
        lambda: om.embed(["a"], model="m", base_url=FAR),
        lambda: om.embed(["a"], model="m", base_url=[FAR, FAR + "1"]),
        lambda: om.embed(lazy_texts(), model="m", base_url=FAR),
        lambda: lazily(om.embed(lazy_texts(), model="m", base_url=FAR, dimensions=3)),
    ],
    "achat": [lambda: awaited(om.achat("Hi", model="m"))],
    "amap": [
        lambda: awaited(om.amap(["a"], "Say {{item}}", model="m")),
        lambda: awaited(om.amap(["a"], "{{item}}", model="m", base_url=FAR)),
    ],
    "aembed": [
        lambda: awaited(om.aembed(["a"], model="m")),
        lambda: awaited(om.aembed(["a"], model="m", base_url=FAR)),
        lambda: lazily(awaited(om.aembed(lazy_texts(), model="m", base_url=FAR, dimensions=3))),
    ],
    "models": [om.models],
    "pull": [lambda: list(om.pull("m"))],
    "rm": [lambda: om.rm("m")],
    "show": [lambda: om.show("m")],
    "stop": [lambda: om.stop("m")],
    "check": [om.check, lambda: om.check(deep=True)],
    "OllamaEmbedder": [
        lambda: estimator().fit(["a"]),
        lambda: estimator(base_url=FAR).fit(["a"]),
        lambda: pickle.loads(pickle.dumps(estimator(base_url=FAR))).fit(["a"]),  # noqa: S301 - our own
    ],
    "OllamaClassifier": [lambda: classifier().fit(["a"]), lambda: classifier(base_url=FAR).fit(["a"])],
}
SEND_NOTHING = {"configure", "sandbox", "use_profile"}
# The calls that take local_only themselves.
OWN: dict[str, Callable[..., list[Callable[[], Any]]]] = {
    "chat": lambda **more: [
        lambda: om.chat("Hi", **more).text,
        lambda: om.chat("Hi", model="m", **more).text,
        lambda: om.chat("Hi", model="m", generate=True, **more).text,
        lambda: om.chat("Hi", model="m", suffix="}", **more).text,
        lambda: om.chat("Hi", model="m", think="high", reuse=True, **more).text,
    ],
    "achat": lambda **more: [lambda: awaited(om.achat("Hi", model="m", **more))],
    "map": lambda **more: [
        lambda: om.map(["a"], "{{item}}", model="m", **more),
        lambda: om.map(["a"], "{{item}}", labels=["x", "y"], **more),
        lambda: om.map(["a"], "{{item}}", model="m", base_url=[FAR, "http://192.0.2.8:1"], **more),
        lambda: om.map(lazy_texts(), "{{item}}", model="m", **more).compute(scheduler="synchronous"),
    ],
    "amap": lambda **more: [lambda: awaited(om.amap(["a"], "{{item}}", model="m", **more))],
    "experiment": lambda **more: [
        lambda: om.experiment(["a"], {"short": "{{item}}"}, models=["m", "n"], **more),
        lambda: om.experiment(["a"], {"short": "{{item}}"}, models=["m"], base_url=FAR, **more),
    ],
}


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of addresses of other machines to which a connection is tried; none is made."""
    found: list[Any] = []
    connect = socket.socket.connect

    def counted(self: socket.socket, address: Any) -> None:
        if not str(address[0]).startswith(("127.", "::1")):
            found.append(address)
            raise OSError(111, "refused in this test")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", counted)
    return found


def outcome(call: Callable[[], Any]) -> str:
    """Return the code of the error, also of that in a report, or "sent"."""
    try:
        found = call()
    except OllamaMagicsError as error:
        return error.code
    return str(found.error.code) if isinstance(found, om.CheckReport) and found.error else "sent"


def test_the_table_names_every_public_call() -> None:
    """A new one is added to it, or to those that send nothing."""
    calls = {name for name in dir(om) if inspect.isfunction(getattr(om, name)) and not name.endswith("_ipython_extension")}
    calls |= {name for name in ("OllamaEmbedder", "OllamaClassifier") if name in dir(om)}
    assert calls - SEND_NOTHING <= set(CALLS)


@pytest.mark.promise("N5")
@pytest.mark.finding("E1")
@pytest.mark.parametrize("name", CALLS)
def test_no_public_call_reaches_another_machine(name: str, reached: list[Any]) -> None:
    """Neither the one of the settings nor one that the call names; without local_only each tries to."""
    om.configure(base_url=FAR, local_only=True, connect_timeout=1)
    assert [outcome(call) for call in CALLS[name]] == ["local-only"] * len(CALLS[name])
    assert reached == []
    om.configure(local_only=False)
    codes = {outcome(call) for call in CALLS[name]}
    assert "local-only" not in codes
    assert reached


@pytest.mark.promise("N5")
@pytest.mark.parametrize("name", OWN)
def test_the_option_of_a_call_holds_before_the_server_is_asked_anything(
    name: str, reached: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the server nor a proxy gets a connection; without the option each call makes one."""
    monkeypatch.setenv("TEAM", "team-secret-77")
    with FaultServer(fine()) as proxy:
        om.configure(base_url=FAR, proxy=proxy.url, headers="X-Team: $TEAM")
        calls = OWN[name](local_only=True)
        assert [outcome(call) for call in calls] == ["local-only"] * len(calls)
        assert (proxy.requests, proxy.accepted, reached) == ([], 0, [])
        assert "local-only" not in {outcome(call) for call in OWN[name]()}
        assert proxy.accepted


def test_every_call_with_the_option_is_among_them() -> None:
    """A new one is added."""
    calls = {name for name in CALLS if "local_only" in inspect.signature(getattr(om, name)).parameters}
    assert calls == set(OWN)


@pytest.mark.finding("E1")
def test_what_is_pickled_stays_on_its_machine(reached: list[Any]) -> None:
    """The setting of the process that pickles counts, and that of the process that opens."""
    om.configure(local_only=True)
    kept = pickle.dumps(estimator(base_url=FAR))
    om.configure(local_only=False)
    described = describe_session(FAR)
    assert outcome(lambda: pickle.loads(kept).fit(["a"])) == "local-only"  # noqa: S301 - our own
    om.configure(local_only=True)
    assert outcome(lambda: described.open().embed(["a"], "m")) == "local-only"
    assert reached == []


@pytest.mark.finding("E1")
def test_proxy_certificates_and_headers_travel_with_the_address_that_they_are_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Headers stay behind if the call names another address."""
    monkeypatch.setenv("TEAM", "team-secret-77")
    (bundle := tmp_path / "own.pem").write_text("")
    om.configure(base_url=FAR, proxy="http://proxy.test:3128", ca_bundle=str(bundle), headers="X-Team: $TEAM")
    sent = dict(describe_session().settings)
    assert sent["headers"] == (("X-Team", "$TEAM"),)
    assert (sent["proxy"], sent["ca_bundle"]) == ("http://proxy.test:3128", str(bundle))
    there = pickle.loads(pickle.dumps(describe_session())).open()  # noqa: S301 - our own
    assert {name: value.reveal() for name, value in there.resolved.secrets.headers(there.address).items()} == {
        "X-Team": "team-secret-77"
    }
    assert "headers" not in dict(describe_session("http://192.0.2.8:1").settings)
    assert dict(describe_session("http://192.0.2.8:1").settings)["proxy"] == "http://proxy.test:3128"
    assert "proxy" not in dict(describe_session("http://127.0.0.1:1").settings)
    before = {"base_url": "http://192.0.2.8:1", "headers": (("X-Other", "$TEAM"),)}
    current().configure({"base_url": "", "headers": ()})
    assert dict(describe_session("http://192.0.2.8:1", before=before).settings)["headers"] == (("X-Other", "$TEAM"),)


@pytest.mark.finding("E1")
@pytest.mark.parametrize("held", [{"proxy": "http://me:pass-22@proxy.test:3128"}, {"headers": {"X-Team": "team-secret-77"}}])
def test_a_secret_in_a_setting_is_refused_before_it_travels(held: dict[str, Any]) -> None:
    """It would be sent in clear; without it the way would be another one."""
    om.configure(base_url=FAR, **held)
    with pytest.raises(SettingError) as caught:
        pickle.dumps(estimator())
    assert caught.value.code == "setting-invalid"
    assert not [word for word in ("pass-22", "team-secret") if word in str(caught.value)]


REMOTE: dict[str, dict[str, Any]] = {  # where a server says that the model runs elsewhere
    "in the card": {"show": {"capabilities": ["completion", "embedding"], "remote_host": "https://ollama.com"}},
    "in the list": {"tags": {"name": "m:latest", "remote_host": "https://ollama.com"}},
    "in the list of a newer one": {"tags": {"name": "m", "capabilities": ["completion", "embedding"], "remote_host": "http://o"}},
}
PROMPTS: dict[str, Callable[[], Any]] = {
    "chat": lambda: om.chat("Hi", model="m").text,
    "generate": lambda: om.chat("Hi", model="m", generate=True).text,
    "rendered": lambda: om.chat("Hi", model="m").rendered_prompt(),
    "map": lambda: om.map(["a"], "Say {{item}}", model="m"),
    "labels": lambda: om.map(["a"], "{{item}}", model="m", labels=["x", "y"]),
    "experiment": lambda: om.experiment(["a"], {"short": "Say {{item}}"}, models=["m"]),
    "embed": lambda: om.embed(["a"], model="m"),
    "embed any": lambda: om.embed(["a"], model="m", any_model=True),
    "check": lambda: om.check(deep=True),
    "OllamaEmbedder": lambda: estimator().fit(["a"]),
    "OllamaClassifier": lambda: om.OllamaClassifier(["x", "y"], "m").fit(["a", "b"], ["x", "y"]).predict(["c"]),
}


@pytest.mark.promise("N5")
@pytest.mark.finding("E1")
@pytest.mark.parametrize("place", REMOTE)
def test_no_prompt_goes_to_a_model_that_the_server_runs_elsewhere(place: str) -> None:
    """Wherever the server says so, and with whatever name the model is called."""
    said = REMOTE[place]
    tags = whole({"models": [said.get("tags", {"name": "m:latest"})]})
    show = whole(said.get("show", {"capabilities": ["completion", "embedding"]}))
    with FaultServer(fine(tags=tags, show=show)) as server:
        om.configure(base_url=server.url, model="m", local_only=True)
        assert {name: outcome(call) for name, call in PROMPTS.items()} == dict.fromkeys(PROMPTS, "local-only")
        sent = {request.path for request in server.requests} & {"/api/chat", "/api/generate", "/api/embed"}
    assert sent == set()


@pytest.mark.promise("N5")
@pytest.mark.parametrize("model", ["m:CLOUD", "m:7b-Cloud", " m:cloud", "m:cloud\t", "m: cloud", "hf.co/a/m:7B-CLOUD"])
def test_no_prompt_goes_to_a_cloud_however_its_name_is_spelt(model: str) -> None:
    """Servers read the end of a name in lower case, and without blanks; such a model need not be installed there."""
    show = whole({"capabilities": ["completion", "embedding"]})
    with FaultServer(fine(tags=whole({"models": []}), show=show)) as server:
        om.configure(base_url=server.url, local_only=True)
        calls = (lambda: om.chat("Hi", model=model).text, lambda: om.embed(["a"], model=model), lambda: mapped(model))
        assert [outcome(call) for call in calls] == ["local-only"] * 3
        sent = {request.path for request in server.requests} & {"/api/chat", "/api/generate", "/api/embed"}
    assert sent == set()


def mapped(model: str) -> Any:
    """Ask a model for one row."""
    return om.map(["a"], "Say {{item}}", model=model)


@pytest.mark.promise("N5")
@pytest.mark.parametrize("named", [{"name": "m"}, {"name": "m", "model": "other:7b-cloud"}], ids=["in the card", "by its name"])
def test_no_prompt_goes_to_a_model_that_has_moved_away(named: dict[str, str]) -> None:
    """Another program may give its name to one that runs elsewhere, after a first prompt was answered here."""
    card = {"capabilities": ["completion", "embedding"], "model_info": {}}
    show, tags = {**card, "remote_host": "https://ollama.com:443"}, {"models": [named]}
    with FaultServer(fine()) as server:
        port = server.port
        om.configure(base_url=server.url, model="m", local_only=True)
        assert om.chat("Hi").text
    moved = fine(tags=whole(tags), show=whole(card if "model" in named else show))
    with FaultServer(moved, port=port) as server:
        assert {name: outcome(call) for name, call in PROMPTS.items()} == dict.fromkeys(PROMPTS, "local-only")
        sent = {request.path for request in server.requests} & {"/api/chat", "/api/generate", "/api/embed"}
    assert sent == set()


@pytest.mark.promise("N5")
def test_a_name_below_localhost_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS answers for it in some networks, and what it answers may be any machine."""
    looked_up: list[object] = []

    def look_up(host: object, *_: object, **__: object) -> list[object]:
        looked_up.append(host)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    om.configure(base_url="http://box.localhost:11434", model="m", local_only=True)
    assert outcome(lambda: om.chat("Hi").text) == "local-only"
    assert outcome(lambda: om.embed(["a"], base_url="http://box.localhost")) == "local-only"
    error = om.check().stages[0].error
    assert error is not None
    assert "http://localhost:11434" in error.remedy
    assert not looked_up
