"""Compile llama-server, the program in which newer releases of Ollama run models, with Ollama's own changes to llama.cpp."""

import os
import shutil
import tarfile
from pathlib import Path

from state import State

# Ollama fetches llama.cpp b11081 with git. This Python source package holds nearly the same one. Known difference: two pictures
# in one prompt, then one of them alone, may give 500 "Chunk not found".
LLAMA_CPP = "llama-cpp-python==0.3.36"
INSIDE = "vendor/llama.cpp/"
BUILD_TOOLS = ("cmake>=3.24,<4", "ninja")
# The matrix kernels of ggml need the optimiser; the rest waits for them.
PLAIN_FLAGS, KERNEL_FLAGS = "-O1 -DNDEBUG", "-O3 -DNDEBUG"
FOR_KERNELS = f'set(CMAKE_C_FLAGS_RELEASE "{KERNEL_FLAGS}")\nset(CMAKE_CXX_FLAGS_RELEASE "{KERNEL_FLAGS}")\n'


def compile_into(libraries: Path, ollama: Path, processor: str, state: State) -> None:
    """Build llama-server into the folder in which Ollama looks for it; ``ollama`` is its source, ``processor`` compiler flags.

    A build that was interrupted goes on where it was.
    """
    work = state.folder / "llama-server"
    source, build = work / "llama.cpp", work / "build"
    if not source.exists():
        unpack(state.download(LLAMA_CPP, "--no-binary", ":all:"), source)
    tools = state.install("build tools", *BUILD_TOOLS)
    kernels = work / "kernels.cmake"
    kernels.write_text(FOR_KERNELS)
    settings = {
        "CMAKE_MAKE_PROGRAM": tools / "ninja",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_C_FLAGS_RELEASE": PLAIN_FLAGS,
        "CMAKE_CXX_FLAGS_RELEASE": PLAIN_FLAGS,
        "CMAKE_PROJECT_ggml_INCLUDE": kernels,
        "FETCHCONTENT_FULLY_DISCONNECTED": "ON",
        "FETCHCONTENT_SOURCE_DIR_LLAMA_CPP": source,
        "BUILD_SHARED_LIBS": "ON",
        "GGML_NATIVE": "OFF",
        "GGML_OPENMP": "OFF",
        **dict.fromkeys(("GGML_AVX", "GGML_AVX2", "GGML_FMA", "GGML_F16C", "GGML_BMI2"), "ON" if processor else "OFF"),
    }
    defined = [f"-D{name}={value}" for name, value in settings.items()]
    cmake, ninja = str(tools / "cmake"), str(tools / "ninja")
    server = str(ollama / "llama" / "server")
    state.run("Preparing llama-server", [cmake, "-G", "Ninja", "-S", server, "-B", str(build), *defined])
    compile_all = [ninja, "-C", str(build), "-j", str(os.cpu_count() or 1), "llama-server"]
    state.run("Building llama-server (once, for some minutes)", compile_all)
    libraries.mkdir(parents=True, exist_ok=True)
    for file in build.rglob("*"):
        if file.is_file() and (file.name == "llama-server" or ".so" in file.suffixes):
            shutil.copy(file, libraries, follow_symlinks=False)
    shutil.rmtree(work)


def unpack(archive: Path, source: Path) -> None:
    """Extract llama.cpp of the package; without .git, a pointer to a repository that is not there."""
    arriving = source.with_name("arriving")
    shutil.rmtree(arriving, ignore_errors=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.partition("/")[2]
            if name.startswith(INSIDE) and name != f"{INSIDE}.git":
                member.name = name.removeprefix(INSIDE)
                tar.extract(member, arriving, filter="data")
    arriving.rename(source)
