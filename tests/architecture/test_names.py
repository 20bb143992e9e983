"""Public names: none is also a module's, each is used, and the listed ones are there."""

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import ollama_magics

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ollama_magics"
MODULES = {path.relative_to(PACKAGE): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
ENTRY_POINTS = {
    Path("__init__.py"),
    Path("__main__.py"),
    Path("integrations/pytest_plugin.py"),
}  # what they define is used from outside
VAGUE = re.compile(r"(^|_)(manager|handler|helper|util|utils|base|service|core|misc|common)(_|$)")


def public_names(text: str) -> Iterator[str]:
    """Yield the public functions, classes and constants that a module defines."""
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def words(texts: Iterator[str]) -> Counter[str]:
    """Return how often each word occurs in the texts."""
    return Counter(word for text in texts for word in re.findall(r"\w+", text))


def test_no_public_name_is_also_the_name_of_a_module() -> None:
    """Importing a submodule would rebind such a name on the package."""
    modules = {path.parts[0].removesuffix(".py") for path in MODULES}
    assert not modules & set(ollama_magics.__all__)


def test_listed_names_exist_and_are_used_in_a_test_or_a_notebook() -> None:
    """Each public name exists, has a docstring, and somebody uses it."""
    undocumented = [name for name in ollama_magics.__all__ if not getattr(ollama_magics, name).__doc__]
    users = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    used = words(path.read_text(encoding="utf-8") for path in users if path != Path(__file__))
    unused = [name for name in ollama_magics.__all__ if not used[name]]
    assert (undocumented, unused) == ([], [])


def test_a_name_that_is_not_listed_is_an_attribute_error() -> None:
    """The package says so in Python's own way, so that hasattr() works."""
    assert not hasattr(ollama_magics, "nonsense")
    assert set(ollama_magics.__all__) <= set(dir(ollama_magics))


def test_public_names_of_modules_are_used_twice() -> None:
    """What nobody else uses is private or dead: a public name occurs at least once besides its definition."""
    used = words(iter(MODULES.values()))
    names = [(path, name) for path, text in MODULES.items() if path not in ENTRY_POINTS for name in public_names(text)]
    offenders = [f"{path}: {name} is defined and never used" for path, name in names if used[name] < 2]
    assert not offenders, "\n".join(offenders)


def test_names_say_something() -> None:
    """No module, class or function is called after nothing in particular, but for the methods that other libraries call."""
    offenders = []
    for path, text in MODULES.items():
        defined = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        offenders += [
            f"{path}: {name}" for name in [path.stem, *defined] if VAGUE.search(name.lower()) and not name.startswith("__")
        ]
    assert not offenders, "\n".join(offenders)


def test_the_version_is_the_one_of_the_package() -> None:
    """One version: the module's is the one in pyproject.toml."""
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert declared
    assert importlib.import_module("ollama_magics").__version__ == declared[1]
