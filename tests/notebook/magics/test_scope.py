"""Names on a magic line are looked up where the line runs: in its function first, then in the notebook."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_magics.fake_server.server import FakeServer

SETUP = """
x, xs, size, kind, text = 'GLOBAL', ['a'] * 9, 1, int, 'GLOBAL'
import functools, threading
from functools import partial
ask = partial(get_ipython().run_line_magic, 'ollama')
"""


def prompts(stand_in: FakeServer) -> list[str]:
    """Return the texts of all prompts."""
    return [body["messages"][-1]["content"] for _, path, body in stand_in.requests if path == "/api/chat" and body]


FILLED: dict[str, tuple[str, list[str]]] = {
    "notebook": ("%ollama --once {{x}}", ["GLOBAL"]),
    "function": ("def f(x):\n    r = %ollama --once {{x}}\nf('one')", ["one"]),
    "statement": ("def f(x):\n    %ollama --once {{x}}\nf('one')", ["one"]),
    "global and local": ("def f(y):\n    %ollama --once {{x}} {{y}}\nf('one')", ["GLOBAL one"]),
    "declared global": ("def f():\n    global x\n    r = %ollama --once {{x}}\nf()", ["GLOBAL"]),
    "keyword and default": ("def f(*, x='one', **more):\n    r = %ollama --once {{x}} {{more['z']}}\nf(z=2)", ["one 2"]),
    "loop": ("def f():\n    for x in 'ab':\n        r = %ollama --once {{x}}\nf()", ["a", "b"]),
    "method": (
        "class A:\n    def m(self, x):\n        r = %ollama --once {{x}} {{self.y}}\na = A()\na.y = 'attribute'\na.m('one')",
        ["one attribute"],
    ),
    "class": ("class A:\n    x = 'one'\n    r = %ollama --once {{x}}", ["one"]),
    "method sees no names of its class": (
        "class A:\n    x = 'one'\n    def m(self):\n        r = %ollama --once {{x}}\nA().m()",
        ["GLOBAL"],
    ),
    "class in a function": ("def f(x):\n    class A:\n        r = %ollama --once {{x}}\nf('one')", ["one"]),
    "nested, used": ("def f(x):\n    def g():\n        x\n        r = %ollama --once {{x}}\n    g()\nf('one')", ["one"]),
    "nested, own": ("def f(x):\n    def g(x):\n        r = %ollama --once {{x}}\n    g('two')\nf('one')", ["two"]),
    "nested, other": ("def f(y):\n    def g():\n        r = %ollama --once {{x}}\n    g()\nf('one')", ["GLOBAL"]),
    "recursion": ("def f(x):\n    r = %ollama --once {{x}}\n    if x < 2:\n        f(x + 1)\nf(1)", ["1", "2"]),
    "lambda": ("(lambda x: ask('{{x}}'))('one')", ["one"]),
    "comprehension": (
        "def f(y):\n    [ask('{{x}} {{y}}') for x in 'ab']\nf(1)",
        ["a 1", "b 1"],
    ),
    "comprehension in the notebook": ("[ask('{{x}}') for x in 'ab']", ["a", "b"]),
    "generator": ("def f(x):\n    r = %ollama --once {{x}}\n    yield r\nlist(f('one'))", ["one"]),
    "coroutine": ("async def f(x):\n    r = %ollama --once {{x}}\nawait f('one')\nr = %ollama --once {{x}}", ["one", "GLOBAL"]),
    "exec": ("def f(x):\n    exec(\"ask('{{x}}')\")\nf('one')", ["one"]),
    "exec with names": ("exec(\"ask('{{x}}')\", dict(globals(), x='one'))", ["one"]),
    "cell magic in a function": ("def f(x):\n    get_ipython().run_cell_magic('ollama', '--once', '{{x}}')\nf('one')", ["one"]),
    "timed": ("%time r = ask('{{x}}')", ["GLOBAL"]),
    "decorated": (
        "def d(f):\n    return functools.wraps(f)(lambda x: f(x))\n@d\ndef f(x):\n    r = %ollama --once {{x}}\nf('one')",
        ["one"],
    ),
    "in a thread": (
        "def f(x):\n    r = %ollama --once {{x}}\nt = threading.Thread(target=f, args=['one'])\nt.start()\nt.join()",
        ["one"],
    ),
}


@pytest.mark.finding("A1")
@pytest.mark.parametrize("name", FILLED)
def test_a_prompt_gets_the_value_of_where_it_stands(name: str, shell: Any, stand_in: FakeServer, record_property: Any) -> None:
    """Not that of the notebook, where a function has one of that name."""
    cell, expected = FILLED[name]
    shell.run(SETUP + cell)
    assert [prompt.strip() for prompt in prompts(stand_in)] == expected
    record_property("figure", name)


UNREACHABLE = {
    "nested": "def f(NAME):\n    def g():\n        LINE\n    g()\nf(['one'])",
    "method": "def f(NAME):\n    class A:\n        def m(self):\n            LINE\n    A().m()\nf(['one'])",
    "two levels": "def f():\n    NAME = ['one']\n    def g():\n        def h():\n            LINE\n        h()\n    g()\nf()",
    "decorated": "def f(NAME):\n    @functools.cache\n    def g():\n        LINE\n    g()\nf(['one'])",
}
LINES = {
    "x": "r = %ollama --once {{x}}",
    "xs": "r = %embed xs",
    "size": "r = %ollama --once -O seed=$size Hi",
    "kind": "r = %ollama --once -f list[kind] Hi",
    "text": "r = %ollama --once -s $text Hi",
}


@pytest.mark.finding("A1")
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("around", UNREACHABLE)
def test_a_variable_that_python_does_not_keep_is_an_error(around: str, line: str, shell: Any, stand_in: FakeServer) -> None:
    """The global of the same name would be silently wrong; the error says what to write."""
    error, shown = shell.fail(SETUP + UNREACHABLE[around].replace("NAME", line).replace("LINE", LINES[line]))
    assert getattr(error, "code", shown) == "name-not-captured"
    assert f"{line}_here = {line}" in shown
    assert not prompts(stand_in)


@pytest.mark.finding("A1")
@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("def f():\n    r = %ollama {{x}}\n    x = 1\nf()", "name-unassigned"),
        ("def f(x):\n    del x\n    r = %ollama {{x}}\nf(1)", "name-unassigned"),
        ("def f(x):\n    list(ask('{{x}}') for y in 'a')\nf(1)", "name-not-captured"),
        ("def f(x):\n    return lambda: ask('{{x}}')\nf(1)()", "name-not-captured"),
        ("def f():\n    r = %ollama {{nowhere}}\nf()", "name-unknown"),
        ("def f():\n    r = %ollama -m $nowhere Hi\nf()", "variable-unknown"),
    ],
)
def test_a_name_without_a_value_is_an_error(cell: str, code: str, shell: Any) -> None:
    """Python would raise UnboundLocalError or NameError."""
    error, shown = shell.fail(SETUP + cell)
    assert getattr(error, "code", shown) == code


@pytest.mark.finding("A1")
def test_options_take_the_values_of_where_they_stand(shell: Any) -> None:
    """-i, -f, -t, -s, -O and $name, each with another value in the notebook."""
    shell.run("from PIL import Image\nfig, seed, text, kind = Image.new('L', (9, 9)), 1, 'GLOBAL', int")
    shell.run("def add(a: int) -> int:\n    'Global.'\n    return a")
    shell.run(
        """
