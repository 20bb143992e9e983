"""The form: what each setting takes, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics import messages
from ollama_magics.errors import SettingError
from ollama_magics.secret import Secret
from ollama_magics.settings import form as form_module
from ollama_magics.settings import values
from ollama_magics.settings.form import OllamaSettings, shown


@pytest.fixture
def form() -> OllamaSettings:
    """Return settings of its own."""
    return OllamaSettings()


COUNTS: list[tuple[Any, int]] = [
    (4096, 4096),
    ("4096", 4096),
    (" 4096 ", 4096),
    ("4k", 4096),
    ("128K", 131072),
    ("1m", 1048576),
    ("4,096", 4096),
    ("4_096", 4096),
    ("4 096", 4096),
    ("４０９６", 4096),
    ("８ｋ", 8192),
    ("+8", 8),
    (np.int64(512), 512),
]


@pytest.mark.parametrize(("typed", "tokens"), COUNTS)
def test_a_number_of_tokens_may_be_written_in_many_ways(form: OllamaSettings, typed: Any, tokens: int) -> None:
    """As people write them; k is 1024."""
    form.context_length = typed
    assert form.context_length == tokens


NO_COUNTS = [
    *("4.5", "4.5k", "4,5k", "4,09", "40,96", "1e3", "", "k", "many", "--5", "-", "4k4", "k4", "0x10", "9" * 13),
    *(4.0, True, None, 0, -1, b"4", [4]),
]


@pytest.mark.parametrize("typed", NO_COUNTS)
def test_what_is_no_number_of_tokens_is_refused(form: OllamaSettings, typed: Any) -> None:
    """With the setting's own name and an example to type."""
    with pytest.raises(SettingError) as caught:
        form.context_length = typed
    assert caught.value.code == "setting-invalid"
    assert caught.value.what.endswith("is not a valid value for Context length.")
    assert caught.value.remedy == "%ollama_config --context 8k"
    assert form.context_length == 4096


@given(st.text(max_size=20) | st.integers() | st.floats())
def test_anything_typed_as_a_number_is_taken_or_refused(typed: Any) -> None:
    """No other error, and never a number below the least."""
    for read in (values.count, values.most_tokens, values.whole, values.temperature):
        try:
            value = read(typed, "max_tokens")
        except SettingError:
            continue
        assert read in (values.whole, values.temperature) or value >= 1 or value in (-1, -2)


def test_the_bound_of_an_answer_knows_two_special_values(form: OllamaSettings) -> None:
    """No bound, and the rest of the context."""
    for special in (-1, "-2"):
        form.max_tokens = special
        assert form.max_tokens == int(special)
    for wrong in (0, -3, "-1k"):
        with pytest.raises(SettingError):
            form.max_tokens = wrong


@pytest.mark.parametrize(("typed", "value"), [(0, 0.0), ("0.7", 0.7), ("０.５", 0.5), (10, 10.0), ("", None), (None, None)])
def test_a_temperature_is_a_number_or_left_to_the_model(form: OllamaSettings, typed: Any, value: float | None) -> None:
    """An empty field means the model's own."""
    form.temperature = typed
    assert form.temperature == value


@pytest.mark.parametrize("typed", [-0.1, 10.1, "warm", "nan", "inf", float("nan"), True, "0,7"])
def test_a_temperature_out_of_range_is_refused(form: OllamaSettings, typed: Any) -> None:
    """A server would take it and answer nonsense."""
    with pytest.raises(SettingError):
        form.temperature = typed


@pytest.mark.parametrize(("typed", "value"), [(42, 42), ("-7", -7), ("+7", 7), ("", None)])
def test_a_seed_is_any_whole_number(form: OllamaSettings, typed: Any, value: int | None) -> None:
    """Negative ones included."""
    form.seed = typed
    assert form.seed == value


@pytest.mark.parametrize("typed", ["4k", "1.5", True, "+-5", "seven"])
def test_a_seed_that_is_none_is_refused(form: OllamaSettings, typed: Any) -> None:
    """It has no unit."""
    with pytest.raises(SettingError):
        form.seed = typed


