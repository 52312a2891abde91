"""Memory that a training frees stays with its process, unless the user has decided otherwise."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys

import pytest

from normlab.runs.memory import freed_memory, frozen_objects, keep_freed_memory, share_one_heap

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


# Prints how many heaps malloc has after eight threads, alive together, have each taken some memory.
HEAPS = """
import ctypes, sys, tempfile, threading
from normlab.runs.memory import share_one_heap
if sys.argv[1] == "share":
    assert share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(8)
def take():
    together.wait()
    libc.malloc(5000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count(b"<heap nr="))
"""


@needs_glibc
def test_threads_share_one_heap_if_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    heaps = {
        how: int(subprocess.run([sys.executable, "-c", HEAPS, how], env=environment, stdout=subprocess.PIPE).stdout)
        for how in ("share", "as usual")
    }
    assert heaps["share"] == 1
    assert heaps["as usual"] > 1
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert not share_one_heap()
