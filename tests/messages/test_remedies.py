"""Every line that an error advises to type can be typed where the error is shown."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from string import Formatter
from typing import Any

import pytest
from IPython.core.error import UsageError

from ollama_magics import __main__ as shell_command
from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.messages import Joined, Phrase, remedies
from ollama_magics.notebook import arguments
from ollama_magics.notebook.magics.chat import ChatMagics
from ollama_magics.notebook.magics.config import FormMagics
from ollama_magics.notebook.magics.embed import EmbedMagics
from ollama_magics.notebook.magics.models import ModelMagics
from ollama_magics.server.address import parse

PLACES = ("notebook", "notebook check", "notebook config", "shell", "shell check", "python", "python check")
# Values of facts as they come; of all others a word.
FACTS = {
    "url": "http://gpu-box:11434",
    "other": "https://gpu-box:11434",
    "origin": "http://gpu-box:11434",
    "bind": "172.17.0.1:11434",
    "network": "192.168.1.0/24",
    "gateway": "172.20.64.1",
    "host": "gpu-box",
    "place": "gpu-box:11434/ollama",
    "scheme": "http",
    "port": "11434",
    "model": "llama3.2",
    "first": "llama3.2",
    "pull": "all-minilm",
    "setting": "model",
    "limit": "2048",
    "loaded": "4096",
    "version": "0.24.0",
    "column": "'text'",
    "width": "384",
    "source": "figure",
    "name": "data",
    "task": "query",
}
PROGRAMS = (
    "brew|certbot|cloudflared|curl|docker|export|journalctl|kubectl|launchctl|ngrok|New-NetFirewallRule|ollama|open|ping|podman"
    "|printf|python|read|setx|ssh|sudo|systemctl|tailscale|timedatectl|wsl"
)
SEGMENTS = re.compile(r"\n| {3}· {3}")
SHELL = re.compile(rf"(?:^|[:：] ?)((?:{PROGRAMS}) (?!app\b|app,|itself|is\b|answers|on\b|behind|先).*)")
MAGIC = re.compile(r"(%{1,2}(?:ollama\w*|embed|pip)\b.*)")
PYTHON = re.compile(r"(?:^|[:：] ?)((?:import |from \w+ import |with om\.|om\.|\w+ = (?!%)).*)")
URL = re.compile(r"https?://[^\s,;，；。）){\"']+(?![^\s]*{)")


def keys_of_advice() -> list[str]:
    """Return the phrases that stand in a remedy."""
    prefixes = ("start_", "listen_", "tunnel_", "docker_", "podman_", "service_", "wsl_", "firewall_", "tailscale_", "use_")
    others = ("no_proxy", "trust_unknown", "trust_expired", "trust_name", "redirect_same", "scheme_unsupported", "no_probe")
    more = (
        "server_hangs",
        "able_to",
        "none_able",
        "pull_recommended",
        "list_there",
        "or_use",
        "use_found",
        "kubernetes_service",
        "host_name_outside",
    )
    last = ("same_network", "name_to_number", "by_proxy", "without_proxy", "cloud_private", "try_far_end", "address_drop")
    named = [key for key in messages._PHRASES["en"] if key.startswith(prefixes)]
    return [*named, *(key for key in (*others, *more, *last) if key in messages._PHRASES["en"])]


def filled(template: str) -> dict[str, str]:
    """Return a value for each fact of a template."""
    return {name: FACTS.get(name, "value") for _, name, _, _ in Formatter().parse(template) if name}


def all_remedies(language: str, place: str) -> Iterator[tuple[str, str]]:
    """Yield (code or phrase, remedy as it is shown) for each text of the catalogue."""
    for code, parts in messages._ERRORS[language].items():
        if parts[2]:
            error = OllamaMagicsError(code, **{name: value for part in parts for name, value in filled(part).items()})
            error.language, error.place = language, place
            yield code, error.remedy
    for key in keys_of_advice():
        error = OllamaMagicsError("not-ollama", url="", reason="")
        error.with_advice(remedy=Phrase(key, **filled(messages._PHRASES[language][key])))
        error.language, error.place = language, place
        yield key, error.remedy


def shell_words(line: str) -> list[str]:
    """Return the words of a command; raises ValueError where a quote is not closed."""
    return shlex.split(line)


def check_shell(line: str) -> None:
    """Raise where a terminal could not take the command, or our own command does not know an option."""
    words = shell_words(line)
    assert not any(word.startswith("%ollama") for word in words)
    if words[:3] == ["python", "-m", "ollama_magics"]:
        shell_command._parser().parse_args(words[3:])


def check_magic(line: str, magics: dict[str, Callable[..., Any]]) -> None:
    """Raise where the parser of the magic refuses the line."""
    name, _, rest = line.lstrip("%").partition(" ")
    if name == "pip":
        shell_words(rest)
        return
    if name in ("ollama_config", "ollama_check"):
        found = remedies._MAGIC.match(line)
        assert found, line
        assert not re.match(r"\s+[^\s(（·]", line[found.end() :]), line  # words that would be read as its options
        rest = found[2].strip()
        options, left = arguments.read(magics[name], rest, {"url": "", "proxy": "", "name": ""}, ends=True)
        assert not left
        if getattr(options, "base_url", None):
            parse(options.base_url)
        return
    if "…" not in rest and name in magics:
        arguments.read(magics[name], rest, {})


def misplaced(text: str, place: str) -> Iterator[str]:
    """Yield what belongs to another place, unless it is said to be for a notebook."""
    text = re.sub("(?:in a notebook: |在笔记本中：)[^·]*", "", text)
    wrong = {
        "a magic": not place.startswith("notebook") and r"%ollama|%embed|^!",
        "itself": "check" in place and r"%ollama_check(?! --deep)|om\.check\(\)|ollama_magics check$",
        "an option of a cell": "python" not in place and place != "notebook" and r"(?<![\w-])-m (?!ollama_magics|pip)",
        "a name of a notebook": place.startswith("python") and "_ollama",
    }
    yield from (f"{what}: {text}" for what, pattern in wrong.items() if pattern and re.search(pattern, text, re.MULTILINE))


def problems(text: str, place: str, magics: dict[str, Callable[..., Any]]) -> Iterator[str]:
    """Yield what cannot be typed there."""
    yield from misplaced(text, place)
    checks: dict[re.Pattern[str], Callable[[str], object]] = {URL: parse, SHELL: check_shell, PYTHON: ast.parse}
    if place.startswith("notebook"):
        checks[MAGIC] = lambda line: check_magic(line, magics)
    for segment in SEGMENTS.split(text):
        for pattern, check in checks.items():
            for command in pattern.findall(segment):
                try:
                    check(command)
                except (ValueError, SyntaxError, UsageError, SystemExit, AssertionError, OllamaMagicsError) as error:
                    yield f"{command!r}: {error!r}"


@cache
def magics_by_name() -> dict[str, Callable[..., Any]]:
    """Return the magics by name."""
    classes = (ChatMagics, FormMagics, EmbedMagics, ModelMagics)
    return {name: function for one in classes for name, function in vars(one).items() if hasattr(function, "parser")}


@pytest.mark.finding("C22", "B13")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_every_remedy_can_be_typed_where_it_is_shown(
    language: str, place: str, record_property: Callable[[str, object], None]
) -> None:
    """Magic lines go through our own parser, Python through ast, commands through shlex, addresses through our reader."""
    shown = dict(all_remedies(language, place))
    found = {key: wrong for key, text in shown.items() if (wrong := list(problems(text, place, magics_by_name())))}
    assert found == {}
    assert all(shown.values())
    if (language, place) == ("en", "notebook"):
        commands = sum(
            bool(p.search(line)) for text in shown.values() for line in text.splitlines() for p in (SHELL, MAGIC, PYTHON)
        )
        record_property("figure", f"{len(shown)} remedies, {commands} commands, in {len(PLACES)} places and 2 languages")


FITTED = [
    ("notebook", "another: %ollama_config --base-url http://h:1", "another: %ollama_config --base-url http://h:1"),
    ("notebook check", "x\nfind it: %ollama_check", "x"),
    ("notebook check", "%ollama_check --deep", "%ollama_check --deep"),
    (
        "notebook check",
        "choose: -m a\nfor all: %ollama_config --model a",
        "choose: %ollama_config --model a",
    ),
    (
        "shell",
        "a: %ollama_config --base-url http://h:1 --model m",
        "a: python -m ollama_magics check --base-url http://h:1 --model m",
    ),
    ("shell", "%ollama_config --sandbox", "python -m ollama_magics sandbox"),
    ("shell", "%ollama_config --api-key", "python -m ollama_magics check --api-key-env OLLAMA_KEY"),
    ("shell", "x\nto drop it: %ollama_config --unset base_url", "x"),
    ("python", "--think auto", 'think="auto"'),
    ("shell", "!curl -f x | sh", "curl -f x | sh"),
    ("shell", "%pip install pandas", "python -m pip install pandas"),
    ("shell", "to get one: %ollama_pull llama3.2", "to get one: python -m ollama_magics pull llama3.2"),
    ("python", "%ollama_pull llama3.2", 'for step in om.pull("llama3.2"): print(step.status)'),
    ("python", "%ollama_models\n%ollama_rm llama3.2", 'om.models()\nom.rm("llama3.2")'),
    ("python", "a: %ollama_config --base-url $url", "a: om.configure(base_url=url)"),
    ("python", "%ollama_config --context 4096 --model llama3.2", 'om.configure(context_length=4096, model="llama3.2")'),
    ("python", "%ollama_config --local-only no", 'om.configure(local_only="no")'),
    ("python", "%ollama_config --profile gpu", 'om.use_profile("gpu")'),
    ("python", "%ollama_check --deep", "om.check(deep=True)"),
    (
        "python",
        "the text so far is in _ollama.text; run the cell again",
        "the text so far is in error.partial.text; run it again",
    ),
    ("python", "set a larger --context N", "set a larger context_length=N"),
    ("python", "or fewer texts at once (--batch 16)", "or fewer texts at once (batch=16)"),
    ("python", 'x = %embed ["a text", "another"]', 'x = om.embed(["a text", "another"])'),
    ("python check", "x\nfind it: %ollama_check", "x"),
]


@pytest.mark.finding("C22", "B13")
@pytest.mark.parametrize(("place", "written", "shown"), FITTED)
def test_a_remedy_is_fitted_to_its_place(place: str, written: str, shown: str) -> None:
    """The same advice, in the words of a cell, of the check, of a shell and of Python."""
    error = OllamaMagicsError("not-ollama").with_advice(remedy=Joined([written]))
    error.place = place
    assert error.remedy == shown
