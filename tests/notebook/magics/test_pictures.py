"""What may stand after -i: names, paths, the last output, addresses; and that each is what it is taken for."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ollama_magics.errors import PictureProblem
from ollama_magics.fake_server.server import FakeServer
from tests.conversation.images.pdf_file import coloured, pdf

HEAD = "from PIL import Image\nimport numpy as np\nfrom IPython.display import Image as Shown\n"


@pytest.fixture
def seeing(shell: Any) -> Any:
    """Return a shell whose model sees."""
    shell.run("%ollama_config --model sandbox-vision")
    shell.run(HEAD)
    return shell


def sent(stand_in: FakeServer) -> int:
    """Return how many pictures the last prompt had."""
    body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
    return len(body["messages"][-1].get("images", ()))


@pytest.mark.parametrize(
    "last",
    [
        "Image.new('RGB', (9, 9), 'red')",
        "np.full((9, 9, 3), (255, 0, 0), 'uint8')",
        "__import__('matplotlib.figure').figure.Figure(figsize=(1, 1), facecolor='red')",
        "Shown(data=Image.new('RGB', (9, 9), 'red')._repr_png_())",
        "[Image.new('RGB', (9, 9), 'red')]",
    ],
)
def test_the_last_output_is_a_picture_where_it_is_one(seeing: Any, stand_in: FakeServer, last: str) -> None:
    """As a notebook shows it."""
    seeing.run(last)
    assert "red" in seeing.run("%ollama --once -i _ What colour?")
    assert sent(stand_in) == 1


@pytest.mark.parametrize(("last", "said"), [("'a.png'", "text"), ("5 + 5", "type int"), ("None", "text")])
def test_a_last_output_that_is_no_picture_is_refused(seeing: Any, stand_in: FakeServer, last: str, said: str) -> None:
    """A text is not read as a path; where there was no output yet, IPython has an empty text."""
    seeing.run(last)
    error, shown = seeing.fail("%ollama -i _ What colour?")
    assert isinstance(error, PictureProblem)
    assert error.code == "picture-type-unknown"
    assert said in shown
    assert not [path for _, path, _ in stand_in.requests if path == "/api/chat"]


def test_fifty_pictures_go_in_their_order(seeing: Any, stand_in: FakeServer, tmp_path: Path) -> None:
    """By a pattern, a list and names at once."""
    for number in range(48):
        Image.new("RGB", (3, 3), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    seeing.run("blue, both = Image.new('RGB', (9, 9), 'blue'), {'a': Image.new('L', (9, 9), 0)}")
    seeing.run(f"%ollama --once -i blue -i {tmp_path}/*.png -i both How many?")
    assert sent(stand_in) == 50


def test_an_address_is_fetched_only_where_the_cell_says_so_and_never_from_here(seeing: Any, stand_in: FakeServer) -> None:
    """The stand-in is on this machine, which no address may lead to."""
    before = len(stand_in.requests)
    error, shown = seeing.fail(f"%ollama -i {stand_in.url}/a.png What colour?")
    assert (error.code, "--allow-url" in shown) == ("picture-is-url", True)
    error, shown = seeing.fail(f"%ollama --allow-url -i {stand_in.url}/a.png What colour?")
    assert (error.code, "not a public internet address" in shown) == ("picture-not-fetched", True)
    assert len(stand_in.requests) == before
    error, _ = seeing.fail("%ollama --local-only --allow-url -i http://example.org/a.png What colour?")
    assert error.code == "local-only"
    seeing.run(f"address = '{stand_in.url}/a.png'")
    error, _ = seeing.fail("%ollama --allow-url -i address What colour?")
    assert error.code == "picture-is-text"


def test_many_shrunk_pictures_are_counted(seeing: Any) -> None:
    """A line for each would bury the answer."""
    seeing.run("wide = [Image.new('L', (3000, 30)) for _ in range(5)]")
    assert "picture shrunk from 3000 × 30 to 2048 × 20" in seeing.run("from copy import copy\none = wide[0]\n%ollama -i one Hi")
    shown = seeing.run("%ollama --once -i wide Hi")
    assert shown.count("picture shrunk from 3000 × 30 to 2048 × 20 (5 times)") == shown.count("shrunk") == 1


def test_pages_of_a_pdf_are_chosen_on_the_line(seeing: Any, stand_in: FakeServer, tmp_path: Path) -> None:
    """Of a path, a pattern, a variable or a column of rows."""
    (tmp_path / "a b.pdf").write_bytes(pdf(coloured(1, 0, 0), coloured(0, 0, 1), size="0 0 20 10"))
    seeing.run(f"from pathlib import Path\nreport = Path({str(tmp_path / 'a b.pdf')!r})")
    for what in ("report", f"'{tmp_path}/a b.pdf'", f"'{tmp_path}/*.pdf'"):
        assert "mostly blue" in seeing.run(f"%ollama --once -i {what} --pages 2 What colour?")
        assert sent(stand_in) == 1
    seeing.run("%ollama --once -i report What colour?")
    assert sent(stand_in) == 2
    seeing.run("rows = [str(report)]\n%ollama --each rows -i {{item}} --pages 2- -o out What colour?")
    assert "mostly blue" in seeing.names["out"][0]["reply"]
    for pages, code in (("3", "page-missing"), ("x", "setting-invalid")):
        error, shown = seeing.fail(f"%ollama --once -i report --pages {pages} What colour?")
        assert (getattr(error, "code", shown), "--pages 1-" in shown) == (code, True)


def test_pages_without_a_document_are_refused(seeing: Any, stand_in: FakeServer) -> None:
    """In a prompt, and for rows, where nothing would have them either."""
    before = len(stand_in.requests)
    for line in ("%ollama --pages 3 What is this?", "%ollama --show-prompt --pages 3- What is this?"):
        error, shown = seeing.fail(line)
        assert (getattr(error, "code", ""), "-i report.pdf --pages 3" in shown) == ("pages-without-document", True)
    assert len(stand_in.requests) == before
