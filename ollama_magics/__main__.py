"""Run the shell command: python -m ollama_magics check, models, pull or sandbox."""

from __future__ import annotations

import codecs
import io
import json
import sys
import threading
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import NoReturn

from ollama_magics import api, messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.session.session import current
from ollama_magics.settings import form

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


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Write what is wrong in the language of the user, and exit with 2."""
        language = current().language
        text = messages.format_fact(messages.argparse_error(message), language)
        self.exit(2, self.format_usage() + messages.phrase("shell_error", language, command=self.prog, text=text) + "\n")


def _parser() -> ArgumentParser:
    parser = _Parser("python -m ollama_magics", description="Local models from a shell.")
    parser.set_defaults(language=None, json=False)
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("check", help="check the way from this machine to an answer")
    check.add_argument("--deep", action="store_true", help="load the model, ask it, and test what it can do")
    models = commands.add_parser("models", help="list what is installed on the server")
    pull = commands.add_parser("pull", help="let the server download a model")
    pull.add_argument("name", metavar="NAME", help="as in the library: llama3.2, gemma3:4b")
    for command, run in ((check, _check), (models, _models), (pull, _pull)):
        for name in form.names():
            about, metavar = form.explain(name).replace("%", "%%"), form.SETTINGS[name].metavar
            command.add_argument(form.flag(name), dest=name, metavar=metavar, help=about)
        command.add_argument("--no-probes", dest="probes", action="store_const", const="no", help="the same as --probes no")
        command.add_argument("--profile", metavar="NAME", help="a saved profile to use")
        command.add_argument("--json", action="store_true", help="write JSON, for programs")
        command.set_defaults(run=run)
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
        return 0
    names = [messages.strip_controls(one["name"]).replace("\n", " ") for one in found]
    width = max(map(len, names), default=0)
    for name, one in zip(names, found, strict=True):
        sys.stdout.write(f"{name:{width}}  {one['size'] / 1e9:7.2f} GB  {'loaded' if one['loaded'] else ''}".rstrip() + "\n")
    return 0


def _pull(options: Namespace) -> int:
    _configure(options)
    previous = ""
    for step in api.pull(options.name):
        part = f"{10 * (10 * step.completed // step.total)} % of {step.total / 1e9:.2f} GB" if step.total else ""
        line = f"{messages.strip_controls(step.status)}  {part}".rstrip()
        if line != previous and not options.json:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        previous = line
    if options.json:
        _write_json({"ok": True, "model": options.name})
    return 0


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
