"""What OpenMP threads do while they wait for work: one decision, taken before torch is imported.

libgomp lets waiting threads spin, for some hundred milliseconds or for ever. On a machine with anything else to do they
then take the time from the threads that work, and a training run of two threads becomes many times slower. Where
nothing else runs, a thread that sleeps at once is woken microseconds later, which costs as much as a small layer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_DECISIONS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_SPINS = "3000"  # some tens of microseconds
_ours: dict[str, str] = {}  # what was decided here


def let_idle_threads_sleep() -> None:
    """Make waiting threads sleep, unless the user has decided about it; too late once torch is imported.

    They sleep at once if anything else runs on the machine now, or else after some tens of microseconds.
    """
    if not any(name in os.environ for name in _DECISIONS):
        _ours.update(OMP_WAIT_POLICY="PASSIVE", **({"GOMP_SPINCOUNT": _SPINS} if _nothing_else_runs() else {}))
        os.environ.update(_ours)


def _nothing_else_runs() -> bool:
    try:
        with open("/proc/loadavg", encoding="ascii") as file:
            return int(file.read().split()[3].partition("/")[0]) <= 1  # runnable threads, this one included
    except (OSError, IndexError, ValueError):
        return False


@contextmanager
def undecided() -> Iterator[None]:
    """Let processes that are started meanwhile begin without the decision, unless it is the user's."""
    for name in _ours:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.update(_ours)


def idle_threads() -> str:
    """Return the decision that is in force, e.g. "OMP_WAIT_POLICY=PASSIVE"."""
    decided = [f"{name}={os.environ[name]}" for name in _DECISIONS if name in os.environ]
    return " ".join(decided) or "the runtime's default"
