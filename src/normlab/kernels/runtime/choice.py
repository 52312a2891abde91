"""Which of two equal implementations is faster here: measured once per machine and kind of shape, then remembered.

The answers are kept as JSON in the user's cache, one file per machine (processor or GPU, torch), so that a second run
measures nothing. Neither is measured while a CUDA graph is recorded: the caller asks before, in the warm-up steps.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from normlab.runs.cache_folders import cache_root

Work = Callable[[], object]
Timer = Callable[[Work], float]  # seconds of one call

_ROUNDS = 7


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
        """Return whether the kernel takes less time; measures if nobody has here.

        A kernel that raises is not used, and that is remembered as an infinite ratio.
        """
        key = f"{operation} {family}"
        ratios = self.ratios()
        if key not in ratios:
            ratios[key] = self._measure(kernel, reference)
            self._save()
        return ratios[key] < 1

    def ratios(self) -> dict[str, float]:
        """Return "operation family" -> seconds of the kernel / seconds of the reference, as far as measured."""
        if self._ratios is None:
            try:
                self._ratios = {str(key): float(value) for key, value in json.loads(self._path.read_text()).items()}
            except (OSError, ValueError, AttributeError):  # none yet, or damaged: measure anew
                self._ratios = {}
        return self._ratios

    def _measure(self, kernel: Work, reference: Work) -> float:
        try:
            self._timer(kernel)  # compiles
        except Exception:
            return float("inf")
        self._timer(reference)
        times = [(self._timer(kernel), self._timer(reference)) for _ in range(_ROUNDS)]
        of_kernel, of_reference = (statistics.median(column) for column in zip(*times, strict=True))
        return of_kernel / of_reference

    def _save(self) -> None:
        """Write the file in one move; what another process has measured meanwhile is kept too."""
        measured, self._ratios = self._ratios or {}, None
        self._ratios = {**self.ratios(), **measured}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False) as file:
                json.dump(self._ratios, file)
            os.replace(file.name, self._path)
        except OSError:
            pass  # a cache that cannot be written only costs the next process its time


def seconds_on_gpu(work: Work) -> float:
    """Time a call by the device's own clock."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000
