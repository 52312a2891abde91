"""Memory that a training frees stays with its process, unless the user has decided otherwise."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys

import pytest

from normlab.runs.memory import freed_memory, frozen_objects, keep_freed_memory

IS_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
needs_glibc = pytest.mark.skipif(not IS_GLIBC, reason="glibc's malloc is what is asked")

# Prints the pages faulted in by ten rounds of taking, filling and freeing 48 MiB, then what of it stays resident.
ROUNDS = """
import ctypes, resource, sys
from normlab.runs.memory import keep_freed_memory, return_freed_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
def rounds(count):
    for _ in range(count):
        blocks = [bytearray(12 << 20) for _ in range(4)]
        for block in blocks:
            block[::4096] = bytes(len(block[::4096]))
before = resident()
if sys.argv[1] == "keep":
    assert keep_freed_memory()
rounds(3)
start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
rounds(10)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start
return_freed_memory()
print(faults, resident() - before)
"""


def measured(argument: str) -> tuple[int, int]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", ROUNDS, argument]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    faults, resident = map(int, done.stdout.split())
    return faults, resident


@needs_glibc
def test_what_is_freed_is_not_faulted_in_again() -> None:
    assert measured("keep")[0] < 1000 < measured("leave")[0]


@needs_glibc
def test_what_is_kept_can_be_returned() -> None:
    assert measured("keep")[1] < 24


@needs_glibc
def test_the_process_says_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    assert freed_memory() == "is kept for the next step"
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    assert freed_memory() == "MALLOC_TRIM_THRESHOLD_=100000"
    assert not keep_freed_memory()


def test_objects_are_frozen_for_a_while_only() -> None:
    with frozen_objects():
        inside = gc.get_freeze_count()
        with frozen_objects():
            assert gc.get_freeze_count() == inside > 0
        assert gc.get_freeze_count() == inside
    assert gc.get_freeze_count() == 0
