"""What stands between double braces in a cell, in its system prompt too, as the model gets it."""

from typing import Any

import pytest

from ollama_magics.errors import PromptTooLong
from ollama_magics.fake_server.server import FakeServer


def messages(stand_in: FakeServer) -> list[str]:
    """Return the texts of the last prompt."""
    body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
    return [message["content"] for message in body["messages"]]


def test_a_table_goes_in_with_its_shape_and_types_also_in_the_system_prompt(shell: Any, stand_in: FakeServer) -> None:
    """As Markdown, which models read well."""
    shell.run("import pandas as pd\ndf, 数据 = pd.DataFrame({'a': [1, 2]}), 'kind'")
    shell.run("%%ollama --once -s 'Be {{数据}}. {{df}}'\nWhat is in {{ df }}?")
    columns = "DataFrame of 2 rows × 1 columns\n- a: int64, 0 missing, 2 distinct, 1 to 2\nall 2 rows:\n"
    table = columns + "|  | a |\n| --- | --- |\n| 0 | 1 |\n| 1 | 2 |"
    assert messages(stand_in) == [f"Be kind. {table}", f"What is in {table}?\n"]


def test_json_latex_and_other_template_languages_pass_unchanged(shell: Any, stand_in: FakeServer) -> None:
    """Only a name in double braces is a place."""
    prompt = r'{"a": {"b": {}}} \frac{{1}}{2} {% if x %}{# no #}{% endif %} f"{x}" {{f()}} \{{x}} \{{x.y}}'
    shell.run(f"%%ollama --once\n{prompt}")
    assert messages(stand_in) == [prompt.replace("\\{{", "{{") + "\n"]


def test_a_text_goes_in_whole(shell: Any, stand_in: FakeServer) -> None:
    """However long: the server judges it, and never cuts it."""
    shell.run("long = 'x' * 1_000_000")
    error, _ = shell.fail("%ollama --once {{long}}")
    assert isinstance(error, PromptTooLong)
    assert messages(stand_in) == ["x" * 1_000_000]


@pytest.mark.finding("A2")
def test_what_is_left_out_stands_below_the_answer_and_strict_refuses_it(shell: Any, stand_in: FakeServer) -> None:
    """In the prompt and in the system prompt; all rows are no loss."""
    shell.run("import pandas as pd\ndf, texts = pd.DataFrame({'n': range(1000)}), ['text'] * 500")
    shown = shell.run("%%ollama --once -s 'Know {{texts}}.'\n{{df}}")
    for note in ("df: 20 of 1\u202f000 rows", "texts: 20 of 500 items"):
        assert note in shown
        assert note in shell.names["_ollama"].notes
    assert "first 20 of 500 items" in messages(stand_in)[0]
    assert "df: 3 of 1\u202f000 rows" in shell.run("%ollama --once --rows 3 {{df}}")

    before = len(messages(stand_in))
    error, shown = shell.fail("%ollama --once --strict {{df}} {{texts}}")
    assert (error.code, "df: 20 of" in shown, "texts: 20 of" in shown) == ("left-out", True, True)
    assert len(messages(stand_in)) == before
    shell.run("%ollama --once --strict --rows all --context 8k {{texts}}")
    assert shell.names["_ollama"].notes == []
    assert messages(stand_in)[0].count("text") == 500


@pytest.mark.finding("A2")
def test_each_model_is_asked_with_the_same_rows(shell: Any, stand_in: FakeServer) -> None:
    """And each reply reports them."""
    shell.run("texts = ['text'] * 500")
    shell.run("%ollama -m sandbox-chat -m sandbox-think --rows 2 {{texts}}")
    assert [reply.notes for reply in shell.names["_ollama"]] == [["texts: 2 of 500 items"]] * 2
    assert "first 2 of 500 items" in messages(stand_in)[0]
