"""Parameters of the public calls: misspelt names, booleans, and braces without values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server.wire import ChatRequest
from ollama_magics.session.session import current

MISSPELT: list[tuple[Callable[..., Any], str, str]] = [
    (om.chat, "temprature", "temperature"),
    (om.chat, "valeus", "values"),
    (om.configure, "local_onyl", "local_only"),
    (om.embed, "paralel", "parallel"),
    (om.map, "formt", "format"),
    (om.experiment, "promts", "prompts"),
    (om.achat, "temprature", "temperature"),
    (om.aembed, "paralel", "parallel"),
    (om.amap, "formt", "format"),
    (om.check, "deap", "deep"),
    (om.pull, "modle", "model"),
    (om.sandbox, "dely", "delay"),
    (om.use_profile, "nam", "name"),
    (om.OllamaEmbedder, "dimension", "dimensions"),
    (om.OllamaClassifier, "lables", "labels"),
]


@pytest.mark.finding("C25")
@pytest.mark.parametrize(("call", "typed", "meant"), MISSPELT)
def test_a_misspelt_parameter_names_the_nearest(call: Callable[..., Any], typed: str, meant: str) -> None:
    """In the name of the call that was typed."""
    with pytest.raises(TypeError, match=rf"^{call.__name__}\(\) got .* '{typed}'; did you mean '{meant}'\?"):
        call(**{typed: 1})


@pytest.mark.parametrize("call", [om.map, om.amap])
@pytest.mark.parametrize("name", ["repeat", "truth", "models", "prompts"])
def test_a_parameter_of_another_call_names_that_call(call: Callable[..., Any], name: str) -> None:
    """As what an experiment compares."""
    with pytest.raises(TypeError, match=f"'{name}'; that is a parameter of om.experiment$"):
        call(["a"], "{{item}}", **{name: 2})


ODD: list[tuple[Callable[..., Any], str, Any]] = [
    *((om.map, name, 5) for name in ("model", "system", "suffix", "values", "options", "tools")),
    *((om.map, name, 5) for name in ("confirm", "examples", "base_url")),
    *((om.amap, name, 5) for name in ("model", "values")),
    *((om.experiment, name, 5) for name in ("models", "truth", "values", "options", "examples")),
    (om.map, "model", ["a", "b"]),
    (om.map, "values", ["a"]),
    (om.map, "rows", "many"),
]


@pytest.mark.parametrize(("call", "name", "given"), ODD)
def test_a_parameter_of_another_type_is_a_setting_error(call: Callable[..., Any], name: str, given: Any) -> None:
    """With its name, before anything is sent."""
    with pytest.raises(om.SettingError, match=name) as caught:
        call(["a"], "{{item}}", **{name: given})
    assert caught.value.code == "setting-invalid"


BOOLEANS = [
    *(("local_only", True, "yes"), ("local_only", False, "no"), ("probes", True, "yes"), ("probes", False, "no")),
    *(("vision", True, "yes"), ("vision", False, "no"), ("tools", True, "yes"), ("tools", False, "no")),
    *(("think", True, "on"), ("think", False, "off"), ("probes", "True", "yes"), ("probes", "false", "no")),
]


@pytest.mark.finding("C25")
@pytest.mark.parametrize(("name", "given", "word"), BOOLEANS)
def test_booleans_are_taken_where_a_setting_is_yes_or_no(name: str, given: Any, word: Any) -> None:
    """As the words are, whose spelling stays."""
    om.configure(**{name: given})
    assert getattr(current().settings, name) == word
    om.configure(**{name: word})
    assert getattr(current().settings, name) == word


@pytest.mark.finding("C25")
@pytest.mark.parametrize(("name", "given"), [("key_store", True), ("language", True), ("vision", None), ("local_only", 1)])
def test_other_choices_take_no_booleans(name: str, given: Any) -> None:
    """With the words that they have."""
    with pytest.raises(om.SettingError, match="Possible values"):
        om.configure(**{name: given})


@pytest.fixture
def model(stand_in: FakeServer) -> FakeServer:
    """Use the stand-in."""
    om.configure(base_url=stand_in.url, model="sandbox-chat")
    return stand_in


@pytest.mark.finding("A3")
@pytest.mark.usefixtures("model")
def test_a_variable_in_braces_without_values_is_a_warning_at_the_call() -> None:
    """The braces are text; nothing is said about names that are none here."""
    price = [1]
    with pytest.warns(UserWarning, match=r"\{\{price\[0\]\}\} was sent as text") as caught:
        reply = om.chat("Say {{price[0]}}")
    assert isinstance(reply.request, ChatRequest)
    assert (caught[0].filename, len(caught), reply.request.messages[-1].content) == (__file__, 1, "Say {{price[0]}}")
    assert price
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        om.chat("Say {{other}} \\{{price}} {{price + 1}}").close()
        om.chat("Say {{price}}", values={"price": 1}).close()
        om.chat("Say {{price}}", values={"price": 1}, system="{{price}}").close()


@pytest.mark.finding("A2")
@pytest.mark.usefixtures("model")
def test_rows_and_strict_in_python() -> None:
    """As in a cell."""
    values = {"x": ["text"] * 500}
    assert om.chat("{{x}}", values=values).notes == ["x: 20 of 500 items"]
    assert om.chat("{{x}}", values=values, rows=30).notes == ["x: 30 of 500 items"]
    assert om.chat("{{x}}", values=values, rows="all", strict=True, context_length="8k").notes == []
    with pytest.raises(om.PromptProblem, match="x: 20 of 500 items") as caught:
        om.chat("{{x}}", values=values, strict=True)
    assert caught.value.code == "left-out"
    for rows in (0, -1, "some", 1.5):
        with pytest.raises(om.SettingError, match="rows"):
            om.chat("{{x}}", values=values, rows=rows)  # type: ignore[arg-type]


class Word(str):
    """A text of another class."""

    __slots__ = ()


@pytest.mark.finding("C25")
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("kind", [np.str_, Word])
def test_texts_of_other_classes_are_texts(kind: type[str]) -> None:
    """Such as the items of an array of texts; numbers of NumPy in a schema are numbers."""
    reply = om.chat(kind("hello"), system=kind("be brief"), stop=[kind("END")])
    assert "hello" in reply.text
    assert "be brief" in reply.text
    schema = {"type": "object", "properties": {"a": {"enum": [kind("p")]}, "n": {"const": np.int64(3)}}, "required": ["a", "n"]}
    assert om.chat("x", format=schema).value == {"a": "p", "n": 3}


@pytest.mark.finding("A4")
@pytest.mark.usefixtures("model")
def test_a_dict_that_is_no_json_schema_is_refused() -> None:
    """It would check nothing: an example of an answer, a type for each field, or the envelope of another service."""
    inner = {"type": "object", "properties": {"a": {"type": "integer"}}}
    for given in ({"name": "string", "age": "integer"}, {"name": str}, {"title": "string", "author": "string"}):
        with pytest.raises(om.FormatProblem, match="cannot use this JSON schema"):
            om.chat("x", format=given)
    with pytest.raises(om.FormatProblem, match="cannot use this JSON schema"):
        om.chat("x", format={"name": "n", "strict": True, "schema": inner})


@pytest.mark.finding("A4")
@pytest.mark.usefixtures("model")
def test_an_unknown_word_of_a_schema_is_reported() -> None:
    """Misspelt words, at any depth; names of properties, data and extensions are none."""
    wrong = {"type": "object", "properties": {"a": {"type": "integer", "mininum": 3}}, "require": ["a"]}
    notes = om.chat("x", format=wrong).notes
    assert [note.split()[2] for note in notes] == ["mininum", "require"]
    with pytest.raises(om.PromptProblem, match="mininum"):
        om.chat("x", format=wrong, strict=True)
    fine = {"x-order": 1, "type": "object", "properties": {"mininum": {"enum": [{"b": 1}], "default": {"c": 2}, "title": "T"}}}
    assert om.chat("x", format=fine).notes == []


def test_what_is_no_name_of_a_model_is_an_error_of_ours(stand_in: FakeServer) -> None:
    """Of every call that takes one, before anything is sent."""
    om.configure(base_url=stand_in.url)
    for call in (om.show, om.stop, om.rm, lambda model: list(om.pull(model))):
        wrong: tuple[Any, ...] = (None, 5, 2.5, ["a", "b"], b"llama3.2", "", "a b", "<b>x</b>")
        for given in wrong:
            with pytest.raises(om.ModelProblem, match="is not the name of a model") as caught:
                call(given)
            assert caught.value.code == "model-name-invalid"
    assert not stand_in.requests


def test_pages_of_nothing_are_refused(stand_in: FakeServer) -> None:
    """Whoever chose pages meant a document, which is named in the words of Python."""
    om.configure(base_url=stand_in.url, model="sandbox-vision")
    for call in (lambda: om.chat("Hi", pages="2-3").text, lambda: om.chat("Hi", images=[], pages=2).text):
        with pytest.raises(om.PictureProblem, match="images=") as caught:
            call()
        assert caught.value.code == "pages-without-document"
    with pytest.raises(om.PictureProblem, match="Pages were chosen"):
        om.map(["a"], "{{item}}", pages=2)
    with pytest.raises(om.PictureProblem, match=r'pages=\["1"\]|pages=\[1, 2\]'):
        om.chat("Hi", pages=[1, 2])
    with pytest.raises(om.SettingError, match=r"b'1' is not a valid value for pages"):  # whose items are numbers, too
        om.chat("Hi", images=[b"%PDF-"], pages=b"1")
    assert not stand_in.requests


def test_words_and_empty_values_are_refused(stand_in: FakeServer) -> None:
    """The word "no" would be true, and no server the one of the settings; in the words of Python."""
    om.configure(base_url=stand_in.url, model="sandbox-chat")
    stand_in.requests.clear()
    word: Any = "no"
    odd: Any = {1: 2}
    nothing: Any = None
    calls: list[Callable[[], Any]] = [
        lambda: om.chat("Hi", strict=word),
        lambda: om.chat("Hi", local_only=word),
        lambda: om.chat("Hi", conversation="x", new=word),
        lambda: om.map(["a"], "{{item}}", reuse=word),
        lambda: om.embed(["a"], truncate=word),
        lambda: om.check(deep=word),
        lambda: om.embed(["a"], base_url=[]),
        lambda: om.map(["a"], "{{item}}", base_url=()),
        lambda: om.use_profile(nothing),
        lambda: om.chat("Hi", options=odd),
    ]
    for call in calls:
        with pytest.raises(om.SettingError) as caught:
            call()
        assert caught.value.code == "setting-invalid"
    with pytest.raises(om.SettingError, match=r'options={"min_p": 0.05}  \['):
        om.chat("Hi", options={"min_p": "x"})
    assert not [path for _, path, _ in stand_in.requests if path in ("/api/chat", "/api/generate", "/api/embed")]
    true: Any = np.True_
    assert om.chat("Hi", strict=true).text


def test_an_empty_list_of_what_was_to_go_is_said(stand_in: FakeServer) -> None:
    """Pictures that were not found, and models of which none is left; what is not given is the default."""
    om.configure(base_url=stand_in.url, model="sandbox-chat")
    nothing: list[Any] = [[], iter([]), np.empty((0, 3, 3, 3))]
    for images in nothing:
        assert om.chat("Hi", images=images, strict=True).notes == ["images is empty: no picture was sent"]
    assert om.chat("Hi").notes == []
    stand_in.requests.clear()
    with pytest.raises(om.PromptProblem, match="The list of models is empty"):
        om.experiment(["a"], "{{item}}", models=[])
    assert not stand_in.requests
    assert om.experiment(["a"], "{{item}}")


def test_a_list_as_conversation_names_what_reads_it() -> None:
    """The remedy would otherwise begin an empty conversation."""
    with pytest.raises(om.SettingError, match=r"om\.Conversation\(messages\)"):
        _ = om.chat("Hi", conversation=[{"role": "user", "content": "a"}]).text  # type: ignore[arg-type]


PLACES: list[tuple[Callable[[], Any], str]] = [
    (lambda: om.chat("q", temperature=99).text, "temperature=0"),
    (lambda: om.chat("q", options={"temperature": "hot"}).text, "temperature=0"),
    (lambda: om.chat("q", context_length=2**70).text, 'context_length="8k"'),
    (lambda: om.map(["x"], "{{item}}", seed=2**70), "seed=42"),
    (lambda: om.embed(["a"], context="x"), 'context="8k"'),
    (lambda: om.embed(["a"], keep_alive="soon"), 'keep_alive="30m"'),
    (lambda: om.rm("sandbox-cha"), 'if you mean sandbox-chat: om.rm("sandbox-chat")\nwhat is installed: om.models()'),
    (lambda: om.stop("nope"), "what is installed: om.models()"),
]


@pytest.mark.parametrize(("call", "remedy"), PLACES, ids=[remedy.split("(")[0] for _, remedy in PLACES])
def test_advice_names_the_call_in_which_a_value_was_typed(call: Callable[[], Any], remedy: str, stand_in: FakeServer) -> None:
    """Not the settings, which are right; and nothing is downloaded that is to go."""
    om.configure(base_url=stand_in.url, model="sandbox-chat")
    with pytest.raises(om.OllamaMagicsError) as caught:
        call()
    assert remedy in caught.value.remedy
    assert "configure" not in caught.value.remedy
    assert "pull" not in caught.value.remedy


def test_an_empty_prompt_speaks_of_no_options() -> None:
    """There are none in a call."""
    with pytest.raises(om.PromptProblem) as caught:
        om.chat("")
    assert caught.value.how_we_know == "It holds no text."
