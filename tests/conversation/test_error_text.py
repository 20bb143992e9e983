"""The text of exceptions for a model: what of the user's code and values stands in it, and what does not."""

from __future__ import annotations

import linecache
import os
import runpy
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pytest

from ollama_magics.conversation.error_text import ErrorText, Source
from ollama_magics.secret import Secret, is_secret, without_secrets

NUMBER = iter(range(1, 1000))


def explained(code: str, **names: Any) -> str:
    """Return the text of the exception that a cell raises; its notes stand at the end."""
    file = f"<cell {next(NUMBER)}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    try:
        exec(compile(code, file, "exec"), {"__name__": "__main__", **names})  # noqa: S102 - as IPython runs a cell
    except BaseException as error:  # noqa: BLE001 - whatever the cell raises
        text, notes = ErrorText(cell_of).of(error)
        return "\n".join([text, *(str(note.phrase) for note in notes)])
    pytest.fail(f"no exception: {code}")


def cell_of(file: str) -> Source | None:
    """Return the cell in a file; everything else is a library."""
    return Source(file.strip("<>").capitalize(), linecache.getlines(file), is_cell=True) if file.startswith("<cell") else None


def test_code_and_names_of_the_failing_line() -> None:
    """The whole cell with its failing line marked; types and short values of the names there, and of no others."""
    text = explained("other = 'elsewhere'\ncount = '3'\nprice = 4\ntotal = count + price  # {braces} {{x}}\n")
    assert text.startswith('TypeError: can only concatenate str (not "int") to str')
    assert ">   4  total = count + price  # {braces} {{x}}" in text
    assert "    1  other = 'elsewhere'" in text
    assert "- count: str: '3'\n- price: int: 4" in text
    assert "- other" not in text
    assert "total: " not in text


def test_what_a_value_holds_itself_stands_beside_it() -> None:
    """Attributes and the fields of a msgspec.Struct, but nothing that its code would have to compute."""
    made = msgspec.defstruct("Made", ["count", "other"])(count="3", other=5)
    text = explained(
        "class Own:\n    price = property(lambda self: 4)\nown = Own()\nown.tax = 7\nown.tax + made.count", made=made
    )
    assert "- made.count: str: '3'" in text
    assert "- own.tax: int: 7" in text
    assert "other: " not in text


def test_frames_of_libraries_stay_out() -> None:
    """One line says where it was raised; the functions of the user stand there with their own names."""
    frame = pd.DataFrame({"price": [1, 2], "password": ["hunter22", "hunter23"]})
    text = explained("def total(data, column):\n    return data[column].sum()\n\ntotal(frame, 'prise')\n", frame=frame)
    assert "Raised by a library: pandas" in text
    assert "site-packages" not in text
    assert "line 2, in total:\n- data: the same as frame\n- column: str: 'prise'" in text
    assert "- frame: DataFrame of 2 rows × 1 columns\n- price: int64, 0 missing, 2 distinct, 1 to 2" in text
    assert "hunter" not in text
    assert "not sent, because they look like keys: frame['password']" in text


def test_chains_and_groups() -> None:
    """The first exception stands first; one that was suppressed does not."""
    caused = explained("try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('no a') from e\n")
    assert caused.index("KeyError: 'a'") < caused.index("That caused:") < caused.index("ValueError: no a")
    handled = explained("try:\n    {}['a']\nexcept KeyError:\n    1 / 0\n")
    assert handled.index("KeyError") < handled.index("While that was handled") < handled.index("ZeroDivisionError")
    assert "KeyError" not in explained("try:\n    {}['a']\nexcept KeyError:\n    raise ValueError from None\n").splitlines()[0]
    group = explained("raise ExceptionGroup('several', [ValueError(1), TypeError('x')])")
    assert "Exception 1 of 2 in the group:\n\nValueError: 1" in group
    noted = explained("e = ValueError('a')\ne.add_note('look here')\nraise e")
    assert noted.startswith("ValueError: a\nlook here")


def test_mistakes_in_the_syntax() -> None:
    """The line and the place, though no frame of the user is there."""
    text = explained("for i in range(3):\n    print(i\n")
    assert text.splitlines()[0] == "SyntaxError: '(' was never closed"
    assert ">   2      print(i\n                ^" in text


def test_long_things_are_cut_and_said_to_be() -> None:
    """Cells, texts, lists, dicts, messages and recursions; nothing is sent whole that is long."""
    text = explained("def f(n):\n    return f(n + 1)\n\nf(0)")
    assert "in f, the first of 9" in text
    text = explained("\n".join(["pass"] * 200 + ["1 + text + items + by_name"]), text="x" * 5000, items=[1] * 99, by_name={})
    assert "x" * 100 + "… (first 100 of 5000 characters)" in text
    assert "x" * 101 not in text
    assert "> 201  1 + text" in text
    assert "192 lines of the cell were left out" in text
    assert "only the beginning was sent of: text, items" in text
    many = explained("by_name['x']", by_name={f"k{n}": "v" * 200 for n in range(50)})
    assert "- by_name: dict: {'k0': str, " in many
    assert "… (50 items)" in many
    assert len(explained("raise ValueError('y' * 9999)")) < 1500


