"""Read what stands before the cursor on a magic line or in its cell, and find what fits there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ollama_magics.embeddings.options import ON_ERROR
from ollama_magics.notebook.completion import names
from ollama_magics.notebook.completion.models import ModelNames
from ollama_magics.notebook.completion.names import NOTHING, Found, NotebookNames, both, fitting, fitting_words
from ollama_magics.notebook.line_words import attached, next_word, unquoted
from ollama_magics.settings import form, profiles
from ollama_magics.settings.cell_options import runner_option_names

_CELL_MAGIC = re.compile(r"%%(?P<name>\w+)(?P<rest>(?:\s.*)?)")
_LINE_MAGIC = re.compile(r"\s*(?:[^%'\"#]*=\s*)?%(?P<name>\w+)(?P<rest>\s.*)", re.DOTALL)
_OPEN_BRACES = re.compile(r"(?<!\\)\{\{(?!\{)(?P<inside>[^{}]*)$")
_WITH_PROMPT = ("ollama", "embed")  # whose lines end with a prompt or an expression
_OF_MODELS = ("ollama_show", "ollama_pull", "ollama_stop", "ollama_rm")  # whose lines name a model

_Typed = Mapping[str, list[str]]  # the values of the options that are there already, by name


@dataclass
class _Line:
    """What stands before the cursor on the line of a magic."""

    fragment: str = ""  # the word at the cursor
    waiting: Any = None  # the option whose value that word is
    options: dict[str, list[str]] = field(default_factory=dict)
    in_prompt: bool = False


class Completion:
    """Completes what is typed for the magics in one shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._models = ModelNames()
        self._names = NotebookNames(shell)
        self._values = self._values_of_options()

    def close(self) -> None:
        """End the request for the models, if one is under way."""
        self._models.close()

    def in_cell(self, text: str, line: int, column: int) -> Found:
        """Return what fits at a place in a cell, which is counted from 0; nothing where it belongs to no magic of ours."""
        try:
            return self._in_cell(text, line, column)
        except Exception:  # noqa: BLE001 - the next cell reports what is wrong: IPython would show a traceback at each Tab
            return NOTHING

    def _in_cell(self, text: str, line: int, column: int) -> Found:
        lines = text.split("\n")
        before = lines[line][:column]
        first = next((number for number, one in enumerate(lines) if one.strip()), line)
        if (magic := _CELL_MAGIC.fullmatch(lines[first])) and self._parser("cell", magic["name"]):
            return self._on_line("cell", before) if line == first else self._in_body(magic["name"], magic["rest"], before)
        while line and lines[line - 1].endswith("\\"):
            line -= 1
            before = f"{lines[line][:-1]} {before}"
        return self._on_line("line", before)

    def _on_line(self, kind: str, before: str) -> Found:
        magic = (_CELL_MAGIC if kind == "cell" else _LINE_MAGIC).fullmatch(before)
        parser = self._parser(kind, magic["name"]) if magic and magic["rest"] else None
        if magic is None or parser is None:
            return NOTHING
        name, rest, options = magic["name"], magic["rest"], _options_of(parser)
        line = _read_line(rest, options, name)
        if name == "ollama" and (braces := _OPEN_BRACES.search(rest)):
            return self._in_braces(braces["inside"], line.options)
        if line.in_prompt:
            return NOTHING
        return self._option(name, line, options) or self._word(name, line.fragment, options)

    def _in_body(self, name: str, rest: str, before: str) -> Found:
        braces = _OPEN_BRACES.search(before) if name == "ollama" else None
        typed = _read_line(f"{rest} ", _options_of(self._parser("cell", name)), name).options
        return self._in_braces(braces["inside"], typed) if braces else NOTHING

    def _in_braces(self, inside: str, typed: _Typed) -> Found:
        return NOTHING if "no_fill" in typed else self._names.in_braces(inside, _data(typed))

    def _parser(self, kind: str, name: str) -> Any:
        """Return the parser of a magic of ours, or None."""
        is_ours = name == "embed" or name.startswith("ollama")
        return getattr(self._shell.magics_manager.magics[kind].get(name), "parser", None) if is_ours else None

    # A word of the line.

    def _option(self, magic: str, line: _Line, options: Mapping[str, Any]) -> Found | None:
        """Return what fits for an option or its value, or None where the word is neither."""
        if line.waiting is not None:
            return self._value(magic, line.waiting, line.fragment, line.options)
        name, equals, value = line.fragment.partition("=")
        if equals and name in options:
            return self._value(magic, options[name], value, line.options)
        return fitting(line.fragment, options, "option") if line.fragment.startswith("-") else None

    def _word(self, magic: str, fragment: str, options: Mapping[str, Any]) -> Found:
        if magic in _OF_MODELS:
            return self._model_names(fragment)
        if magic == "ollama_history":
            return fitting_words(fragment, _chats(), "conversation")
        if fragment or magic == "embed":  # an expression, for which IPython knows more
            return NOTHING
        return fitting("", (option.option_strings[-1] for option in options.values()), "option")

    def _value(self, magic: str, option: Any, fragment: str, typed: _Typed) -> Found:
        """Return what fits as the value of an option."""
        name = option.dest
        if fragment.startswith("$"):
            return fitting(fragment, (f"${variable}" for variable in self._names.variables(names.is_value)), "variable")
        if name in ("model", "embedding_model"):
            return self._model_names(fragment, embeds=magic == "embed" or name == "embedding_model")
        if option.metavar == "FILE":
            return names.paths(fragment)
        if find := self._values.get(name):
            return find(fragment, typed)
        return fitting(fragment, form.words(name) if name in form.SETTINGS else (), "word")

    def _values_of_options(self) -> dict[str, Callable[[str, _Typed], Found]]:
        """Return what finds the values of an option that is no choice of a few words, by the name of the option."""
        own = self._names

        def of(find: Callable[[], Iterable[str]], kind: str) -> Callable[[str, _Typed], Found]:
            return lambda fragment, _: fitting_words(fragment, find(), kind)

        def expression(fits: Callable[[Any], bool]) -> Callable[[str, _Typed], Found]:
            return lambda fragment, _: own.in_expression(fragment, fits)

        return {
            "system": lambda fragment, _: names.paths(fragment[1:]) if fragment.startswith("@") else NOTHING,
            "images": lambda fragment, _: both(
                NOTHING if names.is_path(fragment) else own.in_expression(fragment, names.is_picture), names.paths(fragment)
            ),
            "format": lambda fragment, _: both(
                fitting(fragment, ("json",), "word"), own.in_expression(fragment, names.is_schema)
            ),
            "tools": expression(names.is_function),
            "each": expression(names.is_data),
            "truth": lambda fragment, typed: fitting_words(fragment, own.columns(_data(typed)), "column"),
            "into": of(lambda: own.variables(names.is_value), "variable"),
            "report": of(lambda: own.variables(names.is_value), "variable"),
            "chat": of(_chats, "conversation"),
            **dict.fromkeys(("profile", "forget", "save"), of(profiles.names, "profile")),
            "unset": of(lambda: (form.flag(setting).removeprefix("--") for setting in form.names()), "setting"),
            "options": of(lambda: (f"{option}=" for option in runner_option_names()), "option"),
            "on_error": of(lambda: ON_ERROR, "word"),
            "rows": of(lambda: ("all",), "word"),
            "ca_bundle": lambda fragment, _: names.paths(fragment),
        }

    def _model_names(self, fragment: str, *, embeds: bool | None = None) -> Found:
        known = self._models.known(embeds=embeds)
        if ":" not in fragment:
            known = [name.removesuffix(":latest") for name in known]
        found = (name for name in dict.fromkeys(known) if name.lower().startswith(fragment.lower()))
        return Found(fragment, tuple((name, "model") for name in found))


