"""Fit what an error advises to type to where it is shown: a notebook, a shell or Python, and there perhaps the check."""

from __future__ import annotations

import re
from collections.abc import Iterator

# The texts are written for a cell of a notebook. In them a command is a line, what follows ": " up to the end of a line, or a
# magic or an option anywhere. A place is written in words: "notebook", "shell" or "python", with "check" or "config" where an
# error is shown by one of these, for which "ask the check" is no advice. For Python, python_words changes the words, too.

_VALUE = r"""(?:"[^"]*"|'[^']*'|\$?[^\s,;，；。（()"'-][^\s,;，；。（()]*)"""
_OPTIONS = rf"(?: --[a-z][\w-]*(?:[ =]{_VALUE})?)*"
_MAGIC = re.compile(rf"%ollama_(config|check)({_OPTIONS})")
_PAIR = re.compile(rf"--([a-z][\w-]*)(?:[ =]({_VALUE}))?")
_PYTHON = re.compile(r"(?:import|from) \w|\w+ = ")
_PASSWORD = re.compile(r"(\w+) = f\".*getpass")
_NOTEBOOK_ONLY = {"show", "unset", "save", "profiles", "forget", "export", "import", "record"}


def fit(remedy: str, place: str) -> str:
    """Return the lines of a remedy as they can be typed there, without those that cannot; perhaps an empty text."""
    parts = re.split(r"\n| {3}· {3}" if place.startswith("shell") else r"\n", remedy)
    lines: dict[str, str] = {}  # by the command, which stands once
    for line in (line for part in parts for line in _fitted(part, place) if line):
        command = _MAGIC.search(line) if place != "notebook" else None
        lines.setdefault(command[0] if command else line, line)
    return "\n".join(lines.values())


def _fitted(line: str, place: str) -> Iterator[str]:
    inside, front = place.partition(" ")[2], place.partition(" ")[0]
    if inside == "check" and re.search(r"%ollama_check(?! --deep)", line):
        return
    if inside or front == "shell":  # an option of a cell is none of a check, a form or a command
        line = re.sub(rf"(?<![\w-])-m ({_VALUE})", r"%ollama_config --model \1", line)
    if front != "shell":
        yield line
        return
    if any(name in _NOTEBOOK_ONLY for found in _MAGIC.finditer(line) for name, _ in _PAIR.findall(found[2])):
        return
    fitted = _in_shell(line)
    yield "" if re.search(r"%ollama|%embed", fitted) else fitted


def _in_shell(line: str) -> str:
    """Return a line for a terminal; an empty one where it is Python."""
    if password := _PASSWORD.match(line):
        return f'read -rsp "{password[1]}: " {password[1]}'
    if "subprocess.Popen" in line:
        return "ollama serve &"
    if _PYTHON.match(line):
        return ""

    def command(found: re.Match[str]) -> str:
        if "--sandbox" in found[2]:
            return "python -m ollama_magics sandbox"
        options = re.sub(r"--api-key(?![\w-])", "--api-key-env OLLAMA_KEY", found[2])
        return f"python -m ollama_magics check{options}"

    line = re.sub(r"%ollama_(models|show|pull|stop|rm)\b", r"python -m ollama_magics \1", line)
    line = re.sub(r"%pip ", "python -m pip ", line.removeprefix("!"))
    return _MAGIC.sub(command, line)
