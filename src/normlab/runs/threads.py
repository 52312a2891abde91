"""What OpenMP threads do while they wait for work: one decision, taken before torch is imported.

libgomp lets waiting threads spin, for some hundred milliseconds or for ever. On a machine with anything else to do they
then take the time from the threads that work, and a training run of two threads becomes many times slower.
"""

from __future__ import annotations

import os

_DECISIONS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def let_idle_threads_sleep() -> None:
    """Make waiting threads sleep, unless the user has decided about it; too late once torch is imported."""
    if not any(name in os.environ for name in _DECISIONS):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def idle_threads() -> str:
    """Return the decision that is in force, e.g. "OMP_WAIT_POLICY=PASSIVE"."""
    found = [f"{name}={os.environ[name]}" for name in _DECISIONS if name in os.environ]
    return " ".join(found) or "the runtime's default"
