"""The tables that make findings and make promises print, with the tests that hold each line.

A finding is a known way in which data or an answer can go wrong; a promise is what holds for all of them.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

TITLES = {
    "A1": "a value comes from where the line runs: the locals of a function first",
    "A2": "rows, items and characters that are left out are reported to the user",
    "A3": "an expression in {{ }} is filled or refused, never sent as it stands",
    "A4": "constraints of Annotated types are sent and checked",
    "A5": "no bound of a schema stops a runner",
    "A6": "all pages of a document go out; of an animation the first frame, reported",
    "A7": "pictures of more than 8 bits keep their range",
    "A8": "transparent and dark pictures stay readable",
    "A9": "pictures of earlier turns never go to a model without vision",
    "A10": "figures of a turn with tools are totals",
    "A11": "Save writes what is shown and was proved",
    "A12": "a broken profile never makes a notebook less safe",
    "A13": "the address of a sandbox is never saved",
    "A14": "log probabilities under a schema are marked as unconstrained",
    "A15": "a path is never taken for a system prompt",
    "B1": "bars in formulas and code do not cut table cells",
    "B2": "labels and references in formulas do no harm",
    "B3": "bare LaTeX environments are typeset",
    "B4": "emphasis beside CJK punctuation",
    "B5": "harmless inline HTML, task lists, bare links",
    "B6": "a fenced or surrounded JSON answer is read",
    "B7": "thoughts inside the text are thoughts",
    "B8": "arguments of a tool call are read in every spelling",
    "B9": "frames, arrays and pictures that a tool returns reach the model",
    "B10": "dates and times carry their format",
    "B11": "a name on a line of its own shows its value",
    "B12": "a reply pickles, contains, iterates and shows itself",
    "B13": "an error in Python names what to type in Python",
    "B14": "next cells are replaced, dropped turns can come back",
    "C1": "a look-alike of Ollama is recognised before it is judged",
    "C2": "llama.cpp's 404 is not Ollama",
    "C3": "requests use the full name of a model",
    "C4": "a forbidden side request never stops the main one",
    "C5": "401 and 403 have four causes, each with its line to type",
    "C6": "a usage limit is reported in the server's words and not retried",
    "C7": "a narrow terminal encoding prints plain characters",
    "C8": "a bad source of a setting is named and blocks nothing better",
    "C9": "many models cost few requests",
    "C10": "a dead proxy is not reported as a connection",
    "C11": "advice depends on where the server is",
    "C12": "a click waits for the fields",
    "C13": "notes stay visible in a narrow window",
    "C14": "stray white space in an address is understood",
    "C15": "unreadable profiles and byte order marks are reported",
    "C16": "a forgotten key is gone",
    "C17": "option values that begin with a dash are taken",
    "C18": "a keyring without a backend stops nothing",
    "C19": "the form says at once that nobody listens",
    "C20": "a default is called a default",
    "C21": "a cloud model is named as one",
    "C22": "every remedy can be typed where it is shown",
    "C23": "a misspelt model: the nearest installed one comes first",
    "C24": "refusals of a proxy, of a model and odd rows are told apart",
    "C25": "a misspelt parameter names the nearest; booleans are taken",
    "C26": "an embedding job shows something from its first request",
    "C27": "%embed of a table names its first text column",
    "E1": "local_only holds for every call, and travels with what is pickled",
    "E2": "every argument of a call is named and visible before it is confirmed",
    "E3": "a key that a server repeats is removed in every spelling",
    "E4": "no key is a plain text in the variables of a traceback",
    "E5": "what a file sets that lets another machine read along is asked for; the footer names a proxy",
    "E6": "a recording replaces regular files only, and follows no link",
    "E7": "a terminal obeys nothing that a server sends",
    "E8": "one live form in a kernel; the earlier ones are still pictures",
    "E9": "a flood is cut by one budget for each answer",
    "E10": "a line without an end is refused in linear time",
    "E12": "the head of an answer, a line and a small answer have their time as a whole",
    "E13": "a large transparent picture takes little memory",
    "E14": "what cannot be read costs no answer",
    "E15": "a notice of a dropped key names the address that it was for",
    "E16": "pictures come from public addresses only, on every Python",
    "E17": "stores, profiles and recordings are regular files of ours, in folders of ours",
    "E18": "secrets in the error of a function do not go to the model",
    "E19": "a change of the address lets the requests of other threads end",
    "F1": "the levels of thinking are the server's own",
    "F2": "a model that repeats itself is reported as stuck",
    "F3": "no rate from a handful of tokens",
    "F4": "an option that the server no longer knows is named",
    "F5": "the context is the one that the server has",
    "F6": "a reload is reported only where the server reloads",
    "F7": "the words, statuses and lists of newer servers are understood",
    "F8": "the size of embedding batches suits the server",
    "G1": "consoles, which ignore updates of an output, show the answer as text",
    "G10": "a form that nobody can fill is a picture without widgets",
}
PROMISES = {
    "N1": "each fault gives its error and its remedy in time, and the next call works",
    "N2": "no answer that is cut, empty or of another kind is shown as complete",
    "N3": "the stop button ends a cell within a second, whatever it does, and keeps what is there",
    "N4": "a job that is killed goes on where it was, bit for bit",
    "N5": "keys are nowhere but in the requests to their server, and nothing leaves this machine under local_only",
    "N6": "the check names what is wrong in planted situations",
    "N7": "cells leave no thread, socket, descriptor, widget or memory behind",
}
TABLES = {"finding": TITLES, "promise": PROMISES}
_SEEN = {"passed": "✓", "failed": "✗", "skipped": "–"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --findings and --promises, which print their table."""
    for kind in TABLES:
        parser.addoption(f"--{kind}s", action="store_true", help=f"print a line for each {kind} of tests/findings.py")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for kind in TABLES:
        config.addinivalue_line("markers", f"{kind}(entry, …): holds these entries of tests/findings.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write the entries into each test's properties, which the workers of pytest-xdist pass on."""
    for item in items:
        for kind, titles in TABLES.items():
            for marker in item.iter_markers(kind):
                unknown = set(marker.args) - set(titles)
                if unknown:
                    raise pytest.UsageError(f"{item.nodeid}: tests/findings.py has no {', '.join(sorted(unknown))}")
                item.user_properties.extend((kind, entry) for entry in marker.args)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each entry: whether its tests passed, how many they are, and the figures that they recorded."""
    for kind in _printed(terminalreporter.config):
        seen, figures = _results(terminalreporter, kind)
        terminalreporter.section(f"{kind}s")
        for entry, title in TABLES[kind].items():
            outcomes = seen[entry]
            sign = "✗" if "failed" in outcomes or "passed" not in outcomes else "✓"
            told = ", ".join([f"{outcomes.count(one)} {one}" for one in _SEEN if one in outcomes] + figures[entry])
            terminalreporter.write_line(f"{sign} {entry:4} {title}  ({told or 'no test'})", red=sign == "✗")
        held = sum("passed" in seen[entry] and "failed" not in seen[entry] for entry in TABLES[kind])
        terminalreporter.write_line(f"{held} of {len(TABLES[kind])} hold")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that prints a table in which an entry has no test that passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not hasattr(session.config, "workerinput"):
        for kind in _printed(session.config):
            seen, _ = _results(reporter, kind)
            if any("passed" not in seen[entry] for entry in TABLES[kind]):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _printed(config: pytest.Config) -> list[str]:
    return [kind for kind in TABLES if config.getoption(f"--{kind}s")]


def _results(terminalreporter: pytest.TerminalReporter, kind: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    seen: dict[str, list[str]] = defaultdict(list)
    figures: dict[str, list[str]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    for outcome, key in [("passed", "passed"), ("failed", "failed"), ("failed", "error"), ("skipped", "skipped")]:
        for report in terminalreporter.stats.get(key, []):
            properties = getattr(report, "user_properties", [])
            for name, entry in properties:
                if name == kind:
                    seen[str(entry)].append(outcome)
                    figures[str(entry)].extend(str(value) for what, value in properties if what == "figure")
                    seconds[str(entry)].extend(float(str(value)) for what, value in properties if what == "seconds")
    for entry, found in seconds.items():
        figures[entry].extend([f"at most {max(found):.2f} s"] if found else [])
    return seen, figures
