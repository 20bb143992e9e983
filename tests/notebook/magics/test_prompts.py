"""%%ollama and %ollama: how a line is read, what is sent, what comes back."""

from typing import Any

import pytest
from IPython.core.error import UsageError

from ollama_magics.errors import ConnectionProblem, ModelProblem, PictureProblem, PromptProblem, PromptTooLong, SettingError
from ollama_magics.fake_server.server import FakeServer


def sent(stand_in: FakeServer, path: str = "/api/chat") -> dict[str, Any]:
    """Return the body of the last request to a path."""
    bodies = [body for _, asked, body in stand_in.requests if asked == path and body]
    return dict(bodies[-1])


def test_the_cell_is_the_prompt_and_the_answer_is_shown_with_its_figures(shell: Any, stand_in: FakeServer) -> None:
    """A cell goes out as it is, and the terminal shows the answer and one line under it."""
    shown = shell.run('%%ollama\nWhat does {"a": [1, {}]} mean in \\LaTeX{}?')
    assert sent(stand_in)["messages"][-1]["content"] == 'What does {"a": [1, {}]} mean in \\LaTeX{}?\n'
    assert "This is turn 1" in shown
    assert "sandbox-chat · " in shown
    assert "tokens" in shown


def test_a_request_carries_the_settings_and_never_lets_the_server_cut(shell: Any, stand_in: FakeServer) -> None:
    """Context and max tokens of the form go out with each prompt, as does truncate false."""
    shell.run("%ollama hello")
    body = sent(stand_in)
    assert body["truncate"] is False
    assert body["options"] == {"num_ctx": 4096, "num_predict": 4096}


def test_options_of_the_cell_win(shell: Any, stand_in: FakeServer) -> None:
    """What stands on the line holds for this cell only."""
    shell.run("%ollama --context 8k --max-tokens 7 --temperature 0.5 --seed 3 -s 'Be kind.' hello")
    body = sent(stand_in)
    assert body["options"] == {"num_ctx": 8192, "num_predict": 7, "temperature": 0.5, "seed": 3}
    assert body["messages"][0] == {"role": "system", "content": "Be kind."}
    shell.run("%ollama hello again")
    assert sent(stand_in)["options"] == {"num_ctx": 4096, "num_predict": 4096}


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ("What's new?", "What's new?"),
        ("What is Python?", "What is Python?"),
        ('say "a b"  c', 'say "a b"  c'),
        ("-m sandbox-chat What's   new", "What's   new"),
        ("-m=sandbox-chat hello", "hello"),
        ("--model=sandbox-chat hello", "hello"),
        ("--once -- -5 + 3", "-5 + 3"),
        ("-5 + 3 makes what?", "-5 + 3 makes what?"),
        (r"read C:\new\table", r"read C:\new\table"),
        ("{a} {b:c} $x %d", "{a} {b:c} $x %d"),
        ("数据 是什么？", "数据 是什么？"),
    ],
)
def test_a_line_is_read_up_to_the_first_word_that_is_no_option(shell: Any, stand_in: FakeServer, line: str, prompt: str) -> None:
    """The rest of the line is the prompt, untouched."""
    shell.run(f"%ollama {line}")
    assert sent(stand_in)["messages"][-1]["content"] == prompt


def test_an_assigned_line_may_end_in_a_question_mark(shell: Any, stand_in: FakeServer) -> None:
    """IPython would take the mark for help; here it belongs to the prompt, and the reply is returned."""
    shell.run("answer = %ollama What is Python?")
    assert sent(stand_in)["messages"][-1]["content"] == "What is Python?"
    assert shell.names["answer"].complete


def test_a_question_inside_a_block_reaches_the_model(shell: Any, stand_in: FakeServer) -> None:
    """The line may be indented, several may stand in one cell, and the code around them runs."""
    shell.run("for word in ['a', 'b']:\n    r = %ollama Is this {{word}}?\nx = 1 if True else 2\n%ollama And this?")
    prompts = [body["messages"][-1]["content"] for _, path, body in stand_in.requests if path == "/api/chat" and body]
    assert prompts == ["Is this a?", "Is this b?", "And this?"]


