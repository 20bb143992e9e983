"""Only ordinary files of a limited size are opened, and an error of a missing file says what is there instead."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ollama_magics.conversation import image_sources
from ollama_magics.errors import PictureProblem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with three pictures, one of them under a false name, and a folder."""
    for name, colour in (("b.png", "red"), ("a.png", "blue"), ("c.dat", "green")):
        Image.new("RGB", (4, 4), colour).save(tmp_path / name, "PNG")
    (tmp_path / "d.png").mkdir()
    return tmp_path


def refusal(path: str) -> PictureProblem:
    """Return the error of a path."""
    with pytest.raises(PictureProblem) as caught:
        image_sources.from_path(path)
    assert "…" not in str(caught.value)
    return caught.value


def test_a_pattern_gives_its_files_in_order(folder: Path) -> None:
    """Sorted by name, folders left out."""
    for name in "fechgd":
        (folder / f"{name}1.png").write_bytes((folder / "a.png").read_bytes())
    names = ["a.png", "b.png", "c1.png", "d1.png", "e1.png", "f1.png", "g1.png", "h1.png"]
    assert [picture.source for picture in image_sources.from_path(f"{folder}/*.png")] == names
    assert [picture.source for picture in image_sources.from_path(f"{folder}/**/c.*")] == ["c.dat"]


def test_a_name_that_looks_like_a_pattern_is_a_name_first(folder: Path) -> None:
    """Browsers make names such as ``plot[1].png``."""
    (folder / "a.png").rename(folder / "plot[1].png")
    assert [picture.source for picture in image_sources.from_path(f"{folder}/plot[1].png")] == ["plot[1].png"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.pgn", "contains a.png"),
        ("zzzzzz", "has no file of that name"),
        ("*.gif", "No file matches"),
        ("none/a.png", "There is no folder"),
        ("a.png/b.png", "There is no folder"),
        ("a\0b", "has no file of that name"),
        ("x" * 5000, "name too long"),
        ("~nobody-here/a.png", "There is no folder"),
    ],
)
def test_a_missing_file_says_what_is_there(folder: Path, name: str, text: str) -> None:
    """The nearest name, or the folder that was searched."""
    error = refusal(f"{folder}/{name}")
    assert error.code == "picture-missing"
    assert text in error.how_we_know or text in error.how_we_know.lower()


def test_an_error_of_a_relative_path_names_the_folder_of_the_kernel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not always the folder of the notebook."""
    monkeypatch.chdir(folder)
    assert str(folder) in refusal("nothing-like-it").how_we_know
    assert image_sources.from_path("a.png")[0].source == "a.png"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_what_is_no_ordinary_file_is_never_opened(folder: Path) -> None:
    """A pipe would wait for ever, and a device would never end; a link is followed."""
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "sock"))
    (folder / "link.png").symlink_to("/dev/zero")
    for name, kind in (("pipe", "pipe"), ("sock", "socket"), ("link.png", "device"), ("d.png", "folder")):
        error = refusal(f"{folder}/{name}")
        assert (error.code, kind in error.how_we_know) == ("picture-no-file", True)
    assert refusal("/dev/zero").code == "picture-no-file"


def test_files_that_are_no_pictures_are_refused_by_their_content(folder: Path) -> None:
    """Whatever their name says, and also through a link or a pattern."""
    (folder / "secret.png").write_text("PRIVATE KEY")
    (folder / "empty.png").touch()
    (folder / "link.png").symlink_to(folder / "secret.png")
    for name in ("secret.png", "empty.png", "link.png", "*.png"):
        error = refusal(f"{folder}/{name}")
        assert error.code == "picture-unreadable"
        assert "PRIVATE" not in str(error) + error.debug


@pytest.mark.parametrize("content", [b"", b"no such thing"])
@pytest.mark.parametrize(
    ("name", "code"), [("a.PDF", "pdf-unreadable"), ("a.wav", "sound-unreadable"), ("a.mp3", "sound-unreadable")]
)
def test_what_to_do_with_a_file_is_that_of_its_kind(folder: Path, name: str, code: str, content: bytes) -> None:
    """A document and a sound are not saved as PNG."""
    (folder / name).write_bytes(content)
    error = refusal(f"{folder}/{name}")
    assert (error.code, "PNG" in error.remedy) == (code, False)
    assert error.how_we_know


def test_a_file_above_the_limit_is_refused_unread(folder: Path) -> None:
    """Its size is enough; this one takes no space on the disk."""
    with (folder / "large.png").open("wb") as file:
        file.truncate(image_sources.MAX_BYTES + 1)
    error = refusal(f"{folder}/large.png")
    assert (error.code, "64 MB" in error.how_we_know) == ("picture-too-large", True)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user without the rights of root")
def test_a_file_that_may_not_be_read_says_so(folder: Path) -> None:
    """With the message of the system."""
    (folder / "a.png").chmod(0)
    assert "denied" in refusal(f"{folder}/a.png").how_we_know


def test_pillow_and_numpy_are_not_loaded_before_a_picture() -> None:
    """A chat without pictures does not pay for them."""
    script = "import sys, ollama_magics.conversation.images; print({'PIL', 'numpy', 'matplotlib'} & {*sys.modules})"
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=here)
    assert answer.stdout == "set()\n"
