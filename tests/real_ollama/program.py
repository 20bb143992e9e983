"""The Ollama executable: one on the PATH whose version the tests know, else one built from its Go module."""

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import llama_server
from state import StartError, State, say

OLDER, NEWEST = "0.24.0", "0.34.4"  # tests/contract lists what each of them answers; another version may answer differently
VERSIONS = (OLDER, NEWEST)  # the older is the last that holds its runner; the newest needs llama-server beside it
GO_FOLDER = Path("/usr/local/go/bin")  # where the archive from go.dev is unpacked

# The Go module leaves out three headers that its C++ files include: Debian packages two of them ...
DEBIAN_HEADERS = {"nlohmann/json.hpp": "nlohmann-json3-dev", "stb/stb_image.h": "libstb-dev"}
# ... and the third is a part of this Python source package.
MINIAUDIO = "miniaudio==1.71"

# Six times the speed of embedding. All three are in every processor that has the first.
FAST_FLAGS = "-mavx2 -mfma -mf16c"


@dataclass(frozen=True)
class Program:
    """An executable and its version."""

    path: Path
    version: str


def find_or_build(version: str, state: State) -> Program:
    """Return the server to run; raise StartError where a tool for building it is missing."""
    return on_the_path(version) or built(version, state)


def on_the_path(version: str) -> Program | None:
    """Return the installed Ollama if it is of this version."""
    path = shutil.which("ollama")
    if path is None:
        return None
    found = version_of(path)
    if found == version:
        return Program(Path(path), version)
    say(f"{path} is {found}: not used, as the tests need {version}")
    return None


def version_of(path: str) -> str:
    """Return what the executable says about itself, not what a running server says (port 9 has none)."""
    environment = {**os.environ, "OLLAMA_HOST": "127.0.0.1:9"}
    said = subprocess.run([path, "--version"], env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"version is (\S+)", said.stdout + said.stderr)
    return found[1] if found else "of no readable version"


def built(version: str, state: State) -> Program:
    """Return this version, compiled on first use for this kind of processor."""
    fast = has_fast_instructions()
    home = state.folder / f"ollama-{version}-{'avx2' if fast else 'plain'}"
    if not home.exists():
        compile_into(home, version, FAST_FLAGS * fast, state)
    return Program(home / "bin" / "ollama", version)


def has_fast_instructions() -> bool:
    """Return whether this processor has AVX2; False where the system does not tell."""
    information = Path("/proc/cpuinfo")
    return information.exists() and re.search(r"\bavx2\b", information.read_text()) is not None


def compile_into(home: Path, version: str, processor: str, state: State) -> None:
    """Build the server with Go, and llama-server where it needs that; the folder has its name only when it is complete."""
    go, compiler = find_go(), find_compiler()
    arriving = home.with_name(f"{home.name}.arriving")
    environment = {"CGO_ENABLED": "1", "GOBIN": str(arriving / "bin")}
    if version == OLDER:
        install_headers(compiler, state)
        flags = f"-O3 {processor}"
        environment |= {"CGO_CPPFLAGS": f"-I{miniaudio_folder(state)}", "CGO_CFLAGS": flags, "CGO_CXXFLAGS": flags}
    module = "github.com/ollama/ollama"
    named = f"-s -w -X {module}/version.Version={version}"  # else it calls itself 0.0.0
    command = [go, "install", "-ldflags", named, f"{module}@v{version}"]
    state.run(f"Building Ollama {version} (once, for some minutes)", command, environment)
    if version == NEWEST:
        cache = subprocess.run([go, "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
        llama_server.compile_into(arriving / "lib" / "ollama", Path(cache) / f"{module}@v{version}", processor, state)
    arriving.rename(home)


def find_go() -> str:
    """Return the go command."""
    go = shutil.which("go") or shutil.which("go", path=GO_FOLDER)
    if go is None:
        message = (
            f"Go is neither on the PATH nor in {GO_FOLDER}, and Ollama is built with it. Install Go 1.26 or newer "
            f"from https://go.dev/dl, or put an ollama of version {' or '.join(VERSIONS)} on the PATH."
        )
        raise StartError(message)
    return go


def find_compiler() -> str:
    """Return the C++ compiler, once the C compiler is there too; CC and CXX mean what they mean to Go."""
    wanted = {"CC": "gcc", "CXX": "g++"}
    commands = [os.environ.get(variable) or usual for variable, usual in wanted.items()]
    missing = [command for command in commands if shutil.which(command.split()[0]) is None]
    if missing:
        message = f"no {' and no '.join(missing)}, and Ollama is built with them. Debian: apt-get install gcc g++"
        raise StartError(message)
    return commands[-1]


def install_headers(compiler: str, state: State) -> None:
    """Get the missing headers from Debian where that is possible, else say which packages they are in."""
    packages = list(packages_of_missing_headers(compiler))
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        message = f"C++ headers are missing. Debian: apt-get install {' '.join(packages)}"
        raise StartError(message)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    apt_get = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    state.run("Reading Debian's package lists", [*apt_get, "update"], quiet)
    state.run(f"Installing {' '.join(packages)}", [*apt_get, "install", "--yes", *packages], quiet)


def packages_of_missing_headers(compiler: str) -> Iterator[str]:
    """Ask the compiler itself, which knows every folder it looks in."""
    for header, package in DEBIAN_HEADERS.items():
        command = [*compiler.split(), "-E", "-x", "c++", "-include", header, "-o", os.devnull, os.devnull]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            yield package


def miniaudio_folder(state: State) -> Path:
    """Return the folder in which the compiler finds miniaudio/miniaudio.h."""
    folder = state.folder / "headers"
    header = folder / "miniaudio" / "miniaudio.h"
    if not header.exists():
        header.parent.mkdir(parents=True, exist_ok=True)
        source = state.download(MINIAUDIO, "--no-binary", ":all:")
        header.write_bytes(member_of(source, "/miniaudio/miniaudio.h"))
    return folder


def member_of(archive: Path, ending: str) -> bytes:
    """Return the one file of a tar archive whose name ends like this."""
    with tarfile.open(archive) as tar:
        (member,) = (entry for entry in tar if entry.name.endswith(ending))
        file = tar.extractfile(member)
        return file.read() if file else b""
