"""The house rules that a reader could not see from one file: who may import whom, and that a module is one sentence."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ollama_magics"

# room: what it may import of ours
OURS: dict[str, set[str]] = {
    "__init__": {"magics", "api", "conversation", "estimator", "errors"},
    "__main__": {"api", "errors", "settings", "standin"},
    # conversation, diagnosis, embedding and reply: only for type checkers
    "magics": {
        "arguments",
        "api",
        "commands",
        "distributed",
        "panel",
        "prompt",
        "session",
        "display",
        "settings",
        "secret",
        "texts",
        "errors",
        "diagnosis",
        "embedding",
        "reply",
        "conversation",
    },
    "commands": {"session", "profiles", "display", "settings", "secret", "texts", "errors"},
    "arguments": {"settings", "errors"},
    "api": {
        *{"conversation", "distributed", "embedding", "prompt", "pulling", "session", "standin", "errors", "texts"},
        *{"diagnosis", "reply"},
    },
    "pulling": {"client", "refusal", "texts", "errors"},
    "estimator": {"access", "embedding", "session", "errors"},
    "distributed": {"access", "settings", "errors"},
    "access": {"texts", "address", "secret", "session", "settings", "errors"},
    "panel": {"detected", "installed", "secret", "session", "diagnosis", "settings", "wire", "texts", "errors"},
    "session": {
        *{"reply", "conversation", "embedding", "diagnosis", "images", "fill", "client", "fetching", "installed", "recording"},
        *{"settings", "store", "precedence", "prompt", "transport", "address", "wire", "texts", "errors", "budget"},
        *{"schema", "tools"},
    },
    "precedence": {"profiles", "settings", "address", "secret", "errors"},
    "detected": {"settings", "texts", "wire"},
    "prompt": {"conversation", "images", "settings", "texts", "errors"},
    "profiles": {"settings", "secret", "texts", "errors"},
    "display": {"reply", "conversation", "markup", "wire", "texts"},
    "diagnosis": {
        *{"client", "installed", "wire", "address", "texts", "errors"},
        *{"transport", "failure", "refusal"},
    },
    "embedding": {"client", "installed", "settings", "store", "wire", "texts", "errors"},
    "store": set(),
    "reply": {"budget", "conversation", "schema", "tools", "wire", "markup", "texts", "errors"},
    "budget": {"conversation", "wire", "errors"},
    "conversation": {"wire"},
    "installed": {"client", "refusal", "wire", "texts", "errors"},
    "tools": {"schema", "texts", "errors"},
    "schema": {"errors"},
    "markup": {"texts"},
    "images": {"texts", "errors"},
    "fill": {"texts", "errors"},
    "fetching": {"transport", "refusal", "texts", "errors"},
    "recording": {"texts", "errors"},
    "headers": {"address", "secret", "transport", "texts", "errors"},
    "client": {"failure", "headers", "transport", "refusal", "wire", "address", "texts", "errors"},
    "failure": {"transport", "refusal", "address", "texts", "errors"},
    "transport": {"address", "secret", "texts", "errors"},
    "refusal": {"texts", "errors"},
    "wire": {"errors"},
    "address": {"secret", "texts", "errors"},
    "settings": {"secret", "texts", "errors"},
    "errors": {"texts"},
    "secret": set(),
    "texts": set(),
    "standin": set(),
}

# outside package: the rooms that may know it
OUTSIDE: dict[str, set[str]] = {
    "IPython": {"magics", "arguments", "display"},
    "httpx": {"client", "fetching", "headers", "recording", "transport"},
    "httpcore": {"client", "failure", "fetching", "recording", "transport"},
    "dask": {"distributed"},
    "ipywidgets": {"panel"},
    # api, magics, session: for type checkers only
    "numpy": {"api", "distributed", "embedding", "estimator", "images", "magics", "session"},
    "PIL": {"images", "standin"},
    "msgspec": {"budget", "pulling", "recording", "reply", "schema", "tools", "wire", "refusal"},
    "jsonschema": {"schema"},
    "markdown_it": {"markup"},
    "pygments": {"markup"},
    "sklearn": {"estimator"},
    "pandas": {"reply", "schema"},
    "rich": {"display"},
    "simdjson": {"embedding"},
    "tqdm": {"embedding"},
    "traitlets": {"panel", "settings"},  # panel: a field whose text is not echoed
    "platformdirs": {"profiles", "store"},
    "tomlkit": {"profiles"},
}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield each module as (room, path)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def edges() -> dict[str, set[str]]:
    """Return which rooms of ours each room imports."""
    found: dict[str, set[str]] = {room: set() for room, _ in modules()}
    for room, path in modules():
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "ollama_magics" and parts[1] != room and parts[1] in found:
                found[room].add(parts[1])
    return found


def drawing() -> str:
    """Return the import graph as it stands in CONTRIBUTING.md: a line for each room, higher rooms first."""
    graph = edges()
    width = max(map(len, graph))
    lines = [f"{room:{width}} → {', '.join(sorted(graph[room])) or '–'}" for room in _from_the_top(graph)]
    return "\n".join(lines)


def _from_the_top(graph: dict[str, set[str]]) -> list[str]:
    height: dict[str, int] = {}

    def measure(room: str) -> int:
        if room not in height:
            height[room] = 1 + max((measure(below) for below in graph[room]), default=0)
        return height[room]

    return sorted(graph, key=lambda room: (-measure(room), room))


def test_every_import_between_rooms_is_in_the_table() -> None:
    """A room imports only the rooms that the table allows, and the table allows nothing that is not used."""
    assert edges() == OURS


def test_the_rooms_have_no_cycle() -> None:
    """Imports point one way."""
    graph = edges()
    seen: list[str] = []

    def visit(room: str, way: tuple[str, ...]) -> None:
        assert room not in way, " → ".join((*way, room))
        if room not in seen:
            for below in graph[room]:
                visit(below, (*way, room))
            seen.append(room)

    for room in graph:
        visit(room, ())


@pytest.mark.parametrize("package", OUTSIDE)
def test_a_package_from_outside_stays_in_its_rooms(package: str) -> None:
    """Only the rooms in the table know a package from outside."""
    users = {room for room, path in modules() if any(name.split(".")[0] == package for name in imported(path))}
    assert users == OUTSIDE[package]


def test_the_stand_in_knows_only_the_standard_library_and_pillow() -> None:
    """The stand-in is an independent reading of the protocol."""
    foreign = {
        name.split(".")[0]
        for room, path in modules()
        if room == "standin"
        for name in imported(path)
        if name.split(".")[0] in OUTSIDE
    }
    assert foreign == {"PIL"}


@pytest.mark.parametrize(("room", "path"), list(modules()), ids=lambda value: str(getattr(value, "name", value)))
def test_a_module_is_one_sentence(room: str, path: Path) -> None:
    """The docstring of a module is one sentence that says what it is."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{room} has no docstring"
    sentence = docstring.strip()
    assert sentence.endswith(".")
    assert not re.search(r"[.!?]\s+[A-Z]", sentence), f"more than one sentence: {sentence}"


@pytest.mark.parametrize(("room", "path"), list(modules()), ids=lambda value: str(getattr(value, "name", value)))
def test_a_module_and_its_functions_are_small(room: str, path: Path) -> None:
    """A module has at most 300 lines, a function at most 30 with its signature and docstring."""
    text = path.read_text(encoding="utf-8")
    assert room == "texts" or text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 30, f"{node.name}: {length} lines"


def test_the_drawing_in_contributing_matches_the_code() -> None:
    """CONTRIBUTING.md shows the import graph as it is; the failure prints the one to paste."""
    shown = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert drawing() in shown, f"\n{drawing()}"
