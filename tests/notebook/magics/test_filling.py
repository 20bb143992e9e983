"""What stands between double braces in a cell, in its system prompt too, as the model gets it."""

from typing import Any

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
