"""The README and the pages under docs/ agree with the code, and their links lead somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ollama_magics.messages.errors_en import ERRORS
from ollama_magics.settings import form as settings
from tests.shells import loaded_shell

ROOT = Path(__file__).parents[2]
READMES = (ROOT / "README.md", ROOT / "README.zh.md")
PAGES = (*READMES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")))
MOST_WORDS = 700  # in the README

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
MAGIC = re.compile(r"%%?(ollama\w*|embed)\b")
ANCHOR = re.compile(r'<a id="([\w-]+)">')
COMMENT = re.compile(r"^ *#.*\n", re.MULTILINE)
# whose options are not ours
OTHER_PROGRAMS = (
    "start.py",
    "make ",
    "pip ",
    "pytest ",
    "jupyter execute ",
    "papermill ",
    "ollama ",
    "tailscale ",
    "docker ",
    "--add-host",
    "wsl ",
    "cloudflared ",
)
SHELL_COMMANDS = ("check", "models", "show", "pull", "stop", "rm", "sandbox")


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a shell with the extension loaded."""
    with loaded_shell(monkeypatch, tmp_path_factory.mktemp("ipython")) as shell:
        yield shell


@pytest.fixture
def options(shell: Any) -> dict[str, set[str]]:
    """Return the options of each magic by its name."""
    magics = {name: magic for kind in shell.magics_manager.magics.values() for name, magic in kind.items()}
    ours = {
        name: magic for name, magic in magics.items() if (getattr(magic, "__module__", None) or "").startswith("ollama_magics")
    }
    return {name: set(magic.parser._option_string_actions) for name, magic in ours.items()}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _blocks(text: str) -> list[tuple[str, str]]:
    """Return the fenced blocks with their languages."""
    return BLOCK.findall(text)


