"""Tables, JSON and cards of called functions as safe HTML."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.render.answer import json_html, tool_card_html
from ollama_magics.render.tables import table_html

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)>"\x1b[31m\u202e'
TAGS = {"div", "table", "thead", "tbody", "tr", "th", "td", "pre", "code", "span"}


def tags(page: str) -> set[str]:
    """Return the names of all tags."""
    return set(re.findall(r"<\s*/?\s*([a-zA-Z!][^\s>/]*)", page))


def test_names_and_cells_are_escaped() -> None:
    """Whatever the model wrote into them."""
    page = table_html([{HOSTILE: HOSTILE, "inner": [HOSTILE, {"a": None}]}])
    assert tags(page) <= TAGS
    assert "\x1b" not in page
    assert "\u202e" not in page


@given(st.lists(st.dictionaries(st.text(), st.text() | st.lists(st.text()) | st.none() | st.floats())), st.text())
def test_no_data_becomes_a_tag(rows: list[dict[str, Any]], text: str) -> None:
    """Nor does the JSON around it, or a call."""
    page = table_html(rows) + json_html(text) + tool_card_html(text, text, failed=True)
    assert tags(page) <= TAGS


def test_rows_may_have_different_names() -> None:
    """Columns stand in the order of their first use; what a row does not have is empty."""
    page = table_html([{"a": 1}, {"b": True}])
    assert re.findall(r"<th [^>]*>(.*?)</th>", page) == ["a", "b"]
    assert re.findall(r"<td [^>]*>(.*?)</td>", page) == ["1", "", "", "true"]


def test_of_many_rows_the_middle_is_left_out() -> None:
    """And the table says how many."""
    page = table_html([{"n": f"row {number}"} for number in range(1000)])
    assert page.count("<tr") == 1 + 101
    assert "900 more rows" in page
    assert "row 49<" in page
    assert "row 500<" not in page
    assert "row 999<" in page


def test_a_long_cell_is_cut_visibly() -> None:
    """A table is for looking; the value has it all."""
    assert f"{'x' * 300}…<" in table_html([{"a": "x" * 1000}])


def test_a_card_shows_the_call_and_what_came_of_it() -> None:
    """Or that it has not come back yet."""
    assert "add(a=2)" in tool_card_html("add(a=2)", None, failed=False)
    assert ">5<" in tool_card_html("add(a=2)", "5", failed=False)
    assert "color:var(--jp-warn" in tool_card_html("add(a=2)", "error: no", failed=True)
