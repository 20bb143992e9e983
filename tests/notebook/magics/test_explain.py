"""%ollama_explain: which exception it explains, what it sends and what never, and what it does without a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.error import UsageError

from ollama_magics.errors import Interrupted
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.secret import without_secrets
from tests.faults.answers import fine, whole
from tests.faults.server import FaultServer


@pytest.fixture(autouse=True)
def _no_exception(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without the exceptions of other tests."""
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        monkeypatch.delattr(sys, name, raising=False)
    yield
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        sys.__dict__.pop(name, None)


def fail(shell: Any, cell: str) -> None:
    """Run a cell as a front end does, with a number, that must fail."""
    shell.ipython.run_cell(cell, store_history=True)
    assert sys.last_value is not None


def sent(server: FakeServer) -> dict[str, Any]:
    """Return the body of the only chat request."""
    (body,) = (body for _, path, body in server.requests if path == "/api/chat")
    return dict(body or {})


def test_an_exception_is_explained_by_the_model(shell: Any, stand_in: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The cell, the message and the values go to the model; braces are text, the conversation is left alone."""
    shell.run("%ollama hello")
    stand_in.requests.clear()
    fail(shell, "price = '3'\n# {{price}} {0}\nprice + 4")
    capsys.readouterr()
    assert "TypeError" in shell.run("%ollama_explain --max-tokens 77")  # the stand-in answers with the prompt
    body = sent(stand_in)
    (system, prompt) = body["messages"]
    assert system["role"] == "system"
    assert prompt["content"].startswith("TypeError: can only concatenate")
    assert "# {{price}} {0}\n>   3  price + 4" in prompt["content"]
    assert "- price: str: '3'" in prompt["content"]
    assert body["options"]["num_predict"] == 77
    assert shell.names["_ollama"].text
    assert len(shell.run("history = %ollama_history --export\nprint(history)").split("TypeError")) == 1


SHOWN = {
    "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('no') from e": "KeyError: 'a'",
    "for i in range(3):\n    print(i\n": ">   2      print(i",
    "x = [1,\n  2": "SyntaxError",
    "%nosuch 1": ">   1  %nosuch 1",
    "%run /nowhere/file.py": "/nowhere/file.py",
    "%%nosuch\nx": "%%nosuch",
    "raise ExceptionGroup('several', [ValueError('one')])": "ValueError: one",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "input('?')": ">   1  input('?')",
}


def test_each_kind_of_exception_is_shown_and_nothing_sent(shell: Any, stand_in: FakeServer) -> None:
    """Chains, syntax, IPython's own, groups, interrupts: --show writes what would be sent."""
    stand_in.requests.clear()
    missing = {}
    for cell, text in SHOWN.items():
        fail(shell, cell)
        shown = shell.run("%ollama_explain --show")
        if text not in shown or "Nothing was sent" not in shown:
            missing[cell] = shown
    assert not missing
    assert not stand_in.requests


def test_an_error_of_ours_shows_its_remedy_first(shell: Any, stand_in: FakeServer) -> None:
    """Without a model; --ask asks it all the same."""
    stand_in.requests.clear()
    for cell, said in (("%ollama -m nosuch hi", "%ollama_pull nosuch"), ("%ollama --modle x hi", "did you mean --model?")):
        fail(shell, cell)
        before = len(stand_in.requests)
        shown = shell.run("%ollama_explain")
        assert said in shown
        assert "%ollama_explain --ask" in shown
        assert "only %ollama_explain --ask would send" in shell.run("%ollama_explain --show")
        assert "only %ollama_explain" not in shell.run("%ollama_explain --ask --show")
        assert len(stand_in.requests) == before
    assert shell.run("%ollama_explain --ask")
    assert "did you mean --model?" in sent(stand_in)["messages"][1]["content"]


def test_without_an_exception_it_says_so(shell: Any) -> None:
    """Also a second time: its own error is not the last one."""
    for _ in range(2):
        error, shown = shell.fail("%ollama_explain")
        assert isinstance(error, UsageError)
        assert "no exception to explain" in shown
    shell.run("%ollama_config --language zh")
    assert "没有可解释的异常" in shell.fail("%ollama_explain")[1]


BAD = {
    "%ollama_explain nonsense": "does not take nonsense",
    "%ollama_explain a b c d e f g h i j": "does not take a b c d e f g h i j",
    "%ollama_explain <b>x</b>": "does not take <b>x</b>",
    "%ollama_explain --shw": "did you mean --show?",
    "%ollama_explain --model": "a value is missing",
    "%ollama_explain --context x": "context",
    "%ollama_explain -m nosuch": "%ollama_pull nosuch",
}


def test_bad_lines_and_servers(shell: Any, stand_in: FakeServer) -> None:
    """Each has its own error, and the exception of the notebook is still the one that is explained."""
    fail(shell, "1 / 0")
    stand_in.requests.clear()
    assert not [line for line, said in BAD.items() if said not in shell.fail(line)[1]]
    shell.run("%ollama_config --base-url http://127.0.0.1:1 --no-probes")
    assert shell.fail("%ollama_explain")[0].code.startswith("address-refused")
    with FaultServer(fine(version=whole({"version": "0.5.0"}))) as old:
        shell.run(f"%ollama_config --base-url {old.url} --model m")
        assert "0.5.0" in shell.fail("%ollama_explain")[1]
    assert "ZeroDivisionError" in shell.run("%ollama_explain --show")


def test_it_stays_on_this_machine_if_told_to(shell: Any) -> None:
    """The gate of every prompt holds; --show needs no server."""
    fail(shell, "1 / 0")
    shell.run("%ollama_config --base-url http://gpu-box:11434 --local-only yes")
    assert shell.fail("%ollama_explain")[0].code == "local-only"
    assert "1 / 0" in shell.run("%ollama_explain --show")


def test_no_key_is_sent(shell: Any, stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it stands in a value, the code, the message, the environment or is the server's own."""
    monkeypatch.setenv("SOME_API_KEY", "from-environment-1")
    monkeypatch.setenv("PWD", "/somewhere/here")  # a folder, although "pwd" is also short for a password
    shell.names["held"] = "the-key-of-the-server"
    shell.run("%ollama_config --api-key $held")
    shell.run("import os\nfrom_environment = os.environ['SOME_API_KEY']")
    fail(shell, "password = 'hunter2x'\nraise ValueError(f'bad {password} {from_environment} {held} /somewhere/here')")
    stand_in.requests.clear()
    shown = shell.run("%ollama_explain --show") + shell.run("%ollama_explain")
    text = shown + json.dumps(sent(stand_in)["messages"])
    assert not [secret for secret in ("hunter2x", "from-environment-1", "the-key-of-the-server") if secret in text]
    assert "ValueError: bad •••• •••• •••• /somewhere/here" in shown
    assert "texts that look like keys were replaced" in shown


HELD = {
    "dict": ("cfg = {'password': SECRET, 'db': 'x'}", "cfg['password']"),
    "nested": ("cfg = {'db': [{'password': SECRET}]}", "cfg['db'][0]['password']"),
    "in one": ("cfg = {'credentials': {'user': 'ada', 'pw': SECRET}}", "cfg['credentials']['pw']"),
    "list": ("passwords = ['other', SECRET]", "passwords[1]"),
    "bytes": ("password = SECRET.encode()", "password.decode()"),
    "attribute": ("class C: pass\nc = C(); c.password = SECRET", "c.password"),
    "slot of a named tuple": ("import collections\nc = collections.namedtuple('C', 'host password')('h', SECRET)", "c[1]"),
    "dataclass": ("import dataclasses\nc = dataclasses.make_dataclass('C', ['api_key'])(SECRET)", "c.api_key"),
    "struct": ("import msgspec\nc = msgspec.defstruct('C', ['api_key'])(SECRET)", "c.api_key"),
    "class": ("class C: api_key = SECRET", "C.api_key"),
    "array of bytes": ("secret = bytearray(SECRET.encode())", "secret.decode()"),
    "fields": ("import numpy\na = numpy.array([('u', SECRET)], [('user', 'U40'), ('password', 'U40')])", "str(a['password'][0])"),
    "series": ("import pandas\nrow = pandas.DataFrame({'user': ['a'], 'password': [SECRET]}).iloc[0]", "row['password']"),
    "rows": ("import pandas\nt = pandas.DataFrame({'is': ['a', SECRET]}, index=['user', 'password'])", "t['is']['password']"),
    "pairs": ("pairs = [('user', 'a'), ('password', SECRET)]", "dict(pairs)['password']"),
    "loop": ("for k, v in {'password': SECRET}.items(): pass\nk2, w = k, [v]\ndel w", "v"),
    "argument": ("def login(user, pw): return pw\nclass C: pass\nc = C(); c.pw = SECRET", "login('a', pw=c.pw)"),
    "command": ("argv = ['run', '--password', SECRET]", "argv[-1]"),
    "spelled": ("import json, urllib.parse\npassword = SECRET", "urllib.parse.quote(json.dumps(password)[1:-1])"),
    "in base64": ("import base64\napi_token = SECRET", "base64.b64encode(('u:' + api_token + '12').encode()).decode()"),
    "table": ("import pandas\nt = pandas.DataFrame({'user': ['ada'], 'password': [SECRET]})", "t.iloc[0]['password']"),
}
RAISED = {
    "in the cell": 'raise ValueError(f"bad {%s}")',
    "in a function": "def connect(c): raise ValueError('bad ' + c)\nconnect(%s)",
    "in a cause": "try: raise ValueError('bad ' + %s)\nexcept ValueError as error: raise KeyError('x') from error",
    "on the error": "error = ValueError('bad ' + %s); error.password = %s; del error; raise ValueError('bad ' + %s)",
}


@pytest.mark.parametrize("held", HELD)
def test_no_key_is_sent_wherever_it_is_held(shell: Any, held: str) -> None:
    """Inside of what the user's names hold, however deep, and whoever put it into a message; a short one as a word."""
    made, path = HELD[held]
    for (way, raised), secret in zip(RAISED.items(), ["hunter2", "Tr0ub4dor-33", "a longer one", "abcdef1"], strict=True):
        shell.names["given"] = [secret]  # under an innocent name, as a password that was typed at a prompt
        shell.run(made.replace("SECRET", "given[0]"))
        fail(shell, raised.replace("%s", path))
        shown = shell.run("%ollama_explain --show")
        assert "bad " in shown, way
        assert "••••" in shown, way
        assert secret not in shown, way


IN_CODE = {
    "default": "def connect(user, password=\n    'SECRET'): return int(user + password)\nconnect('x')",
    "argument": "def connect(user, password): return int(user + password)\nconnect('x', password=\n    'SECRET')",
    "in brackets": "password = (\n    # of the test\n    'SECRET'\n)\nint('x' + password)",
    "in pieces": "password = ('SEC'\n    'RET')\nint('x' + password)",
    "item of a dict": "cfg = {'password':\n\n    'SECRET'}\nint('x' + cfg['password'])",
    "item of a list": "argv = ['x', '--password',\n    'SECRET']\nint(' '.join(argv))",
    "call": "import os\nenv = {}\nenv.setdefault('DB_PASSWORD',\n    'SECRET')\nint(env['DB_PASSWORD'])",
    "otherwise": "import os\npassword = os.environ.get('NOWHERE') or \\\n   'SECRET'\nint('x' + password)",
    "compared": "password = input\nif password == (\n    'SECRET'): pass\n1 / 0",
    "no Python": "def connect(:\nconnect(password=\n    'SECRET')",
}


@pytest.mark.parametrize("place", IN_CODE)
def test_no_key_in_the_code_is_sent(shell: Any, place: str) -> None:
    """However many lines lie between its name and the text."""
    fail(shell, IN_CODE[place].replace("SECRET", "Tr0ub4dor-33"))
    shown = shell.run("%ollama_explain --show")
    assert "••••" in shown
    for piece in ("Tr0ub4dor-33", "Tr0ub4", "dor-33"):
        assert piece not in shown


def test_what_a_cut_leaves_of_a_key_is_not_sent(shell: Any) -> None:
    """At the end of a message, of a text, of a line and of a list."""
    shell.names["held"] = {"api_key": "A1b2C3d4E5f6G7h8" * 9}
    shell.run("key = held['api_key']; text = 'x' * 90 + key; items = ['x' * 40 + key] * 9")
    for cell in (
        "raise ValueError('y' * 950 + key)",
        "int(text)",
        "int(items)",
        f"# {'z' * 180} {'A1b2C3d4E5f6G7h8' * 9}\n1 / 0",
    ):
        fail(shell, cell)
        shown = shell.run("%ollama_explain --show")
        assert "••••" in shown, cell
        assert "A1b2C3d4" not in shown, cell


def test_the_cell_after_one_that_names_a_key_is_sent(shell: Any) -> None:
    """The history of IPython is a list of cells, of which none is the value of another; so are sentences."""
    shell.run("%ollama_config --language en")
    for cell in ("password = 'Tr0ub4dor-33'", "texts = ['I forgot my password', 'please refund the order']"):
        shell.ipython.run_cell(cell, store_history=True)
        fail(shell, "first = 'please refund the order'\nfirst + 1 / 0")
        shown = shell.run("%ollama_explain --show")
        assert ">   2  first + 1 / 0" in shown
        assert "- first: str: 'please refund the order'" in shown
        assert "Tr0ub4dor-33" not in shown


def test_half_a_character_in_a_message_is_shown_and_sent(shell: Any, stand_in: FakeServer) -> None:
    """It is escaped, as neither an output nor a request can hold it; and code that ends Python in a value ends nothing."""
    fail(shell, "raise ValueError('\\ud800 <b> \\x00' + 'z')")
    stand_in.requests.clear()
    assert "\\ud800 <b>  z" in shell.run("%ollama_explain --show")
    assert "ValueError" in shell.run("%ollama_explain")
    assert "\\ud800 <b>  z" in sent(stand_in)["messages"][1]["content"]
    fail(shell, "class Ends:\n    def __repr__(self): raise SystemExit\nends = Ends()\nends.missing")
    assert "- ends: Ends: (no text)" in shell.run("%ollama_explain --show")


MESSAGES = [
    "Command '['mysql', '-uroot', '-p@', '-e', 'select 1']' returned 1",
    "Command 'mysqldump -u root -p@ shop' returned non-zero exit status 2",
    "Command '['sshpass', '-p', '@', 'ssh', 'host']' returned 1",
    "subprocess.CalledProcessError: Command '['mysql', '--password', '@', '-u', 'ada']' returned 1",
    "Command 'mysql --password=@ -u ada' returned non-zero exit status 1",
    "Command '['curl', '-u', 'admin:@', 'http://host']' returned 1",
    "invalid literal for int(): 'host=db user=me password=@ dbname=x'",
    "db:\n  password: @\n  host: x",
    "assert password == '@'",
    "# password: @",
    "https://host/path?X-Amz-Signature=@&x=1",
    "https://host/callback?code=@",
    "cookies = '@'",
]
HARMLESS = [
    "Command '['ssh', '-p', '2222', 'host']' returned 255",
    "mkdir -pv a b",
    "password = getpass.getpass()",
    "def login(user, password: str | None = None) -> bool:",
    "connect(password=settings.password, token=token)",
    "if password == other: raise ValueError(password)",
    "KeyError: 'password'",
    "the password is wrong, the secret was not found: see the log",
    "kwargs: user, password, host",
    "password=None, secret=True",
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_secret_in_a_message_is_known_by_the_word_before_it(message: str) -> None:
    """In commands, files of settings, addresses and code."""
    for secret in ("hun2708-ter9pass", "s3cret"):
        assert secret not in without_secrets(message.replace("@", secret))


@pytest.mark.parametrize("text", HARMLESS)
def test_words_and_names_beside_such_a_word_stay(text: str) -> None:
    """The model needs them to explain the code."""
    assert without_secrets(text) == text


def test_the_fix_goes_into_the_next_cell(shell: Any) -> None:
    """In a front end without such cells it is said; the browser test has one."""
    fail(shell, "1 / 0")
    assert "--next-cell: " in shell.run("%ollama_explain --next-cell")


def test_an_interrupted_explanation_can_be_asked_for_again(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interrupt is not what is explained then."""
    fail(shell, "1 / 0")
    with monkeypatch.context() as patch:
        patch.setattr("ollama_magics.session.build_request.ask", interrupted)
        assert isinstance(shell.fail("%ollama_explain")[0], (Interrupted, KeyboardInterrupt))
    assert "ZeroDivisionError" in shell.run("%ollama_explain --show")


def interrupted(*_: Any) -> None:
    """Press the stop button."""
    raise KeyboardInterrupt


def test_in_chinese(shell: Any, stand_in: FakeServer) -> None:
    """The model is asked to answer in the language of the notebook."""
    shell.run("%ollama_config --language zh")
    fail(shell, "1 / 0")
    assert "系统提示词将是" in shell.run("%ollama_explain --show")
    shell.run("%ollama_explain")
    assert "Answer in Chinese" in sent(stand_in)["messages"][0]["content"]


def test_a_port_is_no_key() -> None:
    """It is shown in the messages of every error of a connection; what may be a password is not."""
    for text in (
        *("http://127.0.0.1:11434", "at http://127.0.0.1:9. refused", "http://localhost:8080/api/tags", "'http://gpu-box:80'"),
        *("(http://a.b:1)", "http://h:443?x=1", "http://[::1]:11434/api"),
    ):
        assert without_secrets(text) == text
    for text in ("http://ada:1234@host", "http://ada:12/34@host", "db://ada:hunter2", "http://a.b:123456/", "db://ada:12345"):
        assert "••••" in without_secrets(text), text
