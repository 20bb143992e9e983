"""A prompt or a system prompt from a file, and a path that is never taken for a text."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.conversation.reply import answer_view
from ollama_magics.errors import PromptProblem
from ollama_magics.fake_server.server import FakeServer


def sent(stand_in: FakeServer) -> list[tuple[str, str]]:
    """Return role and text of each message of the last prompt."""
    body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
    return [(message["role"], message["content"]) for message in body["messages"]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a prompt, and a system prompt with a byte order mark and line ends of Windows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "sys.txt").write_bytes(b"\xef\xbb\xbfBe {{how}}.\r\nAlways: \xe6\x95\xb0.")
    (tmp_path / "my task.md").write_text("Count {{what}}.\n", encoding="utf-8")
    return tmp_path


FROM_FILES = [
    "%%ollama --once -s @prompts/sys.txt --prompt-file 'my task.md'",
    "%%ollama --once -s @prompts/sys.txt -p 'my task.md'\n",
    "%ollama --once -s @prompts/sys.txt --prompt-file='my task.md'",
    "%ollama --once --system '@prompts/sys.txt' -p $task",
]


@pytest.mark.finding("A15")
@pytest.mark.parametrize("cell", FROM_FILES)
@pytest.mark.usefixtures("folder")
def test_prompts_come_from_files(cell: str, shell: Any, stand_in: FakeServer) -> None:
    """Braces in them are filled, and the provenance names the files."""
    shell.run("how, what, task = 'kind', 'sheep', 'my task.md'")
    shell.run(cell)
    assert sent(stand_in) == [("system", "Be kind.\nAlways: 数."), ("user", "Count sheep.\n")]
    files = answer_view(shell.names["_ollama"]).provenance["files"]
    assert [file["name"] for file in files] == ["my task.md", "sys.txt"]
    assert files[0]["sha256"] == hashlib.sha256(b"Count {{what}}.\n").hexdigest()[:12]


@pytest.mark.finding("A15")
@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%ollama -s prompts/sys.txt Hi", "-s @"),
        ("%ollama -s ./prompts/sys.txt Hi", "-s @"),
        ("%%ollama --system 'my task.md'\nHi", "-s @"),
        ("%ollama -s $path Hi", "-s @"),
        ("%ollama_config --system prompts/sys.txt\n%ollama Hi", "-s @"),
        ("%ollama_config --system @prompts/sys.txt\n%ollama Hi", "-s @"),
    ],
)
def test_a_path_is_not_taken_for_a_system_prompt(cell: str, said: str, shell: Any, folder: Path, stand_in: FakeServer) -> None:
    """Typed on the line, in a variable or in the settings."""
    shell.run(f"path = {str(folder / 'my task.md')!r}")
    before = len(stand_in.requests)
    error, shown = shell.fail(cell)
    assert (getattr(error, "code", shown), said in shown) == ("text-is-path", True)
    assert not [path for _, path, _ in stand_in.requests[before:] if path == "/api/chat"]


@pytest.mark.finding("A15")
def test_a_path_is_no_system_prompt_in_python(shell: Any, folder: Path) -> None:
    """The remedy is a line of Python."""
    assert shell.names
    path = str(folder / "my task.md")
    for call in (lambda: om.chat("Hi", system=path), lambda: om.map(["a"], "{{item}}", system=path)):
        with pytest.raises(PromptProblem) as caught:
            call()
        assert (caught.value.code, caught.value.remedy) == ("text-is-path", f'system=open("{path}").read()')


@pytest.mark.finding("A15")
def test_other_system_prompts_stay_texts(shell: Any, stand_in: FakeServer, folder: Path) -> None:
    """Those with spaces, the name of a folder, one in a variable that begins with @."""
    shell.run("text = '@home {{x}}'")
    for typed, system in (("'Be kind.'", "Be kind."), ("prompts", "prompts"), ("sys.txt", "sys.txt"), ("$text", "@home {{x}}")):
        shell.run(f"%ollama --once -s {typed} Hi")
        assert sent(stand_in)[0] == ("system", system)
    assert (folder / "prompts").is_dir()


BAD = [
    ("prompts/sus.txt", "contains sys.txt"),
    ("nowhere/sys.txt", "There is no folder"),
    ("prompts", "It is a folder"),
    ("latin.txt", "Byte 3 is no UTF-8"),
    ("large.txt", "2.1 GB; the limit is 4 MB"),
    ("pipe", "It is a pipe"),
    ("/dev/zero", "It is a device"),
    ("locked.txt", "reports"),
    ("blank.txt", "It is empty"),
    ("data.bin", "NUL"),
    ("report.pdf", "It is PDF, which goes with a prompt: -i report.pdf"),
    ("fig.png", "-i fig.png"),
    ("half.txt", "like UTF-16"),
    ("nul\0.txt", " contains "),
    ('""', "The name of a file is needed"),
    ('"  "', "The name of a file is needed"),
]


@pytest.mark.finding("A15")
def test_a_file_that_cannot_be_read_says_why(shell: Any, folder: Path) -> None:
    """With the nearest name; a pipe is not waited for, and of a large file nothing is read."""
    (folder / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (folder / "blank.txt").write_bytes(b"\xef\xbb\xbf \r\n")
    (folder / "data.bin").write_bytes(b"ab\0c")
    (folder / "report.pdf").write_bytes(b"%PDF-1.7\n%\xe2\xe3\n")
    (folder / "fig.png").write_bytes(b"\x89PNG\r\n\0")
    (folder / "half.txt").write_bytes(b"\xff\xfea")
    os.mkfifo(folder / "pipe")
    (folder / "locked.txt").touch(mode=0)
    with (folder / "large.txt").open("wb") as file:
        file.truncate(2**31)  # takes no space on the disk
    may_read_all = os.access(folder / "locked.txt", os.R_OK)
    wrong = []
    for name, said in BAD:
        for line in (f"-s @{name} Hi", f"-p {name}"):
            error, shown = shell.fail(f"%ollama --once {line}")
            is_right = getattr(error, "code", shown) == "prompt-file-unreadable" and said in shown
            wrong += [] if is_right or (name == "locked.txt" and may_read_all) else [f"{line}: {shown}"]
    (folder / "large.txt").unlink()  # the files of all tests are searched for keys
    assert not wrong, "\n".join(wrong)


def test_a_file_may_have_any_unicode_encoding(shell: Any, stand_in: FakeServer, folder: Path) -> None:
    """UTF-16 and UTF-32 by their byte order marks, as Windows writes them."""
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        (folder / "task.txt").write_bytes("Wie spät? 数\r\nJetzt.".encode(encoding))
        shell.run("%ollama --once -p task.txt")
        assert sent(stand_in) == [("user", "Wie spät? 数\nJetzt.")]


@pytest.mark.usefixtures("folder")
def test_a_prompt_has_one_place(shell: Any) -> None:
    """Not a cell and a file."""
    for cell in ("%%ollama -p 'my task.md'\nHi", "%ollama -p 'my task.md' Hi"):
        _, shown = shell.fail(cell)
        assert "one of them" in shown
