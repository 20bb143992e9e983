"""Public names: none is also a module's, each is used, and the listed ones are there."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ollama_magics

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ollama_magics"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOORS = {"__init__.py", "__main__.py"}  # what they define is used from outside
VAGUE = re.compile(r"(^|_)(manager|handler|helper|util|utils|base|service|core|misc|common)(_|$)")


def _short(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def public_names(path: Path) -> Iterator[str]:
    """Yield the public functions, classes and constants that a module defines."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def test_no_public_name_is_also_the_name_of_a_module() -> None:
    """Importing a submodule would rebind such a name on the package."""
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert not rooms & set(ollama_magics.__all__)


@pytest.mark.parametrize("name", ollama_magics.__all__)
def test_a_listed_name_is_there_and_is_used_in_a_test_or_a_notebook(name: str) -> None:
    """Each public name exists and somebody uses it."""
    assert getattr(ollama_magics, name).__doc__
    users = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    assert any(re.search(rf"\b{name}\b", path.read_text(encoding="utf-8")) for path in users if path != Path(__file__))


def test_a_name_that_is_not_listed_is_an_attribute_error() -> None:
    """The package says so in Python's own way, so that hasattr() works."""
    assert not hasattr(ollama_magics, "nonsense")
    assert set(ollama_magics.__all__) <= set(dir(ollama_magics))


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent != PACKAGE or p.name not in DOORS], ids=_short)
def test_a_public_name_of_a_room_is_used_twice(path: Path) -> None:
    """What nobody else uses is private or dead: a public name occurs at least once besides its definition."""
    texts = {other: other.read_text(encoding="utf-8") for other in MODULES}
    for name in public_names(path):
        uses = sum(len(re.findall(rf"\b{name}\b", text)) for text in texts.values())
        assert uses >= 2, f"{name} is defined and never used"


@pytest.mark.parametrize("path", MODULES, ids=_short)
def test_names_say_something(path: Path) -> None:
    """No module, class or function is called after nothing in particular."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = [node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    vague = [name for name in [path.stem, *defined] if VAGUE.search(name.lower())]
    assert not vague


def test_the_version_is_the_one_of_the_package() -> None:
    """One version: the module's is the one in pyproject.toml."""
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert declared
    assert importlib.import_module("ollama_magics").__version__ == declared[1]