@pytest.mark.parametrize("name", ["connect_timeout", "first_token_timeout", "idle_timeout"])
def test_a_time_lies_between_a_tenth_of_a_second_and_a_day(form: OllamaSettings, name: str) -> None:
    """Never without end."""
    setattr(form, name, "2.5")
    assert getattr(form, name) == 2.5
    for wrong in (0, -1, 86_401, "inf", "soon", None):
        with pytest.raises(SettingError):
            setattr(form, name, wrong)


@pytest.mark.parametrize("name", ["model_type", "vision", "language"])
def test_a_choice_is_one_of_its_words(form: OllamaSettings, name: str) -> None:
    """In any case; the refusal lists them."""
    for word in form_module.words(name):
        setattr(form, name, f" {word.upper()} ")
        assert getattr(form, name) == word
    for wrong in ("perhaps", "", None, 1):
        with pytest.raises(SettingError) as caught:
            setattr(form, name, wrong)
        assert ", ".join(form_module.words(name)) in caught.value.how_we_know


@pytest.mark.parametrize("name", ["model", "base_url", "embedding_model", "system"])
def test_a_text_is_a_text(form: OllamaSettings, name: str) -> None:
    """Spaces around it do not count."""
    setattr(form, name, "  llama3.2\n")
    assert getattr(form, name) == "llama3.2"
    for wrong in (None, 7, b"llama3.2", ["llama3.2"]):
        with pytest.raises(SettingError):
            setattr(form, name, wrong)


def test_every_setting_is_declared_whole() -> None:
    """Label, help and flag belong to each, and its default passes its own check."""
    form = OllamaSettings()
    for name in form_module.names():
        assert messages.label(name) != name
        assert messages.label(name, "zh")
        assert form_module.explain(name)
        assert form_module.flag(name).startswith("--")
        setattr(form, name, form_module.default(name))
    assert form.changed() == {}


def test_the_form_begins_with_its_main_lines() -> None:
    """In the order of the panel; flags are short where the names are long."""
    assert form_module.names()[:5] == ["model", "base_url", "api_key_env", "model_type", "context_length"]
    assert "session" not in form_module.names()
    assert (form_module.flag("model_type"), form_module.flag("context_length")) == ("--type", "--context")
    assert form_module.flag("embedding_model") == "--embedding-model"


def test_changed_settings_are_told_from_defaults(form: OllamaSettings) -> None:
    """By name."""
    form.model = "llama3.2"
    assert form.changed() == {"model": "llama3.2"}


def test_settings_are_shared_until_they_are_forgotten() -> None:
    """Magics and plain calls see the same ones."""
    first = form_module.shared()
    assert form_module.shared() is first
    form_module.forget()
    assert form_module.shared() is not first


TIMES: list[tuple[Any, Any]] = [
    ("", None),
    (None, None),
    ("-1", -1),
    (-1, -1),
    ("-1m", -1),
    ("forever", -1),
    ("永久", -1),
    (0, 0),
    ("0", 0),
    ("300", 300),
    (1.5, 1.5),
    ("5m", "5m"),
    (" 5 M ", "5m"),
    ("30 minutes", "30m"),
    ("1 hour 30 min", "1h30m"),
    ("2 days", "48h"),
    ("１０", 10),
]


@pytest.mark.parametrize(("typed", "kept"), TIMES)
def test_a_time_to_stay_is_kept_as_a_server_takes_it(form: OllamaSettings, typed: Any, kept: Any) -> None:
    """A number of seconds or a text with units: servers refuse "-1" and "5"."""
    form.keep_alive = typed
    assert form.keep_alive == kept
    assert type(form.keep_alive) is type(kept)
    form.keep_alive = form.keep_alive
    assert form.keep_alive == kept


@pytest.mark.parametrize("typed", ["soon", "5 parsecs", "1e99", "nan", "inf", True, [], "m", "5m x", "--1"])
def test_a_time_to_stay_that_is_none_is_refused(form: OllamaSettings, typed: Any) -> None:
    """With an example."""
    with pytest.raises(SettingError) as caught:
        form.keep_alive = typed
    assert caught.value.remedy == "%ollama_config --keep-alive 30m"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("END", ("END",)),
        ("a\nb\n", ("a", "b")),
        (["a", ["b"]], ("a", "b")),
        ("", ()),
        ([], ()),
        (r"\n", ("\n",)),
        ("\n", ("\n",)),
        (r"a\tb", ("a\tb",)),
        (r"\\n", (r"\n",)),
        (r"\end", (r"\end",)),
        ([r"\n"], (r"\n",)),
    ],
)
def test_stop_texts_are_a_list(form: OllamaSettings, typed: Any, kept: tuple[str, ...]) -> None:
    """From one text, from lines, from a list."""
    form.stop = typed
    assert form.stop == kept
    form.stop = shown(form.stop)
    assert form.stop == kept, "as the panel shows it"
    for wrong in (7, None, [7], {"a": 1}):
        with pytest.raises(SettingError):
            form.stop = wrong


