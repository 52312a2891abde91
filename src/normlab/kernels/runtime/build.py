"""Compile the C++ kernels at their first use, keep them in the user's cache, load them with ctypes.

A kernel is a plain C library: `kernels/<name>/<name>.cpp` with `extern "C"` functions over raw pointers. It needs
no torch headers, so it builds in seconds. Only `glue.cpp`, which takes the kernels into torch's autograd, needs them
(`load_glue`). The key of the cache covers all that the machine code depends on, so an edited source, a new torch or
another CPU causes a new build and nothing stale is loaded. The key does not contain where Python and torch are
installed, so environments with the same versions share a build (`library_cache` keeps it). Whatever goes wrong, `load`
prints one line and returns None: the caller then runs its plain PyTorch reference.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.machinery
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from normlab.kernels.runtime.library_cache import stored_library

SOURCES = Path(__file__).parent.parent
# -ffast-math is left out: it would reorder the compensated steps of the statistics.
FLAGS = ("-std=c++20", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-fopenmp")
GLUE = "glue"
SWITCHED_OFF = "NORMLAB_KERNELS=off"
# It only passes tensors on: optimising it more costs seconds of the build and saves nothing.
GLUE_FLAGS = ("-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden")

_reasons: dict[str, str] = {}  # library -> why it is unavailable, in one line
_printed: set[str] = set()


class _UnavailableError(Exception):
    """Carries the one-line reason for which a kernel is unavailable."""


@functools.cache
def load(name: str) -> ctypes.CDLL | None:
    """Return the library built from `kernels/<name>/<name>.cpp`, or None where it is unavailable.

    The first call in a process may compile (a line on stderr says so); concurrent processes build once. None
    comes with one line on stderr that gives the reason. The environment is read at the first call:
    NORMLAB_KERNELS=off switches all kernels off, NORMLAB_CACHE moves the cache, CXX names the compiler.
    """
    try:
        return ctypes.CDLL(str(_library(name)))
    except (_UnavailableError, OSError) as error:
        _report_unavailable(name, error)
        return None


@functools.cache
def load_glue() -> ModuleType | None:
    """Return the module built from `kernels/runtime/glue.cpp`, or None where it is unavailable; builds like `load`."""
    try:
        path = str(_library(GLUE))
        spec = importlib.util.spec_from_loader(GLUE, importlib.machinery.ExtensionFileLoader(GLUE, path))
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
    except (_UnavailableError, OSError, ImportError) as error:
        _report_unavailable(GLUE, error)
        return None
    return module


def reason(name: str) -> str:
    """Return why a library, or the glue, is unavailable; empty if it is loaded. Builds and loads it."""
    loaded = load_glue() if name == GLUE else load(name)
    return "" if loaded is not None else _reasons.get(name, "its library cannot be loaded")


def are_switched_off() -> bool:
    """Return whether the environment says NORMLAB_KERNELS=off."""
    return os.environ.get("NORMLAB_KERNELS", "").lower() in ("off", "0", "no", "false")


def status() -> list[dict[str, Any]]:
    """Return one row a library, {"kernel", "active", "reason"}; loads, and so may build, each of them."""
    reasons = {name: reason(name) for name in sorted(source.stem for source in SOURCES.rglob("*.cpp"))}
    return [{"kernel": name, "active": not text, "reason": text} for name, text in reasons.items()]


def _report_unavailable(name: str, error: Exception) -> None:
    """Keep the reason, and print it once a process."""
    _reasons[name] = text = " ".join(str(error).split())
    _print_once(f"normlab: fast kernels are not used ({text}); plain PyTorch runs instead")


def _library(name: str) -> Path:
    if are_switched_off():
        raise _UnavailableError(SWITCHED_OFF)
    if sys.platform == "win32":
        raise _UnavailableError("they need Linux or macOS")
    compiler = _compiler()
    (source,) = SOURCES.rglob(f"{name}.cpp")
    return stored_library(f"{name}-{_key(source, compiler)}", lambda library: _build(source, library, compiler))


@functools.cache
def _compiler() -> str:
    wanted = os.environ.get("CXX")
    for name in [wanted] if wanted else ["g++", "clang++", "c++"]:
        if path := shutil.which(name):
            return path
    raise _UnavailableError(f"no C++ compiler: {wanted or 'g++'} is not on the PATH")


def _key(source: Path, compiler: str) -> str:
    """Digest of all that the machine code depends on; no path is among it."""
    runtime = _openmp_runtime()
    parts = [*_texts(source), _version(compiler), platform.machine(), _cpu(), " ".join(FLAGS + GLUE_FLAGS)]
    # What a kernel remembers of its OpenMP library is the name: the one that torch has loaded answers to it.
    parts += [torch.__version__, str(torch.version.git_version), runtime.name if runtime else ""]
    if source.stem == GLUE:
        parts += [str(sysconfig.get_config_var("SOABI")), str(torch.compiled_with_cxx11_abi())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _texts(source: Path) -> list[str]:
    """Return a source and those headers that it includes, at any depth."""
    texts: dict[Path, str] = {}
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path not in texts:
            texts[path] = path.read_text()
            waiting += [
                (path.parent / name).resolve() for name in re.findall(r'^#include "(.+)"', texts[path], re.MULTILINE)
            ]
    return [text for _, text in sorted(texts.items())]


@functools.cache
def _version(compiler: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False, env=environment).stdout


@functools.cache
def _cpu() -> str:
    """What -march=native reads: the CPU's feature flags."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), "")