@pytest.mark.parametrize("cell", ["%ollama?", "%%ollama?"])
def test_help_stays_help(shell: Any, cell: str) -> None:
    """A bare question mark after the name asks IPython, which shows the options."""
    shown = shell.run(cell)
    titles = ("model:", "prompt:", "functions:", "memory:", "answer:", "display:", "result:")
    assert [title for title in titles if title in shown] == list(titles)
    assert "--max-tokens" in shown


def test_a_quoted_value_may_hold_spaces_and_lose_its_quotes(shell: Any, stand_in: FakeServer) -> None:
    """Both ways to write a value take quotes."""
    for line in ('--system="Be very kind." hi', "-s 'Be very kind.' hi"):
        shell.run(f"%ollama --once {line}")
        assert sent(stand_in)["messages"][0]["content"] == "Be very kind."


def test_a_dollar_takes_a_value_from_the_notebook(shell: Any, stand_in: FakeServer) -> None:
    """$name stands for a variable in any option; an unknown one is an error."""
    shell.run("rule = 'Answer in rhymes, please.'\nname = 'sandbox-think'")
    shell.run("%ollama -m $name -s $rule hi")
    body = sent(stand_in)
    assert (body["model"], body["messages"][0]["content"]) == ("sandbox-think:latest", "Answer in rhymes, please.")
    error, _ = shell.fail("%ollama -s $missing hi")
    assert isinstance(error, SettingError)


def test_any_option_of_ollama_can_be_typed(shell: Any, stand_in: FakeServer) -> None:
    """-O takes its name, a value of the notebook too, and several."""
    shell.run("threads = 2")
    shell.run("%ollama -O num_thread=$threads -O min_p=0.05 -O stop=END -O stop=FIN -O num_ctx=8k hi")
    options = sent(stand_in)["options"]
    assert options == {"num_ctx": 8192, "num_predict": 4096, "stop": ["END", "FIN"], "num_thread": 2, "min_p": 0.05}


def test_braces_can_be_left_alone(shell: Any, stand_in: FakeServer) -> None:
    """With --no-fill nothing stands for a value, in the system prompt neither."""
    shell.run("%%ollama --no-fill -s {{x}}\nWhat does {{missing}} mean in Jinja?")
    assert [message["content"] for message in sent(stand_in)["messages"]] == ["{{x}}", "What does {{missing}} mean in Jinja?\n"]


def test_names_in_double_braces_are_filled_once(shell: Any, stand_in: FakeServer) -> None:
    """A value goes in as it is, and braces in it are not expanded again."""
    shell.run("x = 'see {{y}}'\ny = 1")
    shell.run("%ollama Look: {{x}} and {{ y }} and \\{{y}}")
    assert sent(stand_in)["messages"][-1]["content"] == "Look: see {{y}} and 1 and {{y}}"


def test_a_system_prompt_is_filled_only_where_it_stands_on_the_line(shell: Any, stand_in: FakeServer) -> None:
    """Braces in what came from a value or from the settings are text."""
    shell.run("x = 1\nrule = 'Jinja writes {{x}} and {{missing}}.'")
    for line, system in (("-s $rule hi", shell.names["rule"]), ("-s 'Say {{x}}.' hi", "Say 1.")):
        shell.run(f"%ollama --once {line}")
        assert sent(stand_in)["messages"][0]["content"] == system
    shell.run("%ollama_config --system $rule")
    shell.run("%ollama --once hi")
    assert sent(stand_in)["messages"][0]["content"] == shell.names["rule"]


