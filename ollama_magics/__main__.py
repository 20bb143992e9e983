"""Run the shell command: python -m ollama_magics check, models, show, pull, stop, rm or sandbox."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import sys
import threading
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, NoReturn

from ollama_magics import api, messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.render.model_tables import ModelSheet, ModelsTable
from ollama_magics.secret import BULLETS, SECRET_OPTION, looks_like_key, without_secrets
from ollama_magics.session.models import find_model
from ollama_magics.session.session import current
from ollama_magics.settings import form

_UNKNOWN_VALUE = re.compile(r"(?<!\S)(?P<option>--?[A-Za-z][\w-]*(?:=|\s+))(?P<value>(?!-)\S+)")
_BROKEN_PIPE = 141  # the status of a command that the signal SIGPIPE ends
_package = sys.modules["ollama_magics"]  # an import of it would be one of the magics, too
# What is written instead of a character that the encoding of the output does not have; others are escaped.
_PLAIN = {"✓": "+", "✗": "x", "–": "-", "—": "-", "…": "...", "→": "->", "·": "-", "•": "*", "●": "*", "×": "x", "≥": ">="}
_PLAIN |= {"“": '"', "”": '"', "‘": "'", "’": "'", "\u202f": " ", "\u00a0": " ", "\u2003": "  "}
_PLAIN |= {"，": ",", "。": ".", "：": ":", "；": ";", "、": ",", "（": "(", "）": ")"}


def _replace_missing(error: UnicodeError) -> tuple[str, int]:
    """Return plain characters for those that an encoding lacks, as an error handler of codecs."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    plain = "".join(_PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in missing)
    return plain, error.end


codecs.register_error("ollama_magics", _replace_missing)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 for success."""
    try:
        status = _run(words)
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # not one of the output
            raise
        status = _give_up_output(error)
    return status


def _give_up_output(error: OSError) -> int:
    """Return the exit status where the output takes no more; where its reader has ended, as head does, nothing is said."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest at its end
    if isinstance(error, BrokenPipeError):
        return _BROKEN_PIPE
    sys.stderr.write(messages.phrase("output_unwritable", current().language, said=error.strerror or error) + "\n")
    return 1


def _run(words: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ollama_magics")
    options, noticed = _parser().parse_args(words), []
    try:
        with warnings.catch_warnings(record=True) as noticed:
            warnings.simplefilter("always", UserWarning)
            status = int(options.run(options))
    except OllamaMagicsError as error:
        error.place = "shell"
        # also where other options were refused, so that none was set
        error.language = options.language if options.language in messages.LANGUAGES else current().language
        if options.json:
            found = {"ok": False, "code": error.code, "what": error.what, "how_we_know": error.how_we_know}
            _write_json({**found, "remedy": error.remedy})
        else:
            sys.stderr.write(f"{error}\n")
        status = 1
    except KeyboardInterrupt:
        status = 130
    notices = [messages.notice(key, facts, current().language) for key, facts in current().resolved.take_notices()]
    for notice in (*(one.message for one in noticed), *notices):
        sys.stderr.write(f"{notice}\n")
    return status


def _write_json(found: object, indent: int | None = None) -> None:
    """Write a line of JSON; what a terminal would obey, or the encoding of the output lacks, is escaped."""
    text = json.dumps(found, ensure_ascii=False, indent=indent)
    try:
        is_plain = messages.strip_controls(text) == text and bool(text.encode(sys.stdout.encoding or "utf-8"))
    except UnicodeEncodeError:
        is_plain = False
    sys.stdout.write((text if is_plain else json.dumps(found, indent=indent)) + "\n")


def _without_key(unknown: re.Match[str]) -> str:
    """Return an unknown option, and its value unless that may be a key."""
    is_key = SECRET_OPTION.search(unknown["option"]) or looks_like_key(unknown["value"])
    return f"{unknown['option']}{BULLETS}" if is_key else unknown[0]


class _Parser(ArgumentParser):
    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **{**options, "allow_abbrev": False})  # --api-key KEY would be one of --api-key-env

    def error(self, message: str) -> NoReturn:
        """Write what is wrong in the language of the user, and exit with 2."""
        language = current().language
        message = _UNKNOWN_VALUE.sub(_without_key, message)
        text = without_secrets(messages.format_fact(messages.argparse_error(message), language))
        self.exit(2, self.format_usage() + messages.phrase("shell_error", language, command=self.prog, text=text) + "\n")