@functools.cache
def _openmp_runtime() -> Path | None:
    """Path of the libgomp that torch has loaded: linking against it shares torch's pool of threads."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    mapped = {Path(fields[5]) for fields in (line.split(maxsplit=5) for line in lines) if len(fields) == 6}
    runtimes = sorted(path for path in mapped if path.name.startswith("libgomp"))
    return next((path for path in runtimes if "torch" in path.parts), runtimes[0] if runtimes else None)


def _build(source: Path, library: Path, compiler: str) -> None:
    start = time.perf_counter()
    flags, links, duration = _glue_options() if source.stem == GLUE else _kernel_options(compiler)
    _print_once(f"normlab: compiling the {source.stem} kernels, once on this machine ({duration}) ...")
    unlinked = library.with_suffix(".o")
    _run([compiler, *flags, "-c", str(source), "-o", str(unlinked)], source.name, library.parent)
    _run([compiler, "-shared", str(unlinked), *links, "-o", str(library)], source.name, library.parent)
    _print_once(f"normlab: compiled the {source.stem} kernels in {time.perf_counter() - start:.1f} s")


def _kernel_options(compiler: str) -> tuple[list[str], list[str], str]:
    # Clang's code calls LLVM's runtime, whose threads are its own.
    runtime = None if "clang" in _version(compiler) else _openmp_runtime()
    # By its name, not its path: a kernel is loaded after torch, whichever installation of it.
    return [*FLAGS], [f"-L{runtime.parent}", f"-l:{runtime.name}"] if runtime else ["-fopenmp"], "some seconds"


def _glue_options() -> tuple[list[str], list[str], str]:
    root = Path(torch.__file__).parent
    headers = [root / "include", root / "include/torch/csrc/api/include", sysconfig.get_paths()["include"]]
    flags = [*GLUE_FLAGS, f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]
    for folder in headers:
        flags += ["-isystem", str(folder)]
    # The process has these loaded: naming them is enough for the symbols to be found.
    links = [f"-L{root / 'lib'}", "-lc10", "-ltorch_cpu", "-ltorch_python"]
    links += ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    return flags, links, "about half a minute"


def _run(command: list[str], what: str, scratch: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(scratch)}  # the compiler's own intermediate files
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        first = next((line for line in lines if "error" in line), lines[0])
        if "Python.h" in first:
            raise _UnavailableError("Python's header files are missing: install your system's python3-dev")
        raise _UnavailableError(f"{Path(command[0]).name} failed on {what}: {first[:200]}")


def _print_once(line: str) -> None:
    """Print a line to stderr, the same one once a process."""
    if line not in _printed:
        _printed.add(line)
        print(line, file=sys.stderr, flush=True)
