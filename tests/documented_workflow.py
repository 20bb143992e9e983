"""Run tests/sample_project by the commands of docs/recording.md and docs/testing.md; ``--named`` names the plugins it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ollama_magics.fake_server.server import FakeServer

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^ +- run: (?!pip )(.*)$", re.MULTILINE)
CUT_OFF = "http://127.0.0.1:9"


def documented(page: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the commands of a page that stand in its blocks, or in the steps of its workflow."""
    found = pattern.findall((DOCS / page).read_text(encoding="utf-8"))
    assert found, f"docs/{page} has no commands"
    return [line.partition("#")[0].strip() for block in found for line in block.splitlines()]


def run(command: str, folder: Path, server: str) -> str:
    """Run one command of a user in the project and return what it wrote."""
    before = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA_", "PYTEST_"))}
    settings = {"OLLAMA_HOST": server, "OLLAMA_MAGICS_CONFIG": str(folder / "none"), "OLLAMA_MAGICS_CACHE": str(folder / "cache")}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{before.get('PATH', '')}"
    if "--named" in sys.argv:  # without the time that other plugins take, and where the package is not installed
        plugins = "-p ollama_magics.integrations.pytest_plugin -p nbval.plugin -p no:cacheprovider"
        settings |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": plugins}
    done = subprocess.run(  # noqa: S602 - typed into a shell, as a user would
        command, shell=True, cwd=folder, env=before | settings | {"PATH": programs}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def main() -> None:
    """Record with a server, then replay without one."""
    [record] = [command for command in documented("recording.md", BLOCK) if command.startswith("jupyter")]
    [replay] = documented("recording.md", STEP)
    record_tests, replay_tests = documented("testing.md", BLOCK)
    with tempfile.TemporaryDirectory() as name, FakeServer(delay=0) as server:
        project = Path(name) / "project"
        shutil.copytree(TESTS / "sample_project", project)
        assert "ollama_sandbox -- " in run("pytest --fixtures", project, CUT_OFF)
        run(record_tests, project, server.url)
        run(record, project, server.url)
        sent = len(server.requests)
        for command in (replay_tests, replay):
            print(command, "\n", run(command, project, CUT_OFF).splitlines()[-1])
        assert len(server.requests) == sent, "a replay asked the server"


if __name__ == "__main__":
    main()
