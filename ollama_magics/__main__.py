"""Run the shell command: python -m ollama_magics check, models, pull or sandbox."""

from __future__ import annotations

import json
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from ollama_magics import api, messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.session.session import current
from ollama_magics.settings import form


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 for success."""
    options = _parser().parse_args(words)
    try:
        return int(options.run(options))
    except OllamaMagicsError as error:
        if (typed := getattr(options, "language", None)) in messages.LANGUAGES:
            error.language = typed  # also where other options were refused, so that none was set
        if getattr(options, "json", False):
            found = {"ok": False, "code": error.code, "what": error.what, "how_we_know": error.how_we_know}
            sys.stdout.write(json.dumps({**found, "remedy": error.remedy}, ensure_ascii=False) + "\n")
        else:
            sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> ArgumentParser:
    parser = ArgumentParser("python -m ollama_magics", description="Local models from a shell.")
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
        api.use_profile(options.profile)
    api.configure(**{name: value for name in form.names() if (value := getattr(options, name)) is not None})


def _check(options: Namespace) -> int:
    _configure(options)
    report = api.check(deep=options.deep)
    sys.stdout.write(f"{report.as_json() if options.json else report}\n")
    return 0 if report else 1


def _models(options: Namespace) -> int:
    _configure(options)
    found = api.models()
    width = max((len(one["name"]) for one in found), default=0)
    lines = [f"{one['name']:{width}}  {one['size'] / 1e9:7.2f} GB  {'loaded' if one['loaded'] else ''}".rstrip() for one in found]
    sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) if options.json else "\n".join(lines))
    sys.stdout.write("\n")
    return 0


def _pull(options: Namespace) -> int:
    _configure(options)
    previous = ""
    for step in api.pull(options.name):
        part = f"{10 * (10 * step.completed // step.total)} % of {step.total / 1e9:.2f} GB" if step.total else ""
        line = f"{step.status}  {part}".rstrip()
        if line != previous and not options.json:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        previous = line
    if options.json:
        sys.stdout.write(json.dumps({"ok": True, "model": options.name}) + "\n")
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