def _parser() -> ArgumentParser:
    parser = _Parser("python -m ollama_magics", description="Local models from a shell.")
    parser.set_defaults(language=None, json=False)
    parser.add_argument("--version", action="version", version=f"ollama_magics {_package.__version__}")
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("check", help="check the way from this machine to an answer")
    check.add_argument("--deep", action="store_true", help="load the model, ask it, and test what it can do")
    commands.add_parser("models", help="list what is installed on the server").set_defaults(run=_models)
    for word, run, about in _NAMED:
        named = commands.add_parser(word, help=about)
        named.add_argument("name", metavar="NAME", help="as in the library, such as llama3.2 or gemma3:4b, or a link to its page")
        named.set_defaults(run=run)
    commands.choices["rm"].add_argument("--yes", action="store_true", help="delete it without a question")
    check.set_defaults(run=_check)
    for command in list(commands.choices.values()):
        for name in form.names():
            about, metavar = form.explain(name).replace("%", "%%"), form.SETTINGS[name].metavar
            command.add_argument(form.flag(name), dest=name, metavar=metavar, help=about)
        command.add_argument("--no-probes", dest="probes", action="store_const", const="no", help="the same as --probes no")
        command.add_argument("--profile", metavar="NAME", help="a saved profile to use")
        command.add_argument("--json", action="store_true", help="write JSON, for programs")
    sandbox = commands.add_parser("sandbox", help="run the stand-in server until it is interrupted")
    sandbox.add_argument("--port", type=int, default=0, help="0: any free one")
    sandbox.add_argument("--delay", type=float, default=0.02, help="seconds between two tokens")
    sandbox.set_defaults(run=_sandbox)
    return parser


def _configure(options: Namespace) -> None:
    if options.profile:
        current().resolved.use(options.profile)
    current().configure({name: value for name in form.names() if (value := getattr(options, name)) is not None})


def _check(options: Namespace) -> int:
    _configure(options)
    report = api.check(deep=options.deep).in_place("shell check")
    if options.json:
        _write_json(json.loads(report.as_json()), indent=2)
    else:
        sys.stdout.write(f"{report}\n")
    return 0 if report else 1


def _models(options: Namespace) -> int:
    _configure(options)
    found = api.models()
    if options.json:
        _write_json(found, indent=2)
    elif found:
        sys.stdout.write(f"{ModelsTable(found, current().language)!r}\n")
    return 0


def _show(options: Namespace) -> int:
    _configure(options)
    found = api.show(options.name)
    if options.json:
        _write_json(found, indent=2)
    else:
        sys.stdout.write(f"{ModelSheet(found, current().language)!r}\n")
    return 0


def _pull(options: Namespace) -> int:
    _configure(options)
    previous = ""
    for step in api.pull(options.name):
        is_seen = sys.stdout.isatty()
        if options.json:
            continue
        if is_seen:  # one line that is written again
            figures = " · ".join(messages.format_fact(fact, current().language) for fact in step.figures())
            sys.stdout.write(f"\r\x1b[K{figures}")
        else:
            part = f"{10 * (10 * step.completed // step.total)} % of {messages.bytes_text(step.total)}" if step.total else ""
            line = f"{messages.strip_controls(step.status)}  {part}".rstrip()
            sys.stdout.write(f"{line}\n" if line != previous else "")
            previous = line
        sys.stdout.flush()
    if options.json:
        _write_json({"ok": True, "model": options.name})
    elif sys.stdout.isatty():
        sys.stdout.write("\n")
    return 0


def _stop(options: Namespace) -> int:
    _configure(options)
    was_loaded = api.stop(options.name)
    _report(options, "model_stopped" if was_loaded else "model_not_loaded", was_loaded=was_loaded)
    return 0


def _rm(options: Namespace) -> int:
    """Delete a model; without --yes only where somebody at a terminal says so."""
    _configure(options)
    found = find_model(current(), options.name)
    if not options.yes:
        facts = {"size": messages.bytes_text(found.size), "host": current().address.host}
        sys.stderr.write(messages.phrase("delete_model", current().language, model=found.name, **facts))
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes", "是"):
            _report(options, "model_kept", deleted=False)
            return 1
    api.rm(found.name)
    _report(options, "model_deleted", deleted=True)
    return 0


def _report(options: Namespace, key: str, **facts: object) -> None:
    if options.json:
        _write_json({"ok": True, "model": options.name, **facts})
    else:
        sys.stdout.write(messages.phrase(key, current().language, model=options.name) + "\n")


_NAMED = (
    ("show", _show, "show what the server knows about a model"),
    ("pull", _pull, "let the server download a model"),
    ("stop", _stop, "remove a model from the memory of the server"),
    ("rm", _rm, "delete a model from the disk of the server"),
)


def _sandbox(options: Namespace) -> int:
    server = FakeServer(options.port, delay=options.delay)
    try:
        server.start()
    except (OSError, OverflowError) as error:  # OverflowError: no port has this number
        reason = getattr(error, "strerror", None) or error
        facts = {"port": options.port, "reason": reason}
        sys.stderr.write(messages.phrase("sandbox_not_started", current().language, **facts) + "\n")
        return 1
    with server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
