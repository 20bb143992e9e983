"""What importing the package and loading the extension cost, counted in a fresh interpreter."""

import json
import subprocess
import sys

STANDARD = set(sys.stdlib_module_names)

COUNT = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("%load_ext storemagic")  # what IPython itself needs to run a cell and to load an extension
before = set(sys.modules)
opened = []
sys.addaudithook(lambda event, args: opened.append((event, str(args[0])))
    if event == "socket.connect" or event == "open" and not str(args[0]).endswith((".py", ".pyc", ".so")) else None)
shell.run_cell("%load_ext ollama_magics")
print(json.dumps({"modules": sorted(set(sys.modules) - before), "opened": opened}))
"""


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_brings_in_no_third_party_module() -> None:
    """`import ollama_magics` costs the standard library and itself."""
    code = "import sys; before = set(sys.modules); import ollama_magics; print(*(set(sys.modules) - before))"
    assert {name.split(".")[0] for name in _run(code).split()} <= STANDARD | {"ollama_magics"}


def test_the_first_call_brings_in_what_chat_needs_and_no_more() -> None:
    """Neither NumPy, which embeddings need, nor the stand-in, the check or what reads pictures and tables."""
    heavy = {"numpy", "PIL", "narwhals", "jsonschema", "tqdm", "IPython", "ipywidgets"}
    heavy |= {"ollama_magics.fake_server", "ollama_magics.diagnosis"}
    code = "import sys, ollama_magics as om; om.chat; om.embed; om.configure; om.map; print(*sys.modules)"
    assert not heavy & set(_run(code).split())


def test_the_first_call_makes_few_dataclasses() -> None:
    """Python writes and compiles the methods of each: half a millisecond, of a Struct it does not. Those that users see stay."""
    code = (
        "import dataclasses, sys, ollama_magics as om; om.chat\n"
        "modules = [module for name, module in sys.modules.items() if name.startswith('ollama_magics')]\n"
        "kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}\n"
        "print(*(kind.__name__ for kind in kinds if dataclasses.is_dataclass(kind)))"
    )
    seen = {"PullProgress", "RenderedPrompt", "Stats", "ToolCall", "ToolResult", "Turn"}
    assert set(_run(code).split()) <= seen | {"Address", "ConnectionOptions", "FileFormat", "Sound", "_Member"}


def test_loading_the_extension_is_light_and_touches_nothing() -> None:
    """%load_ext imports four modules, opens no file but code, and connects nowhere; what else a magic needs comes at its use.

    A magic is a line of the table in ``notebook/magics/__init__.py``; what is registered beside it imports within functions.
    """
    found = json.loads(_run(COUNT).splitlines()[-1])
    assert len(found["modules"]) <= 5, found["modules"]
    assert found["opened"] == []
