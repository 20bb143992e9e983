"""Values of options that look like options."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_magics.fake_server.server import FakeServer
from tests.faults import FaultServer, fine

VALUES = [
    ('--stop "---"', "options.stop", ["---"]),
    ("--stop '---'", "options.stop", ["---"]),
    ("--stop ---", "options.stop", ["---"]),
    ("--stop=---", "options.stop", ["---"]),
    (r'--stop "\n" --stop \n\n', "options.stop", ["\n", "\n\n"]),
    (r"-O stop=\n", "options.stop", ["\n"]),
    ("--stop -a --stop --b", "options.stop", ["-a", "--b"]),
    ('--stop "--model"', "options.stop", ["--model"]),
    ("--keep-alive -1m", "keep_alive", -1),
    ("--keep-alive=-1m", "keep_alive", -1),
    ("--keep-alive -1", "keep_alive", -1),
    ("--seed -1", "options.seed", -1),
    ("--max-tokens -2", "options.num_predict", -2),
    ("-O num_keep=-1", "options.num_keep", -1),
    ("-O seed=-5", "options.seed", -5),
    ("-s -x", "system", "-x"),
    ('-s "- be kind"', "system", "- be kind"),
    ("-s-x", "system", "-x"),
]


@pytest.mark.finding("C17")
@pytest.mark.parametrize(("typed", "wire", "value"), VALUES)
def test_a_value_that_begins_with_a_dash_is_taken(typed: str, wire: str, value: Any, shell: Any, stand_in: FakeServer) -> None:
    """Of long options, letters, numbers and texts, with a space or an equals sign, in a line and in a cell."""
    for cell in (f"%ollama --once {typed} Hi", f"%%ollama --once {typed}\nHi"):
        shell.run(cell)
        body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
        if wire == "system":
            assert (body["messages"][0]["role"], body["messages"][0]["content"]) == ("system", value)
        else:
            place, _, option = wire.rpartition(".")
            assert (body[place] if place else body)[option] == value


@pytest.mark.finding("C17")
def test_settings_and_embeddings_take_them_too(shell: Any, stand_in: FakeServer) -> None:
    """By the same reading of the line."""
    shell.run("%ollama_config --stop --- --stop \\n --keep-alive -1m --seed -3\n%ollama --once Hi")
    body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
    assert (body["options"]["stop"], body["keep_alive"], body["options"]["seed"]) == (["---", "\n"], -1, -3)
    assert "--- · \\n" in shell.run("%ollama_config --show")
    shell.run("%embed --keep-alive -2m ['a']")
    assert next(body for _, path, body in reversed(stand_in.requests) if path == "/api/embed")["keep_alive"] == -1


@pytest.mark.finding("C17")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%ollama --stop --model x Hi", "put it in quotes"),
        ("%ollama --stop --model=x Hi", "put it in quotes"),
        ("%ollama --stop -- Hi", "put it in quotes"),
        ("%ollama -m -s kind Hi", "put it in quotes"),
        ("%ollama --stop", "a value is missing"),
        ("%ollama --sedd -1 Hi", "did you mean --seed?"),
    ],
)
def test_a_missing_value_is_not_filled_by_the_next_option(line: str, said: str, shell: Any) -> None:
    """It would be silently lost."""
    _, shown = shell.fail(line)
    assert said in shown


# With the quotes gone, each of these would name another variable, and nothing would be said.
NAMES = """
a = b = "other"
n = 1
d = {"a": ["first"], "b": ["second"], "a b": ["third"], "it's": ["fourth"], "other": ["wrong"], 1: "fifth"}
other = kind = ["wrong"]
from typing import Literal
"""
EXPRESSIONS = [
    ('--each d["b"]', ["second"]),
    ("--each d['b']", ["second"]),
    ('--each=d["b"]', ["second"]),
    ("--each \"d['b']\"", ["second"]),
    ('--each d["a b"]', ["third"]),
    ('--each d["it\'s"]', ["fourth"]),
    ("--each d['it\\'s']", ["fourth"]),
    ('--each d[("b")]+d["a"]', ["second", "first"]),
    ('--each [d["a"][0], d["b"][0]]', ["first", "second"]),
    ('--each {"item": ["x", "b"]}', ["x", "b"]),
    ('--each [f"{a} b", f"{n}"]', ["other b", "1"]),
    ('--each "b,a".split(",")', ["b", "a"]),
    ("--each [one for one in d if one == 'b']", ["b"]),
    ("--each d[a]", ["wrong"]),
]


def test_quotes_in_an_expression_are_part_of_it(shell: Any, stand_in: FakeServer) -> None:
    """Of every kind of text in it, with spaces too; what is in quotes as a whole loses them."""
    shell.run(NAMES)
    asked = {}
    for typed, _ in EXPRESSIONS:
        start = len(stand_in.requests)
        shell.run(f"%%ollama {typed} -o out --no-store --parallel 1\nSay {{{{item}}}}")
        bodies = [body for _, path, body in stand_in.requests[start:] if path == "/api/chat" and body]
        asked[typed] = [body["messages"][-1]["content"].removeprefix("Say ").strip() for body in bodies]
    assert {typed: sorted(said) for typed, said in asked.items()} == {typed: sorted(said) for typed, said in EXPRESSIONS}


FORMATS = [
    ('-f Literal["a","b"]', ["a", "b"]),
    ('-f Literal["a", "b"]', ["a", "b"]),
    ("--format=Literal['a', 'b c']", ["a", "b c"]),
    ("-fLiteral['a', 'b']", ["a", "b"]),
    ("-f \"Literal['a', 'b']\"", ["a", "b"]),
    ('-f Literal["a"] | Literal["b"]', None),
    ('--format=Literal["a"]|Literal["b"]', None),
    ('-f {"enum": ["a", 1]}', ["a", 1]),
]


@pytest.mark.parametrize(
    "typed", ["--labels ['a, b', \"it's\"]", "--labels=('a, b', \"it's\")", "--labels {'a, b': 'one', \"it's\": 'two'}"]
)
def test_labels_may_be_a_list_or_a_dict(typed: str, shell: Any) -> None:
    """With commas and quotes in them; else the text between commas is a label."""
    shell.run(f"%%ollama --each ['x'] {typed} -o out --no-store\nSay {{{{item}}}}")
    assert {"p_a, b", "p_it's"} <= set(shell.names["out"][0])


def test_a_format_and_functions_keep_them_too(shell: Any, stand_in: FakeServer) -> None:
    """A function out of a dict, and what follows an expression, are read as well."""
    shell.run(NAMES + "def add(a: int) -> int:\n    'Add.'\n    return a\nfunctions = {'a b': add, 'other': print}")
    for typed, choices in FORMATS:
        shell.run(f'%ollama --once {typed} --quiet -s "be brief" say (it) [now]')
        body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
        found = body["format"].get("enum") or [part["enum"][0] for part in body["format"]["anyOf"]]
        assert found == (choices or ["a", "b"]), typed
        assert [message["content"] for message in body["messages"]] == ["be brief", "say (it) [now]"]
    shell.run("%ollama --once -m sandbox-tools --yes -t functions['a b'] Hi")
    body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
    assert body["tools"][0]["function"]["name"] == "add"


def test_a_picture_out_of_a_dict_is_named_with_its_quotes(shell: Any, stand_in: FakeServer, tmp_path: Any) -> None:
    """A path with spaces loses them as before."""
    picture = "from PIL import Image\nimages = {'x': Image.new('RGB', (9, 9), 'red')}\n"
    shell.run(f"{picture}images['x'].save({str(tmp_path / 'two words.png')!r})")
    shell.run(f'%ollama --once -m sandbox-vision -i images["x"] -i "{tmp_path}/two words.png" -i {tmp_path}/\'two words\'.png Hi')
    body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
    assert len(body["messages"][-1]["images"]) == 3
    error, _ = shell.fail('%ollama -m sandbox-vision -i images["y"] Hi')
    assert (error.code, error.facts["path"]) == ("picture-missing", 'images["y"]')
    assert "KeyError: 'y'" in str(error)


LOCAL = (
    "%ollama {} Hi",
    "%%ollama {} -m a -m b\nHi",
    "%ollama {} --show-prompt Hi",
    "%ollama {} --generate Hi",
    '%ollama {} --suffix "}}" Hi',
    "%ollama {} --reuse --think=high Hi",
    "%%ollama {} --each ['a']\n{{{{item}}}}",
    "%%ollama {} --each ['a'] --repeat 2\n{{{{item}}}}",
    "%ollama_explain --ask {}",
)


@pytest.mark.promise("N5")
def test_local_only_on_a_line_holds_before_the_server_is_asked_anything(shell: Any) -> None:
    """Nor is a proxy on the way to it."""
    shell.fail("1 / 0")
    with FaultServer(fine()) as proxy:
        shell.run(f"%ollama_config --base-url http://192.0.2.7:1 --proxy {proxy.url} --model m")
        for line in LOCAL:
            shell.ipython.user_ns.pop("_ollama", None)
            error, shown = shell.fail(line.format("--local-only"))
            assert getattr(error, "code", shown) == "local-only", line
        assert (proxy.requests, proxy.accepted) == ([], 0)
        shell.run(LOCAL[0].format("--once"))
        assert proxy.accepted
