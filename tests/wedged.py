"""A real Ollama 0.24.0 whose runner answers no more, as happens now and then after a request that was given up."""

import json
import os
from urllib.request import Request, urlopen

import pytest
from _pytest.runner import runtestprotocol

_SILENT = ("server-silent", "ReadTimeout", "TimeoutError")


def is_silent(reports: list[pytest.TestReport]) -> bool:
    """Return whether a test failed because the server did not answer in time."""
    return any(report.failed and any(sign in report.longreprtext for sign in _SILENT) for report in reports)


def run_once_more(item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    """End the runners of the server, whose successors answer, and return the reports of a second run."""
    url = os.environ["OLLAMA_TEST_URL"].rstrip("/")
    with urlopen(f"{url}/api/ps", timeout=30) as answer:  # noqa: S310 - the address of our own server
        loaded = [model["name"] for model in json.load(answer)["models"] or ()]
    for name in loaded:
        body = json.dumps({"model": name, "keep_alive": 0}).encode()
        urlopen(Request(f"{url}/api/generate", body), timeout=30).close()  # noqa: S310 - as above
    item._initrequest()  # type: ignore[attr-defined]
    return runtestprotocol(item, nextitem=nextitem, log=False)
