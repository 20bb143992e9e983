"""Print the path of a Chromium that starts, installing one where that is possible."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

NAMES = ("chromium", "chromium-browser", "google-chrome")
# The browser, and fonts with Latin letters, emoji and Chinese: without them screenshots show boxes.
DEBIAN_PACKAGES = ("chromium", "fonts-dejavu-core", "fonts-noto-color-emoji", "fonts-wqy-zenhei")
APT_GET = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")


def main() -> int:
    """Return 0 once a path is printed, 1 after an error."""
    for path in candidates():
        if starts(path):
            print(path)
            return 0
    print(
        "The browser tests need Chromium, and none was found that starts, nor could one be installed. "
        "Debian: apt-get install chromium. Elsewhere: .venv/bin/playwright install --with-deps chromium, "
        "or make test CHROME_PATH=/path/to/chrome",
        file=sys.stderr,
    )
    return 1


def candidates() -> Iterator[str]:
    """Yield paths, the costly ones last: nothing is installed while an earlier one will do."""
    if "CHROME_PATH" in os.environ:  # who names a browser wants that one or none
        yield os.environ["CHROME_PATH"]
        return
    yield from found()
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install_from_debian()
        yield from found()
    yield from installed_by_playwright()


def found() -> Iterator[str]:
    """Yield the browsers on the PATH."""
    yield from filter(None, map(shutil.which, NAMES))


def starts(path: str) -> bool:
    """Return whether the browser can say its version: on Ubuntu a file of this name may only advertise a snap."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, check=False, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_from_debian() -> None:
    """Install the packages, their lists renewed first; what fails is seen on the terminal."""
    print("Installing Chromium with apt-get ...", file=sys.stderr, flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *DEBIAN_PACKAGES]):
        subprocess.run([*APT_GET, *command], env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)


def installed_by_playwright() -> Iterator[str]:
    """Yield playwright's own browser, fetched if it is not there."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where no other browser was found

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if not starts(path):
        print("Installing Chromium with playwright ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    yield path


if __name__ == "__main__":
    sys.exit(main())