def test_the_reply_is_bound_and_shown_once(shell: Any) -> None:
    """-o binds the reply; the last value of the cell shows nothing again, and the next cell shows it."""
    shell.run("%%ollama -o answer\nhello")
    assert shell.names["answer"] is shell.names["_ollama"]
    assert shell.names["answer"].text in str(shell.names["answer"])
    shown = shell.run("%ollama hello once more")
    assert shown.count("This is turn 2") == 1
    assert "This is turn 1" in shell.run("answer")


def test_memory_goes_on_starts_anew_and_can_be_left_out(shell: Any, stand_in: FakeServer) -> None:
    """Turns are sent along; --once neither reads nor keeps them; --new begins again."""
    lengths = []
    for line in ("one", "two", "--once three", "four", "--new five", "six"):
        shell.run(f"%ollama {line}")
        lengths.append(len(sent(stand_in)["messages"]))
    assert lengths == [1, 3, 1, 5, 1, 3]


def test_a_failed_new_conversation_does_not_cost_the_old_one(shell: Any, stand_in: FakeServer) -> None:
    """--new takes effect when its answer has come."""
    shell.run("%ollama one")
    shell.fail("%ollama --new --context 16 " + "word " * 300)
    shell.run("%ollama two")
    assert len(sent(stand_in)["messages"]) == 3


BAD = [
    ("%ollama --modle x hi", UsageError, "did you mean --model?"),
    ("%ollama --nonsense hi", UsageError, "unknown option --nonsense  (for a prompt that begins like this"),
    ("%ollama_check --dep", UsageError, "unknown option --dep; did you mean --deep?\n"),
    ("%ollama_history --exprt", UsageError, "unknown option --exprt; did you mean --export?\n"),
    ("%embed --nonsense ['a']", UsageError, "unknown option --nonsense\n"),
    ("%ollama -c 4k hi", UsageError, "did you mean --chat, --continue, --context?"),
    ("%%ollama --think high\nhi", UsageError, "--think=high"),
    ("%ollama --think off -m sandbox-chat hi", UsageError, "--think=off"),
    ("%%ollama -m sandbox-chat --logprobs 5\nhi", UsageError, "--logprobs=5"),
    ("%ollama -m", UsageError, "-m/--model: a value is missing"),
    ("%ollama -s 'open hi", UsageError, "quote"),
    ("%ollama -o 5 hi", UsageError, "-o takes a name"),
    ("%ollama -o class hi", UsageError, "-o takes a name"),
    ("%ollama -o $In hi", UsageError, "-o takes a name"),
    ("%ollama -s $In hi", SettingError, "\n%ollama --system $text …  [setting-invalid]"),
    ("%ollama --suffix $In hi", SettingError, "\n%ollama --suffix $text …  [setting-invalid]"),
    ("%ollama -f 1/0 hi", UsageError, "-f 1/0: division by zero"),
    ("%ollama -t In[9] hi", UsageError, "-t In[9]: list index out of range"),
    ("%ollama_history $In", UsageError, "is not a text"),
    ("%ollama -m a -m b --new hi", UsageError, "--new and several -m contradict each other"),
    ("%ollama -m a -m b --chat c hi", UsageError, "--chat and several -m contradict each other"),
    ("%ollama -m a -m b --continue", UsageError, "--continue and several -m contradict each other"),
    ("%ollama", PromptProblem, "prompt-empty"),
    ("%%ollama\n   ", PromptProblem, "prompt-empty"),
    ("%ollama Hello {{missing}}", PromptProblem, "name-unknown"),
    ("%ollama -m nope hi", ModelProblem, "model-missing"),
    ("%ollama -m sandbox-embed hi", ModelProblem, "model-wrong-type"),
    ("%ollama -O hi", UsageError, "KEY=VALUE"),
    ("%ollama -O temperatur=1 hi", SettingError, "did you mean temperature?"),
    ("%ollama -O num_batch=x hi", SettingError, "whole number"),
    ("%ollama --context 8k -O num_ctx=4k hi", SettingError, "given twice"),
    ("%ollama --context x hi", SettingError, "setting-invalid"),
    ("%ollama --context -5 hi", SettingError, "setting-invalid"),
    ("%ollama --temperature hot hi", SettingError, "setting-invalid"),
    ("number = 5\n%ollama -m $number hi", SettingError, "setting-invalid"),
    ("%ollama -i nothing.png hi", PictureProblem, "picture-missing"),
    ("%ollama -i number hi", PictureProblem, "picture-type-unknown"),
    ("path = 'a.png'\n%ollama -i path hi", PictureProblem, "picture-is-text"),
]


