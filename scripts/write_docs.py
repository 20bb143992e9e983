"""Writes the tables of options, settings and error codes into the pages under docs/, from the code."""

# python scripts/write_docs.py          writes the pages anew
# python scripts/write_docs.py --check  writes nothing, prints what differs, and ends with status 1 if anything does

from __future__ import annotations

import argparse
import difflib
import functools
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import ollama_magics
from ollama_magics import messages
from ollama_magics.diagnosis import advice_table
from ollama_magics.messages.errors_en import ERRORS
from ollama_magics.settings import form as settings

ROOT = Path(__file__).parents[1]
# <!-- begin: NAME --> ... <!-- end: NAME -->
PART = re.compile(r"(?P<begin><!-- begin: (?P<name>[^>]+?) -->\n)(?P<old>.*?)(?P<end><!-- end: (?P=name) -->)", re.DOTALL)
OPTIONS = "options of %"  # followed by the name of a magic
SETTINGS = "settings"
CODES = "error codes"
ADVICE = "advice"


@functools.cache
def parsers() -> dict[str, ArgumentParser]:
    """Return the parser of each magic by the magic's name, as IPython has it after %load_ext."""
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    before = _magics(shell)
    ollama_magics.load_ipython_extension(shell)
    found = {name: magic.parser for name, magic in _magics(shell).items() if name not in before}
    ollama_magics.unload_ipython_extension(shell)
    InteractiveShell.clear_instance()
    return found


def _magics(shell: Any) -> dict[str, Any]:
    return {name: magic for kind in shell.magics_manager.magics.values() for name, magic in kind.items()}


def table(name: str) -> str:
    """Return the text of a generated part; raises ValueError for a name that stands for nothing."""
    whole = {SETTINGS: _settings_table, CODES: _codes_table, ADVICE: _advice_table}
    if name in whole:
        return whole[name]()
    magic = name.removeprefix(OPTIONS)
    if not name.startswith(OPTIONS) or magic not in parsers():
        known = ", ".join([*whole, *(f"{OPTIONS}{magic}" for magic in parsers())])
        message = f"nothing is generated under the name {name!r}; there are: {known}"
        raise ValueError(message)
    return _options_tables(magic)


def _settings_table() -> str:
    rows = [
        (
            f"`{name}`",
            f"`{settings.flag(name)}`",
            settings.shown(settings.default(name)),
            settings.limits(name),
            settings.unit(name),
            settings.explain(name),
        )
        for name in settings.names()
    ]
    return _markdown(("setting", "flag", "default", "range", "unit", "meaning"), rows)


def _codes_table() -> str:
    """Return a row with an anchor for each code; facts are in capitals, as in ollama pull MODEL."""
    rows = []
    for code in sorted(ERRORS):
        facts = {name: name.upper() for part in ERRORS[code] for _, name, _, _ in Formatter().parse(part) if name}
        texts = [messages.fill(part, facts).replace("\\", "\\\\").replace("\n", " <br> ") for part in ERRORS[code]]
        rows.append((f'<a id="{code}"></a>`{code}`', *texts))
    return _markdown(("code", "what is wrong", "how we know", "what to type"), rows)


_WHERE = {"refused": "connection refused", "silent": "no answer", "unknown": "unknown name"}
_EXAMPLE = {"host": "gpu-box", "port": "11434", "bind": "ADDRESS:11434", "network": "192.168.1.0/24", "gateway": "172.20.64.1"}


def _advice_table() -> str:
    """Return a row for each row of the table of advice, with the lines for all systems."""
    rows = []
    for row in advice_table.TABLE:
        keys = [key.replace("*", system) for key in row.lines for system in (advice_table.SYSTEMS if "*" in key else ("",))]
        lines = [messages.phrase(key, **_EXAMPLE) for key in keys] or [messages.fill(ERRORS[row.code][2], _EXAMPLE)]
        typed = " <br> ".join(_as_code(line) for line in "\n".join(lines).splitlines())
        place = (", ".join(words) or "anywhere" for words in (row.kernel, row.target))
        rows.append((_WHERE[row.outcome], *place, typed))
    return _markdown(("what came back", "the notebook runs in", "the server is", "what to type"), rows)


def _as_code(line: str) -> str:
    """Return a line of advice with its command as code."""
    before, colon, command = line.rpartition(": ")
    is_command = bool(re.match(r"%|sudo |open |New-" if not colon else r"%|[a-z]+ [\w-]|New-", command))
    plain, code = (f"{before}{colon}", command) if is_command else (line, "")
    return plain + (f"`{code}`" if code else "")


def _options_tables(magic: str) -> str:
    """Return the options as one table, or as one for each group that has a title of its own."""
    groups = [(group.title, _rows(magic, group._group_actions)) for group in parsers()[magic]._action_groups]  # noqa: SLF001 - argparse has no public way
    groups = [(title, rows) for title, rows in groups if rows]
    if len(groups) == 1:
        return _markdown(("option", "meaning"), groups[0][1])
    return "\n".join(f"**{_capital(title)}**\n\n{_markdown(('option', 'meaning'), rows)}" for title, rows in groups)


def _rows(magic: str, actions: Iterable[Any]) -> list[tuple[str, ...]]:
    """Return the rows of the table; the options that set a setting stand in the table of settings instead."""
    elsewhere = {settings.flag(name) for name in settings.names()} if magic == "ollama_config" else set()
    shown = [action for action in actions if action.option_strings and not elsewhere & set(action.option_strings)]
    return [(_spelling(action), _help(action)) for action in shown]


def _spelling(action: Any) -> str:
    *short, last = action.option_strings
    is_flag = action.nargs == 0 or (action.nargs == "?" and not action.metavar)
    if is_flag:
        return ", ".join(f"`{option}`" for option in action.option_strings)
    value = action.metavar or action.dest.upper()
    last += f"[={value}]" if action.nargs == "?" else f" {value}"
    return ", ".join(f"`{option}`" for option in [*short, last])


def _help(action: Any) -> str:
    return (action.help or "").replace("%%", "%")


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    # a name in double braces or angle brackets is shown as it is, not read as markup
    words = re.sub(r"(?<!`)(\{\{\w+\}\})(?!`)", r"`\1`", " ".join(text.split()))
    words = re.sub(r"<(?!a id=|/a>|br>)", "&lt;", words)
    return words.replace("|", "\\|")


def _capital(text: str | None) -> str:
    return f"{text[:1].upper()}{text[1:]}" if text else ""


def written(text: str) -> str:
    """Return a page with its generated parts made anew."""
    return PART.sub(lambda part: part["begin"] + table(part["name"]) + part["end"], text)


def pages() -> list[Path]:
    """Return the pages that may hold generated parts."""
    return sorted((ROOT / "docs").glob("*.md"))


def differences() -> Iterator[str]:
    """Yield the lines in which the pages differ from what would be written."""
    for path in pages():
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(ROOT))
        yield from difflib.unified_diff(
            text.splitlines(), written(text).splitlines(), name, f"{name} (from the code)", lineterm=""
        )


def main(words: Sequence[str] | None = None) -> int:
    """Write the pages, or compare them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; print what differs")
    if parser.parse_args(words).check:
        found = list(differences())
        print("\n".join([*found, "Run: make docs"] if found else ["docs/ is up to date."]))
        return 1 if found else 0
    for path in pages():
        text = path.read_text(encoding="utf-8")
        if (new := written(text)) != text:
            path.write_text(new, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
