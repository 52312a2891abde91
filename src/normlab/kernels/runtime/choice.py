"""Which of two equal implementations is faster here: measured once per machine and kind of shape, then remembered.

The answers are kept as JSON in the user's cache, one file per machine (processor or GPU, torch), so that a second run
measures nothing. The first answer that is written is everybody's: a process that measured at the same time takes it
over, so that all processes of a machine compute alike. Nothing is measured while a CUDA graph is recorded: the caller
asks before, in the warm-up steps. While choices are fixed (`deterministic: true`) nothing is measured either, and the
own kernel is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from normlab.runs.atomic import write_text
from normlab.runs.cache_folders import cache_root

Work = Callable[[], object]
Timer = Callable[[Work], float]  # seconds of one call

_ROUNDS = 7
_ENOUGH = 0.2  # seconds: calls as long as that are measured once
_BLOCK = 3e-4  # seconds: shorter calls are repeated, since the clock and the caches need some time to settle

_fixed: dict[str, bool] = {"own": False}


def fix_choices(wanted: bool) -> None:
    """Use the own kernel wherever it takes the input, without asking which implementation is faster, or ask again."""
    _fixed["own"] = wanted


def are_fixed() -> bool:
    """Return whether choices are fixed."""
    return _fixed["own"]


class Choices:
    """Remembers, for a machine, by operation and family of shapes, whether the kernel was faster than the reference.

    Args:
        machine: what the answers depend on, e.g. the GPU's name and torch's version.
        timer: measures one call; rounds of both are interleaved, and the medians compared.
        folder: where answers are kept; default the kernels' cache.
    """

    def __init__(self, machine: str, timer: Timer, folder: Path | None = None) -> None:
        digest = hashlib.sha256(machine.encode()).hexdigest()[:12]
        self._path = (folder or cache_root() / "kernels") / f"choices-{digest}.json"
        self._timer = timer
        self._ratios: dict[str, float] | None = None

    def prefers_kernel(self, operation: str, family: str, kernel: Work, reference: Work) -> bool:
        """Return whether the kernel takes less time; measures if nobody has here."""
        return self.ratio(operation, family, lambda: (kernel, reference)) < 1

    def ratio(self, operation: str, family: str, trials: Callable[[], tuple[Work, Work]]) -> float:
        """Return seconds of the kernel / seconds of the reference; measures if nobody has here.

        A kernel that raises is not used, and that is remembered as an infinite ratio.

        Args:
            trials: returns one call of the kernel and one of the reference; asked only if they must be measured.
        """
        key = f"{operation} {family}"
        if key not in self.ratios():
            self._keep(key, self._measure(*trials()))
        return self.ratios()[key]

    def ratios(self) -> dict[str, float]:
        """Return "operation family" -> seconds of the kernel / seconds of the reference, as far as measured."""
        if self._ratios is None:
            try:
                self._ratios = {str(key): float(value) for key, value in json.loads(self._path.read_text()).items()}
            except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: measure anew
                self._ratios = {}
        return self._ratios

    def _measure(self, kernel: Work, reference: Work) -> float:
        try:
            self._timer(kernel)  # compiles
        except Exception:
            return float("inf")
        self._timer(reference)
        times: list[tuple[float, float]] = []
        while len(times) < _ROUNDS and sum(map(sum, times)) < _ENOUGH:
            times.append((self._timer(kernel), self._timer(reference)))
        of_kernel, of_reference = (statistics.median(column) for column in zip(*times, strict=True))
        return of_kernel / of_reference

    def _keep(self, key: str, ratio: float) -> None:
        """Add an answer to the file in one move; what another process has written meanwhile stands."""
        mine, self._ratios = self._ratios or {}, None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._path.with_suffix(".lock")):
                self._ratios = {**mine, key: ratio, **self.ratios()}
                write_text(self._path, json.dumps(self._ratios))
        except OSError:  # a cache that cannot be written only costs the next process its time
            self._ratios = {**mine, key: ratio}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock while the file is read and replaced, some milliseconds; Windows goes without."""
    with path.open("w") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def seconds_on_cpu(work: Work) -> float:
    """Time a call by the wall clock, as the mean of so many calls as fill a third of a millisecond."""
    start, calls, passed = time.perf_counter(), 0, 0.0
    while passed < _BLOCK:
        work()
        calls += 1
        passed = time.perf_counter() - start
    return passed / calls


def seconds_on_gpu(work: Work) -> float:
    """Time a call by the device's own clock."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000
