"""Options that a person names as Ollama does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from ollama_magics.conversation.prompt import Prompt
from ollama_magics.errors import SettingError
from ollama_magics.notebook import arguments
from ollama_magics.settings.cell_options import runner_options
from ollama_magics.settings.form import OllamaSettings


@pytest.mark.parametrize(
    ("name", "typed", "sent"),
    [
        ("num_batch", "256", 256),
        ("num_thread", 4, 4),
        ("num_gpu", "-1", -1),
        ("num_keep", "1,024", 1024),
        ("typical_p", "0.05", 0.05),
        ("typical_p", 0, 0.0),
        ("repeat_penalty", "1", 1.0),
        ("use_mmap", "false", False),
        ("use_mmap", True, True),
        ("use_mmap", "Yes", True),
    ],
)
def test_a_value_gets_the_type_that_the_server_wants(name: str, typed: object, sent: object) -> None:
    """Whether it comes from a line or from a program."""
    found = runner_options({name: typed})[name]
    assert (found, type(found)) == (sent, type(sent))


@pytest.mark.parametrize(
    ("typed", "output"),
    [
        ({"temperatur": 1}, "did you mean temperature?"),
        ({"num-ctx": 1}, "did you mean num_ctx?"),
        ({"repeat_penality": 1}, "did you mean repeat_penalty?"),
        ({"zzz": 1}, "the options are: num_ctx"),
        ({"mirostat": 1}, "no longer uses this option"),
        ({"keep_alive": 1}, "--keep-alive"),
        ({"format": "json"}, "--format"),
        ({"num_batch": "many"}, "A whole number is needed."),
        ({"num_batch": 1.5}, "A whole number is needed."),
        ({"num_batch": True}, "A whole number is needed."),
        ({"typical_p": "nan"}, "A number is needed."),
        ({"typical_p": None}, "A number is needed."),
        ({"use_mmap": "perhaps"}, "true or false is needed."),
    ],
)
def test_what_a_server_would_pass_over_is_an_error(typed: dict[str, Any], output: str) -> None:
    """It would ignore an unknown name without a word, and answer 500 to a wrong type."""
    with pytest.raises(SettingError) as caught:
        runner_options(typed)
    assert output in str(caught.value)


def test_options_of_the_form_may_be_named_as_ollama_does() -> None:
    """They are read by the form's own readers, and win over it."""
    chosen = OllamaSettings()
    chosen.temperature = 1
    prompt = Prompt("Hi", extra={"num_ctx": "8k", "temperature": 0, "stop": ["a", "b"], "typical_p": 0.1})
    assert prompt.options(chosen) == {
        "num_ctx": 8192,
        "num_predict": 4096,
        "temperature": 0,
        "stop": ("a", "b"),
        "typical_p": 0.1,
    }


def test_an_option_typed_twice_is_an_error() -> None:
    """Nobody knows which was meant."""
    with pytest.raises(SettingError) as caught:
        Prompt("Hi", extra={"num_ctx": 1024}, overrides={"context_length": 512}).options(OllamaSettings())
    assert "--context" in str(caught.value)


def test_a_bad_value_of_the_form_is_refused_under_either_name() -> None:
    """By the same reader."""
    with pytest.raises(SettingError):
        Prompt("Hi", extra={"num_ctx": -5}).options(OllamaSettings())


class Trap:
    """A value that must not be looked into."""

    def __getattr__(self, name: str) -> Any:
        """Fail."""
        raise AssertionError(name)


@given(st.lists(st.text("num_ctxmiproe=$0123456789.-'() []{}", max_size=24), max_size=4))
def test_whatever_is_typed_nothing_is_evaluated(words: list[str]) -> None:
    """A line gives plain numbers and switches, or an error."""
    try:
        found = runner_options(arguments.pairs(words, {"x": Trap(), "num": 4}))
    except (SettingError, UsageError):
        return
    assert all(isinstance(value, (int, float, bool)) for value in found.values())