@pytest.mark.parametrize("name", ["ca_bundle", "headers", "proxy", "base_url", "model", "system", "api_key_env", "keep_alive"])
@pytest.mark.parametrize("nonsense", ["\x00", "\x1b[31mred", "x" * 1_000_000, "a\x07b"], ids=["nul", "escape", "1 MB", "bell"])
def test_nonsense_is_refused_at_its_place(form: OllamaSettings, name: str, nonsense: str) -> None:
    """In a short error."""
    with pytest.raises(SettingError) as caught:
        setattr(form, name, nonsense)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("typed", ["socks5://h:1", "h:99999", "http://", "a b", "ftp://h"])
def test_a_proxy_that_cannot_be_used_is_refused(form: OllamaSettings, typed: str) -> None:
    """Where it is typed, and not in the middle of a request."""
    with pytest.raises(SettingError):
        form.proxy = typed
    form.proxy = "proxy.test:3128"
    assert form.proxy == "http://proxy.test:3128"


def test_certificates_are_there(form: OllamaSettings, tmp_path: Any) -> None:
    """A file or a folder."""
    form.ca_bundle = str(tmp_path)
    with pytest.raises(SettingError, match="no such file"):
        form.ca_bundle = str(tmp_path / "missing.pem")


KEYS = ["sk-a", " sk-a\n", "'sk-a'", "“sk-a”", "\ufeffsk-a\u200b", "Bearer sk-a", '"Bearer sk-a"']


@pytest.mark.parametrize("typed", KEYS)
def test_a_key_is_cleaned_of_what_pasting_adds(typed: str) -> None:
    """Spaces, quotes, invisible signs, the word before it."""
    assert values.clean_key(Secret(typed)).reveal() == "sk-a"


@pytest.mark.parametrize("typed", ["sk a", "sk\na", "sk\r\nX: a", "sk-ключ", "sk“a", "s" * 9000, "sk\x00a"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(typed: str) -> None:
    """Not even in part."""
    with pytest.raises(SettingError) as caught:
        values.clean_key(Secret(typed))
    assert typed not in str(caught.value) + repr(caught.value.facts)


@given(st.text(max_size=60))
def test_a_header_is_taken_or_refused_unseen(typed: str) -> None:
    """A value that was typed as text is never shown, and never kept."""
    form = OllamaSettings()
    with pytest.raises(SettingError) as caught:
        form.headers = f"X-Token: canary-{typed}"
    assert "canary-" not in str(caught.value) + repr(caught.value.facts)


@pytest.mark.parametrize("typed", ["ollama run llama3.2", "$ ollama pull llama3.2", "!ollama run  llama3.2 ", "llama3.2"])
def test_a_pasted_command_gives_its_model(form: OllamaSettings, typed: str) -> None:
    """As people copy it from the library; the word alone stays."""
    form.model = typed
    assert form.model == "llama3.2"
    form.model = "ollama"
    assert form.model == "ollama"


@pytest.mark.parametrize(
    ("name", "typed", "limit"),
    [
        ("seed", 2**64, "between -999,999,999,999 and 999,999,999,999"),
        ("seed", "-123456789012345678901234567890", "between -999,999,999,999 and 999,999,999,999"),
        ("context_length", 99999999999999, "at most 999,999,999,999"),
        ("max_tokens", "999999999999k", "at most 999,999,999,999"),
    ],
)
def test_a_number_that_is_too_large_is_refused_with_the_limit(form: OllamaSettings, name: str, typed: Any, limit: str) -> None:
    """Not as if it were no whole number."""
    with pytest.raises(SettingError, match=limit):
        setattr(form, name, typed)
