"""The key: 16 bytes that follow from model, options and text, and from nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.store.keys import key
from tests.store.rows import output_lines, started

OPTIONS: dict[str, object] = {"truncate": False, "dimensions": None, "prefix": "search_query: "}
JSON = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
Request = tuple[str, dict[str, object], str]
REQUESTS = st.tuples(st.text(alphabet="0123456789abcdef"), st.dictionaries(st.text(), JSON, max_size=3), st.text())


def test_a_key_is_the_same_in_every_process_and_for_every_order_of_options() -> None:
    """Neither Python's hash seed nor the order of a dict enters; a change of this value would empty every store."""
    expected = "efc09e6547a071e5c54ddf4daa214115"
    code = (
        "print(key('digest', {'b': 1, 'a': [True, 'ä']})('text').hex(), key('digest', {'a': [True, 'ä'], 'b': 1})('text').hex())"
    )
    for seed in "12":
        assert output_lines(started(code, PYTHONHASHSEED=seed)) == [f"{expected} {expected}"]


@given(REQUESTS, REQUESTS)
def test_two_keys_are_equal_only_if_everything_requested_is_equal(one: Request, other: Request) -> None:
    """Model, options and text all count, and none can pass for part of another; 1, 1.0 and True differ."""
    same = repr((one[0], sorted(one[1].items()), one[2])) == repr((other[0], sorted(other[1].items()), other[2]))
    assert (key(*one[:2])(one[2]) == key(*other[:2])(other[2])) == same


def test_options_that_only_look_equal_have_different_keys() -> None:
    """True, 1, 1.0 and "1" are four different values."""
    assert len({key("digest", {"option": value})("text") for value in (True, 1, 1.0, "1", None)}) == 5


def test_any_text_has_a_key_of_16_bytes() -> None:
    """An empty text, a long one, and half a character too."""
    names = {key("digest", OPTIONS)(text) for text in ("", " ", "a" * 10_000_000, "\ud800", "\0", "e\u0301", "\u00e9")}
    assert len(names) == 7
    assert {len(name) for name in names} == {16}
