"""Run all benchmarks and write their tables into docs/performance.md, with the versions and how undisturbed each was."""

# make bench, or python benchmarks/docs.py [--quick] [SCRIPT ...]

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "performance.md"
PACKAGES = ("ipython", "ipykernel", "httpx", "msgspec", "numpy", "pysimdjson")
PEERS = ("ollama", "chatlas", "langchain-ollama", "openai", "llm", "llm-ollama", "mlverse-mall")
# Each with what makes all of them end within some eight minutes, and a quick look within about two.
SCRIPTS = {
    "embed": (["benchmarks/embed.py", "client", "encode", "gpu"], ["--rounds", "3"]),
    "chat": (["benchmarks/chat.py"], ["--rounds", "5"]),
    "rows": (["benchmarks/rows.py"], ["--rounds", "3"]),
    "browser": (["-m", "benchmarks.browser"], []),
}
QUICK = ("embed", "chat", "rows")
DISTURBED = 0.1  # of the cores, in use by other programs: the script is run again
PART = re.compile(r"(?P<begin><!-- measured: (?P<name>\w+) -->\n)(?P<old>.*?)(?P<end><!-- end measured -->)", re.DOTALL)


def busy_seconds() -> float:
    """Return the seconds that all cores have worked since the machine was started; 0 where the system does not say."""
    try:
        first, *_ = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    user, nice, system, _, _, *others = map(int, first.split()[1:8])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def child_seconds() -> float:
    """Return the seconds that the programs have worked which this one started and which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_once(script: str, tables: Path, *, quick: bool) -> tuple[int, float]:
    """Run one script; return its exit code, and the part of the cores that other programs used meanwhile."""
    start, busy, own = time.monotonic(), busy_seconds(), child_seconds()
    words, thorough = SCRIPTS[script]
    command = [sys.executable, *words, *(["--quick"] if quick else thorough)]
    environment = os.environ | {"BENCH_TABLES": str(tables), "PYTHONPATH": f"{HERE.parent}:{HERE}"}
    code = subprocess.run(command, cwd=HERE.parent, env=environment, check=False).returncode
    others = busy_seconds() - busy - (child_seconds() - own)
    return code, max(0.0, others / (time.monotonic() - start) / (os.cpu_count() or 1))


def run(script: str, tables: Path, *, quick: bool) -> str:
    """Run one script, and again if other programs disturbed it; return what is to be said about it."""
    code, others = run_once(script, tables, quick=quick)
    again = others > DISTURBED and not code and not quick
    if again:
        print(f"\n{script}: other programs used {others:.0%} of the cores; once more", flush=True)
        code, others = run_once(script, tables, quick=quick)
    if code:
        return f"{script}: not measured, it ended with an error"
    return f"{script}: other programs used {others:.0%} of the cores{', in the second run' if again else ''}"


def versions(names: tuple[str, ...]) -> str:
    """Return the packages that are installed, with their versions."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def processor() -> str:
    """Return the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "unknown processor"
    )


def write(tables: dict[str, str]) -> None:
    """Replace the parts of docs/performance.md that were measured, and leave the others."""
    text = DOCS.read_text(encoding="utf-8")
    found = PART.sub(lambda part: part["begin"] + tables.get(part["name"], part["old"].strip("\n")) + "\n" + part["end"], text)
    DOCS.write_text(found, encoding="utf-8")


def main() -> None:
    """Run the scripts that were named, or all, and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=f"{', '.join(SCRIPTS)} (all of them)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a few minutes; docs/performance.md stays as it is")
    chosen = parser.parse_args()
    if unknown := set(chosen.scripts) - set(SCRIPTS):
        parser.error(f"no such script: {', '.join(sorted(unknown))}; there are {', '.join(SCRIPTS)}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tables"
        path.touch()
        said = [run(script, path, quick=chosen.quick) for script in chosen.scripts or (QUICK if chosen.quick else SCRIPTS)]
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [
        f"Python {platform.python_version()} on {os.cpu_count()} cores ({processor()}), {time.strftime('%Y-%m-%d')}.",
        f"With {versions(PACKAGES)}.",
        f"Peers: {versions(PEERS)}.",
        f"Noise: {'; '.join(said)}.",
    ]
    print("", *lines, sep="\n")
    if not chosen.quick:
        write({"machine": "\n".join(lines), **{table["name"]: table["table"] for table in found}})


if __name__ == "__main__":
    main()
