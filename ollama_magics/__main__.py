"""The same from a shell: python -m ollama_magics check, or sandbox."""

from __future__ import annotations

import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from ollama_magics import api, settings
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.standin import StandIn


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 for success."""
    options = _parser().parse_args(words)
    try:
        return int(options.run(options))
    except OllamaMagicsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> ArgumentParser:
    parser = ArgumentParser("python -m ollama_magics", description="Local models from a shell.")
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("check", help="find out what stands between this machine and an answer")
    for name in settings.form():
        check.add_argument(settings.flag(name), dest=name, metavar="VALUE", help=settings.explain(name).replace("%", "%%"))
    check.add_argument("--no-probes", dest="probes", action="store_const", const="no", help="the same as --probes no")
    check.add_argument("--profile", metavar="NAME", help="a saved profile to use")
    check.add_argument("--deep", action="store_true", help="load the model, ask it, and prove what it can do")
    check.add_argument("--json", action="store_true", help="write the report as JSON")
    check.set_defaults(run=_check)
    sandbox = commands.add_parser("sandbox", help="run the stand-in server until it is interrupted")
    sandbox.add_argument("--port", type=int, default=0, help="0: any free one")
    sandbox.add_argument("--delay", type=float, default=0.02, help="seconds between two tokens")
    sandbox.set_defaults(run=_sandbox)
    return parser


def _check(options: Namespace) -> int:
    if options.profile:
        api.use_profile(options.profile)
    api.configure(**{name: value for name in settings.form() if (value := getattr(options, name)) is not None})
    report = api.check(deep=options.deep)
    sys.stdout.write(f"{report.as_json() if options.json else report}\n")
    return 0 if report else 1


def _sandbox(options: Namespace) -> int:
    with StandIn(options.port, delay=options.delay) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
