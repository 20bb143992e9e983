"""The torture test of make torture, here on a small job."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.store.rows import ROOT

SMALL = {"texts": 3000, "kills": 3, "batch": 32, "width": 16, "milliseconds": 5, "seed": 6}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the cache folder cannot be moved on Windows")
def test_a_job_that_is_killed_again_and_again_ends_with_every_bit_and_sends_nothing_twice() -> None:
    """But for the three batches that are computed or read, and the four that may wait to be written, at each kill."""
    words = [f"--{name}={value}" for name, value in SMALL.items()]
    program = ROOT / "benchmarks" / "torture.py"
    ran = subprocess.run([sys.executable, program, *words], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 kills, bit-identical" in ran.stdout
