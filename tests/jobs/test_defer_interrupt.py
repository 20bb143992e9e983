"""Steps that an interrupt does not cut in two."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from ollama_magics.jobs.interrupt import defer_interrupt


def _interrupted_work() -> list[str]:
    signal.raise_signal(signal.SIGINT)
    return ["all of it"]


def test_an_interrupt_waits_for_the_end_of_the_step() -> None:
    """It is not lost."""
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), defer_interrupt():
        done += _interrupted_work()
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_step_that_fails_fails_as_it_did() -> None:
    """The signal handler is the old one again."""
    with pytest.raises(ValueError, match="broken"), defer_interrupt():
        raise ValueError("broken")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


FIRST_CALL = """
import signal, sys
import ollama_magics as om

class Stop:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("numpy.") and name.endswith("core._exceptions"):
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Stop())
om.configure(base_url="http://127.0.0.1:1", model="m")
for _ in range(2):
    try:
        CALL
        print("done")
    except (KeyboardInterrupt, om.OllamaMagicsError) as error:
        print(type(error).__name__)
"""
CALLS = {
    "om.embed(['a'])": "ConnectionProblem",
    "om.map(['a'], '{{item}}')": "ConnectionProblem",
    "om.experiment(['a'], '{{item}}')": "ConnectionProblem",
    "om.EmbedReport": "done",
}


@pytest.mark.parametrize("call", CALLS)
def test_an_interrupt_of_the_first_call_leaves_no_half_of_numpy(call: str) -> None:
    """It cannot be imported again, so that all later calls of this process would fail."""
    command = [sys.executable, "-c", FIRST_CALL.replace("CALL", call)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout.split() == ["KeyboardInterrupt", CALLS[call]], found.stderr


def test_other_threads_leave_the_signal_handler_alone() -> None:
    """They get no interrupts."""
    done = []

    def step() -> None:
        with defer_interrupt():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]