def test_keys_stay_here() -> None:
    """A Secret, and what is called like a key, wherever it stands; names of loops and columns are no keys."""
    names = {
        "api_key": "abc12345xyz",
        "held": Secret("s3cr3t-of-all"),
        "config": {"token": "0123456789abcdef", "password": "pw", "url": "http://x"},
        "key": "name",
        "row": pd.Series([1], name="api_key"),
        "env": os.environ,
        "arrow": pa.table({"n": [1], "password": ["hunter22"]}),
    }
    text = explained("1 + len(api_key) + held + config + key + row + env + arrow", **names)
    for secret in ("abc12345xyz", "s3cr3t", "0123456789abcdef", "'pw'", "hunter22", os.environ["PATH"]):
        assert secret not in text
    assert "- api_key: str (not shown)\n- held: Secret (not shown)" in text
    assert "{'token': (not shown), 'password': (not shown), 'url': 'http://x'}" in text
    assert "- key: str: 'name'\n- row: Series (not shown)" in text
    assert "look like keys: api_key, held, config['token'], config['password'], row, env, arrow['password']" in text
    assert "- arrow: Table of 1 rows × 1 columns" in text


HOSTILE = """
class Broken(Exception):
    def __str__(self): raise OSError
class Value:
    colour = property(lambda self: 1 / 0)
    def __repr__(self): raise OSError
    def __len__(self): raise OSError
value = Value()
items = iter([1])
raise Broken(value.colour if 0 else value, items, print, Value)
"""


def test_values_that_fail_when_they_are_looked_at() -> None:
    """Have their type alone; an iterator is not read, and a property not computed."""
    text = explained(HOSTILE)
    assert text.startswith("Broken: (its text cannot be made: OSError)")
    assert "- value: Value: (no text)" in text
    assert "- items: list_iterator: (no text)" in text
    assert "- Value: type Value()" in text
    assert "\x1b" not in explained("raise ValueError('\\x1b[31mred\\x1b]0;title\\x07')")


def test_an_error_without_a_place() -> None:
    """Such as one that IPython found: the cell that ran last stands there."""
    text, _ = ErrorText(cell_of).of(ValueError("a"), Source("Cell 3", ["%nosuch"], is_cell=True))
    assert text == "ValueError: a\n\nCell 3:\n    1  %nosuch"


def test_files_of_the_user_too(tmp_path: Path) -> None:
    """The lines around the failing one."""
    path = tmp_path / "own.py"
    path.write_text("\n".join([*(f"line_{n} = {n}" for n in range(40)), "1 / line_0", *["pass"] * 40]))

    def source_of(file: str) -> Source | None:
        return Source("own.py", path.read_text().splitlines()) if file == str(path) else None

    with pytest.raises(ZeroDivisionError) as raised:
        runpy.run_path(str(path))
    text, notes = ErrorText(source_of).of(raised.value)
    assert ">  41  1 / line_0" in text
    assert "line_20" not in text
    assert not notes


NAMES = {
    "api_key": True, "OPENAI_API_KEY": True, "apiKey": True, "password": True, "db_passwd": True, "HF_TOKEN": True,
    "accessToken": True, "client_secret": True, "credentials": True, "Authorization": True, "pwd": True, "key": False,
    "token": False, "keys": False, "monkey": False, "tokens": False, "author": False, "compass": False, "passenger": False,
}  # fmt: skip
TEXTS = {
    'api_key = "abc"': 'api_key = "••••"',
    "client(api_key='abc', n=1)": "client(api_key='••••', n=1)",
    'os.environ["OPENAI_API_KEY"] = "abc"': 'os.environ["OPENAI_API_KEY"] = "••••"',
    '{"password": "x y", "name": "z"}': '{"password": "••••", "name": "z"}',
    "password: str = f'a{b}'": "password: str = f'••••'",
    "token = 'abc12345def678'": "token = '••••'",
    "for key in ['name']: token = 'word'": "for key in ['name']: token = 'word'",
    "key='name', sep=', '": "key='name', sep=', '",
    "postgres://me:hunter2@db/x": "postgres://me:••••@db/x",
    "http://h/?a=1&api_key=zzz": "http://h/?a=1&api_key=••••",
    "401: bad key sk-proj-abcdefgh1234": "401: bad key ••••",
    "Bearer abcdefgh12345": "Bearer ••••",
    "if password == 'x': pass": "if password == '••••': pass",
    'd["key"] = "value"': 'd["key"] = "value"',
    "note = 'don\napi_key = \"abc": "note = 'don\napi_key = \"••••",
    "print('note: \"x', api_key='abc', b='\"')": "print('note: \"x', api_key='••••', b='\"')",
    'password = """a\nb"""': 'password = """••••"""',
    'login(password=\n>   4      "abc")': 'login(password=\n>   4      "••••")',
}


def test_what_looks_like_a_key() -> None:
    """By the name, by the form, by the place in an address."""
    assert {name: is_secret(name, "word") for name in NAMES} == NAMES
    assert not is_secret("sort_key", 3)
    assert {text: without_secrets(text) for text in TEXTS} == TEXTS
