"""%ollama_config and %ollama_check in a terminal: the form as text, and the life of the extension."""

import re
from importlib import import_module
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError

from ollama_magics.errors import AddressError, SettingError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.notebook.magics import MAGICS, LoadedAtUse
from ollama_magics.settings import form


def test_every_line_of_the_form_is_a_flag_and_is_shown(shell: Any) -> None:
    """Each setting can be set by its flag and stands in the table with where it comes from."""
    own = {"base_url": "http://127.0.0.1:11434", "ca_bundle": "/", "headers": '"X-Team: $TEAM"', "proxy": "http://127.0.0.1:3"}
    values = {name: words[-1] for name in form.names() if (words := form.words(name))} | own | {"language": "en"}
    values |= {"key_store": "notebook", "api_key_env": "A_KEY", "top_p": "0.3"}
    for name in form.names():
        value = values.get(name, "3")
        shell.run(f"%ollama_config {form.flag(name)} {value}")
        assert form.shown(getattr(form.shared(), name)) == value.strip('"')
    table = shell.run("%ollama_config --show")
    assert len(table.strip().splitlines()) == len(form.names()) + 3  # the profile, the key, and the prompt Out[…]
    assert "this notebook" in table


def test_setting_says_what_changed_and_why_an_address_differs(shell: Any) -> None:
    """The answer to a setting is one line for each change."""
    shown = shell.run("%ollama_config --base-url 127.0.0.1:11434/v1/ --context 8k")
    assert "typed 127.0.0.1:11434/v1/ → used http://127.0.0.1:11434" in shown
    assert "Context length: 8192" in shown


def test_a_setting_that_is_emptied_says_what_holds_then(shell: Any) -> None:
    """In the words of the table."""
    assert shell.run("%ollama_config --model ''") == "Model name: the only suitable installed model\n"
    assert re.search("Model name +the only suitable installed model", shell.run("%ollama_config --show"))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("--context -5", SettingError),
        ("--context lots", SettingError),
        ("--vision maybe", SettingError),
        ("--seed 1.5", SettingError),
        ("--connect-timeout never", SettingError),
        ("--base-url ftp://host", AddressError),
        ("--base-url http://host:99999", AddressError),
        ("--modle x", UsageError),
        ("llama3.2", UsageError),
    ],
)
def test_a_bad_value_is_refused_and_nothing_changes(shell: Any, line: str, kind: type[BaseException]) -> None:
    """One bad value on the line leaves all settings as they were."""
    before = form.shared().changed()
    error, _ = shell.fail(f"%ollama_config --system new {line}")
    assert type(error) is kind
    assert form.shared().changed() == before


def test_the_sandbox_starts_and_is_used_and_ends_with_the_extension(bare: Any) -> None:
    """One option gives a server to try everything with."""
    bare.run("%load_ext ollama_magics")
    assert "stand-in" in bare.run("%ollama_config --sandbox")
    bare.run("answer = %ollama hello")
    bare.run("vectors = %embed ['a']")
    assert "✓ Server" in bare.run("%ollama_check")
    address = form.shared().base_url
    bare.run("%unload_ext ollama_magics")
    bare.run("%load_ext ollama_magics")
    bare.run(f"%ollama_config --base-url {address}")
    assert "✗ Connection" in bare.run("%ollama_check")
    bare.run("%unload_ext ollama_magics")


def test_loading_twice_and_unloading_leave_the_shell_as_it_was(bare: Any) -> None:
    """Every hook is removed: magics, %config, the reading of question marks, the event."""

    def state() -> tuple[Any, ...]:
        ipython = bare.ipython
        events = {name: list(callbacks) for name, callbacks in ipython.events.callbacks.items()}
        transformers = list(ipython.input_transformer_manager.token_transformers)
        ours = [one for one in ipython.configurables if type(one).__module__.startswith("ollama_magics")]
        return sorted(ipython.magics_manager.lsmagic()["line"]), ours, events, transformers

    before = state()
    bare.run("%load_ext ollama_magics")
    bare.run("%reload_ext ollama_magics")
    assert state() != before
    bare.run("%unload_ext ollama_magics")
    assert state() == before