def _options_of(parser: Any) -> dict[str, Any]:
    """Return the options by their spellings."""
    return {option: action for action in parser._actions for option in action.option_strings}  # noqa: SLF001 - no public way


def _chats() -> Iterable[str]:
    session = form.shared().session
    return sorted(filter(None, session.conversations)) if session else ()


def _data(typed: _Typed) -> str:
    """Return the expression after --each, or an empty text."""
    return (typed.get("each") or [""])[-1]


def _read_line(text: str, options: Mapping[str, Any], magic: str) -> _Line:
    """Return what is typed up to the cursor; words that the magic itself would refuse are passed over."""
    line, position = _Line(), 0
    while (found := next_word(text, position, options, line.waiting)) and found.end() < len(text):
        word, position = found[1], found.end()
        if line.waiting is not None and (line.waiting.nargs is None or not word.startswith("-")):
            line.options[line.waiting.dest].append(unquoted(word, line.waiting))
            line.waiting = None
        elif word.startswith("-") and word != "--":
            _read_option(word, options, magic, line)
        elif magic in _WITH_PROMPT:
            line.in_prompt, line.waiting = True, None
            break
    line.fragment = text[position:].lstrip()
    if line.waiting is not None and line.waiting.nargs and line.fragment.startswith("-"):
        line.waiting = None
    return line


def _read_option(word: str, options: Mapping[str, Any], magic: str, line: _Line) -> None:
    option, value = attached(word, options)
    line.waiting = None
    if option is not None:
        line.options.setdefault(option.dest, []).append(unquoted(value, option))
    elif option := options.get(word):
        line.options.setdefault(option.dest, [])
        if option.nargs is None or (option.nargs == "?" and magic == "ollama_config"):
            line.waiting = option
