"""On what machine, with which versions, a result was made. Imports no torch: versions come from the metadata."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("normlab", "torch", "numpy", "scipy", "scikit-learn", "pydantic", "safetensors", "triton")


def describe_environment() -> dict[str, Any]:
    """Return versions, processor, memory and the commit of the code, as plain JSON values."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "packages": {name: version for name in _PACKAGES if (version := package_version(name))},
        "commit": _commit(),
        "command": " ".join(sys.argv).encode(errors="backslashreplace").decode(),  # a path may be no UTF-8
    }


def package_version(name: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@cache
def cpu_name() -> str:
    """Return the processor's model name where the system tells it, with family and model where it has them.

    A virtual machine often says "AMD EPYC" of several generations, which differ in speed and in last digits.
    """
    found: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if not key.strip() and found:
                break  # one core is enough
            found.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    name = found.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in found and "model" in found:
        return f"{name}, family {found['cpu family']} model {found['model']}"
    return name


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


@cache
def _commit() -> str | None:
    """Return the commit of a source checkout; an installed package has none."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