def test_what_is_dropped_with_the_extension_is_said(bare: Any) -> None:
    """Also by %reload_ext: a notebook that was to stay on this machine does not leave it without a word."""
    bare.run("%load_ext ollama_magics")
    assert bare.run("%reload_ext ollama_magics") == ""
    with FakeServer() as server:
        bare.run(f"%ollama_config --base-url {server.url} --model sandbox-chat --local-only yes")
        bare.run("%ollama Hi")
        said = bare.run("%reload_ext ollama_magics")
    assert "settings of this notebook dropped: Model name, Base URL, This machine only; type them again" in said
    assert "conversation dropped with the extension (1)" in said
    bare.run("%unload_ext ollama_magics")


def test_magics_that_nobody_used_yet_are_listed_completed_and_explained(bare: Any) -> None:
    """Lists and completions go by the names, which load nothing; help has docstring, options and the file of the magic."""
    bare.run("%load_ext ollama_magics")
    manager = bare.ipython.magics_manager
    waiting = {(kind, name) for kind, found in manager.magics.items() for name in found if type(found[name]) is LoadedAtUse}
    listed = bare.run("print(get_ipython().run_line_magic('lsmagic', ''))").split()
    assert {"%" * (1 + (kind == "cell")) + name for kind, name in waiting} <= set(listed)
    with provisionalcompleter():
        assert "%ollama_check" in {found.text for found in bare.ipython.Completer.completions("%oll", 4)}
    assert not {class_name for _, class_name, _ in MAGICS.values()} & set(manager.registry)

    shown = bare.ipython.object_inspect("%%ollama")
    assert "Ask the model" in shown["docstring"]
    assert "--prompt-file" in shown["docstring"]
    assert shown["file"].endswith("chat.py")
    for name, (_, class_name, kinds) in MAGICS.items():
        assert all(bare.ipython.find_magic(name, kind).__doc__.startswith("::") for kind in kinds)
        own = manager.registry[class_name].magics
        assert {kind for kind in own if name in own[kind]} == set(kinds)
    declared = {(kind, name) for kinds in map(_magics_of, {row[:2] for row in MAGICS.values()}) for kind, name in kinds}
    assert declared == waiting


def _magics_of(place: tuple[str, str]) -> list[tuple[str, str]]:
    module, class_name = place
    magics = getattr(import_module(f"ollama_magics.notebook.magics.{module}"), class_name).magics
    return [(kind, name) for kind, names in magics.items() for name in names]


def test_config_shows_and_sets_the_same_settings(shell: Any, stand_in: FakeServer) -> None:
    """%config OllamaSettings is another way to the same form."""
    shell.run("%config OllamaSettings.context_length = 2048")
    shell.run("%ollama hello")
    body = next(body for _, path, body in reversed(stand_in.requests) if path == "/api/chat")
    assert body["options"]["num_ctx"] == 2048


def test_the_check_goes_deep_and_speaks_json(shell: Any) -> None:
    """Its two options, one for the model and one for programs."""
    assert "✓ Tests" in shell.run("%ollama_check --deep")
    assert '"ok": true' in shell.run("%ollama_check --json")


def test_a_terminal_gets_each_line_once(shell: Any) -> None:
    """As the stages end, the load when it begins, and what was not asked at the end; the value shows nothing."""
    shown = shell.run("report = %ollama_check --deep")
    lines = shown.splitlines()
    assert [line.split()[:2] for line in lines if line[0] == "✓"][::9] == [["✓", "Address"]]
    assert len(lines) == len(set(lines))
    assert shown.count("Answer") == shown.count("✓ Answer") + 1  # asked, and answered
    assert "– Load, answer, tests  not asked yet" in shell.run("%ollama_check").splitlines()
    assert "✓ Server" in shell.run("print(report)")


def test_no_probes_is_a_switch_of_the_form(shell: Any) -> None:
    """It stands in the table, and a value takes it back."""
    assert "Try other addresses: no" in shell.run("%ollama_config --no-probes")
    assert "Try other addresses" in shell.run("%ollama_config --show")
    assert form.shared().probes == "no"
    shell.run("%ollama_config --probes yes")
    assert form.shared().probes == "yes"


def test_the_check_needs_no_words(shell: Any) -> None:
    """What stands after %ollama_check is a mistake that is named."""
    assert isinstance(shell.fail("%ollama_check now")[0], UsageError)