@pytest.mark.parametrize(("cell", "kind", "output"), BAD, ids=[cell for cell, _, _ in BAD])
def test_bad_input_is_named_before_anything_is_asked(
    shell: Any, stand_in: FakeServer, cell: str, kind: type[BaseException], output: str
) -> None:
    """Each mistake has its own error, the model hears nothing of it, and the next cell works."""
    shell.run("number = 5")
    error, shown = shell.fail(cell)
    assert type(error) is kind
    assert output in shown
    assert "Traceback" not in shown
    assert not [path for _, path, _ in stand_in.requests if path in ("/api/chat", "/api/generate")]
    shell.run("%ollama hello")


@pytest.mark.parametrize("line", ["--think -- high", "--think high hopes", "high"])
def test_a_prompt_may_begin_like_the_value_of_an_option(shell: Any, stand_in: FakeServer, line: str) -> None:
    """Where it goes on with words, or says so by two dashes."""
    shell.run(f"%ollama -m sandbox-think {line}")
    assert sent(stand_in)["messages"][-1]["content"] == line.replace("--think ", "").replace("-- ", "")


def test_a_file_that_is_no_picture_is_refused(shell: Any, stand_in: FakeServer, tmp_path: Any) -> None:
    """The content counts, not the suffix, and nothing of it leaves."""
    (tmp_path / "page.png").write_text("<html>secret</html>")
    error, _ = shell.fail(f"%ollama -i {tmp_path}/page.png hi")
    assert isinstance(error, PictureProblem)
    assert not [path for _, path, _ in stand_in.requests if path == "/api/chat"]


def test_no_server_and_a_wrong_port_are_a_few_lines(shell: Any) -> None:
    """An address where nothing answers says so, with what to type."""
    shell.run("%ollama_config --base-url http://127.0.0.1:9")
    error, shown = shell.fail("%ollama hi")
    assert isinstance(error, ConnectionProblem)
    assert "ollama serve" in shown
    assert len(shown.strip().splitlines()) <= 7


def test_a_prompt_over_the_context_is_an_error_and_no_answer(shell: Any) -> None:
    """The server is told not to cut, and its refusal says what to do."""
    error, shown = shell.fail("%ollama --context 64 " + "word " * 500)
    assert isinstance(error, PromptTooLong)
    assert "--context" in shown


def test_a_picture_is_seen_and_a_blind_model_is_refused(shell: Any, stand_in: FakeServer) -> None:
    """A picture goes to a model with vision; one without is refused before sending, with those that can."""
    shell.run("from PIL import Image\nred = Image.new('RGB', (32, 20), 'red')")
    assert "red" in shell.run("%ollama -m sandbox-vision -i red What is it?")
    asked = len([path for _, path, _ in stand_in.requests if path == "/api/chat"])
    error, shown = shell.fail("%ollama -m sandbox-chat -i red What is it?")
    assert isinstance(error, ModelProblem)
    assert "sandbox-vision" in shown
    assert len([path for _, path, _ in stand_in.requests if path == "/api/chat"]) == asked


def test_the_form_can_say_that_a_model_is_asked_for_completions(shell: Any, stand_in: FakeServer) -> None:
    """With the type completion a prompt goes to /api/generate, and braces around it change nothing."""
    shell.run("%ollama_config --type completion")
    shell.run("%ollama Once upon a time")
    assert sent(stand_in, "/api/generate")["prompt"] == "Once upon a time"
    assert sent(stand_in, "/api/generate")["truncate"] is False