def _anchors(text: str) -> set[str]:
    """Return what # in a link may name: anchors, and headings as the usual renderers of Markdown write them."""
    titles = (title.replace("`", "") for _, title in HEADING.findall(BLOCK.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles} | set(ANCHOR.findall(text))


def test_the_tables_on_the_pages_follow_from_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options and settings are declared once; what differs is printed, and `make docs` writes it."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    command = [sys.executable, "scripts/write_docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def test_the_table_of_settings_follows_from_their_declaration() -> None:
    """Each setting is declared once; the failure prints the table."""
    rows = [
        f"| `{name}` | `{settings.flag(name)}` | {settings.shown(settings.default(name))} | {settings.limits(name)} "
        f"| {settings.unit(name)} | {settings.explain(name)} |"
        for name in settings.names()
    ]
    table = "\n".join(rows)
    assert table in _read(ROOT / "docs" / "settings.md"), f"\n{table}"


def test_every_error_code_has_a_row_that_can_be_linked() -> None:
    """A code of an error leads to its explanation."""
    page = _read(ROOT / "docs" / "errors.md")
    assert [anchor for anchor in ANCHOR.findall(page) if f"`{anchor}`" in page] == sorted(ERRORS)


def test_every_path_that_the_guide_names_exists() -> None:
    """Modules and folders, from the root or from the package."""
    codes = CODE.findall(BLOCK.sub("", _read(ROOT / "CONTRIBUTING.md")))
    paths = [word for code in codes for word in code.split() if word.endswith((".py", "/"))]
    assert paths
    assert not [path for path in paths if not ((ROOT / path).exists() or (ROOT / "ollama_magics" / path).exists())]


def test_every_magic_has_its_table(options: dict[str, set[str]]) -> None:
    """No magic that has options is without a table of them."""
    text = "\n".join(map(_read, PAGES))
    assert "settings" in re.findall(r"<!-- begin: (.+) -->", text)
    assert set(re.findall(r"<!-- begin: options of %(\w+) -->", text)) == {magic for magic, found in options.items() if found}


def test_every_option_that_a_page_names_exists(options: dict[str, set[str]]) -> None:
    """An option in backticks, or in a block of Python or of a cell, is one of the magic's, or of any of them."""
    shell_options = set().union(*map(_shell_options, SHELL_COMMANDS))
    wrong = [
        f"{_name(path)}: {option} in {code!r}"
        for path in PAGES
        for code in _codes(_read(path))
        for option in OPTION.findall(code)
        if option not in _known(code, options, shell_options)
    ]
    assert not wrong, "\n".join(wrong)


def _codes(text: str) -> Iterator[str]:
    """Yield what stands in backticks, and the lines of blocks, without what belongs to other programs."""
    lines = [line for _, block in _blocks(text) for line in block.splitlines()]
    inline = CODE.findall(BLOCK.sub("", text))
    yield from (code for code in [*inline, *lines] if not any(program in code for program in OTHER_PROGRAMS))


def _known(code: str, options: dict[str, set[str]], shell_options: set[str]) -> set[str]:
    """Return the options that may stand in the code."""
    if named := MAGIC.search(code):
        return options[named[1]]
    return shell_options if "python -m ollama_magics" in code else shell_options.union(*options.values())


def _shell_options(command: str) -> set[str]:
    words = [sys.executable, "-m", "ollama_magics", command, "--help"]
    return set(OPTION.findall(subprocess.run(words, capture_output=True, text=True, check=True).stdout))


def test_every_link_to_a_file_or_heading_leads_somewhere() -> None:
    """Relative links name a file of the repository, and a heading that it has."""
    wrong = []
    for path in PAGES:
        for target in LINK.findall(BLOCK.sub("", _read(path))):
            place, _, anchor = target.partition("#")
            if "://" in target:
                continue
            file = (path.parent / place).resolve() if place else path
            if not file.exists() or (anchor and anchor not in _anchors(_read(file))):
                wrong.append(f"{_name(path)}: {target}")
    assert not wrong, "\n".join(wrong)


def test_every_page_is_listed() -> None:
    """A reader finds each page of docs/ from its index, and the index from the README."""
    index = ROOT / "docs" / "index.md"
    assert {path.name for path in index.parent.glob("*.md")} == {*re.findall(r"\]\((\w+\.md)\)", _read(index)), index.name}
    assert all("docs/index.md" in LINK.findall(_read(readme)) for readme in READMES)


def test_every_block_of_python_is_python_of_a_notebook(shell: Any) -> None:
    """A block parses once IPython has turned the magics into calls; no magic swallows a comment as its argument."""
    wrong = []
    for path in PAGES:
        for block in (block for language, block in _blocks(_read(path)) if language == "python"):
            try:
                tree = ast.parse(shell.input_transformer_manager.transform_cell(block))
            except SyntaxError as error:
                wrong.append(f"{_name(path)}: {error}\n{block}")
                continue
            wrong += [f"{_name(path)}: a comment after {line!r}" for line in _magic_lines(tree) if " #" in line]
    assert not wrong, "\n".join(wrong)


def _magic_lines(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="run_line_magic"), args=[_, ast.Constant(line)]):
                yield str(line)


def test_the_readme_is_short_and_names_the_commands() -> None:
    """The README is a page that is read in two minutes."""
    text = _read(ROOT / "README.md")
    assert len(text.split()) <= MOST_WORDS
    assert {"make demo", "make test"} <= set(text.splitlines())


def test_both_readmes_say_the_same() -> None:
    """The Chinese README has the same headings, blocks, pictures and links; comments in code are translated."""
    english, chinese = map(_read, READMES)
    for found in (_levels, _uncommented, _targets):
        assert found(chinese) == found(english)
    assert READMES[1].name in LINK.findall(english)
    assert READMES[0].name in LINK.findall(chinese)


def _levels(text: str) -> list[int]:
    return [len(signs) for signs, _ in HEADING.findall(BLOCK.sub("", text))]


def _uncommented(text: str) -> list[tuple[str, str]]:
    return [(language, COMMENT.sub("", block)) for language, block in _blocks(text)]


def _targets(text: str) -> list[str]:
    return sorted({*LINK.findall(text)} - {readme.name for readme in READMES})


def test_every_make_target_and_choice_of_tests_exists() -> None:
    """`make NAME` is a target, and each word of `-k` stands in the name of a test or of its file."""
    text = "\n".join(map(_read, PAGES))
    targets = set(re.findall(r"^([a-z]+):", _read(ROOT / "Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    names = "\n".join(line for path in files for line in (_name(path), *re.findall(r"def (test_\w+)", _read(path))))
    chosen = {word for words in re.findall(r"PYTEST_ARGS=\"[^\"]*-k ('[^']+'|\w+)", text) for word in re.findall(r"\w+", words)}
    assert chosen - {"or", "and", "not"}
    assert not [word for word in chosen - {"or", "and", "not"} if word not in names]
