"""What becomes of the memory that a step frees: it stays with the process, for the next step.

glibc's malloc gives large freed blocks back to the system at once. A training step frees and takes the same megabytes
hundreds of times a minute, and each time the kernel clears them anew, page by page: up to half of the time.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# the parameters of mallopt(3)
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_GROWTH = 64 << 20  # bytes by which the heap grows at least


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, unless the user has decided by a variable `MALLOC_*_`; say whether it does.

    Other C libraries than glibc are left as they are.
    """
    libc = _glibc()
    if libc is None or _decided():
        return False
    settings = {_TRIM_THRESHOLD: -1, _TOP_PAD: _GROWTH, _MMAP_MAX: 0}
    return sum(libc.mallopt(name, value) for name, value in settings.items()) == len(settings)


def share_one_heap() -> bool:
    """Let all threads take memory from one heap, unless MALLOC_ARENA_MAX says something else; say whether they do.

    Each further heap of glibc keeps what its threads have freed, so a server of many threads would grow for long.
    """
    libc = _glibc()
    if libc is None or "MALLOC_ARENA_MAX" in os.environ:
        return False
    return bool(libc.mallopt(_ARENA_MAX, 1))


@contextmanager
def frozen_objects() -> Iterator[None]:
    """Spare Python's garbage collector the objects that are there already, a model and its words, in what follows.

    It would look through all of them each time that the records of a long prediction have made it look.
    """
    if gc.get_freeze_count():  # the user has done so
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def no_collections() -> Iterator[None]:
    """Keep Python's garbage collector off while very many small objects are made, which it would look through."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def return_freed_memory() -> None:
    """Give what is free back to the system, once."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def freed_memory() -> str:
    """Return what a training or prediction does with memory that it frees, in words."""
    if _decided():
        return " ".join(f"{name}={os.environ[name]}" for name in _decided())
    return "is kept for the next step" if _glibc() is not None else "is left to the C library"


def _decided() -> list[str]:
    return sorted(name for name in os.environ if name.startswith("MALLOC_") and name.endswith("_"))


@functools.cache
def _glibc() -> Any:
    try:
        libc = ctypes.CDLL(None)
        return libc if libc.gnu_get_libc_version and libc.mallopt and libc.malloc_trim else None
    except (OSError, AttributeError, TypeError):  # TypeError: Windows has no library of the process itself
        return None