def f(seed, text, kind):
    fig = Image.new('L', (3, 3))
    def add(a: int) -> int:
        'Local.'
        return a
    picture = %ollama --quiet --once -m sandbox-vision -i fig Hi
    typed = %ollama --quiet --once -f list[kind] Hi
    tool = %ollama --quiet --once --yes -m sandbox-tools -t add -s $text -O seed=$seed Hi
    return picture, typed, tool
picture, typed, tool = f(7, 'local', str)
"""
    )
    picture, typed, tool = (shell.names[name] for name in ("picture", "typed", "tool"))
    assert picture.images[0].width == 3
    assert typed.request.format["items"] == {"type": "string"}
    assert tool.request.tools[0]["function"]["description"] == "Local."
    assert (tool.request.messages[0].content, tool.request.options["seed"]) == ("local", 7)


@pytest.mark.finding("A1")
def test_embed_takes_the_texts_of_where_it_stands(shell: Any) -> None:
    """In comprehensions inside of the expression, too."""
    shell.run("xs, suffix = ['a'] * 9, 1")
    shell.run("def f(xs, suffix):\n    v = %embed [x + suffix for x in xs]\n    w = %embed $xs\n    return v, w")
    shell.run("v, w = f(['a', 'b'], '!')")
    assert (shell.names["v"].shape[0], shell.names["w"].shape[0]) == (2, 2)


@pytest.mark.finding("A1")
@pytest.mark.parametrize("line", ["%ollama -o r Hi", "%embed -o r xs", "%embed --report r xs"])
def test_no_option_binds_a_name_in_a_function(line: str, shell: Any, stand_in: FakeServer) -> None:
    """It would be one of the notebook; nothing is sent."""
    before = len(stand_in.requests)
    _, shown = shell.fail(f"{SETUP}def f():\n    {line}\nf()")
    assert f"in a function type r = {line.split(maxsplit=1)[0]} …" in shown
    assert "r" not in shell.names
    assert len(stand_in.requests) == before


@pytest.mark.finding("A1")
def test_settings_take_the_values_of_where_the_line_stands(shell: Any) -> None:
    """Of a function that sets up a notebook."""
    shell.run("name = 'GLOBAL'\ndef f(name):\n    %ollama_config --model $name\nf('sandbox-think')")
    assert "sandbox-think" in shell.run("%ollama_config --show")


@pytest.mark.finding("A1")
def test_rows_take_the_values_of_where_the_line_stands(shell: Any, stand_in: FakeServer) -> None:
    """The data, and the names beside its columns."""
    shell.run("df, word, text = ['GLOBAL'], 'GLOBAL', 'GLOBAL'")
    cell = "def f(df, word):\n    r = %ollama --each df {{word}} {{item}}\n    return r\n"
    shell.run(cell + "out = f(['a', 'b'], 'local')")
    assert sorted(prompts(stand_in)) == ["local a", "local b"]


@pytest.mark.finding("A1")
def test_a_name_of_a_column_hides_a_variable_out_of_reach(shell: Any, stand_in: FakeServer) -> None:
    """Only names that the rows do not have are looked up in the function."""
    shell.run("import pandas as pd\ndf = pd.DataFrame({'text': ['a'], 'meta': [{'k': 'v'}]})")
    shell.run("def f(text):\n    def g():\n        r = %ollama --each df {{text}} {{meta['k']}}\n    g()\nf('outer')")
    assert prompts(stand_in) == ["a v"]
