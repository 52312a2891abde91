"""Choose device, precision and number of threads, once, before anything is built."""

from __future__ import annotations

import os

import torch

from normlab.engine.determinism import compute_alike
from normlab.engine.precision import automatic_precision, has_fast_bfloat16
from normlab.errors import UserError
from normlab.runs.memory import keep_freed_memory, return_freed_memory
from normlab.tasks.base import Placement
from normlab.train_config import TrainConfig


def choose_placement(config: TrainConfig, recorded: str | None = None, *, trains: bool = True) -> Placement:
    """Resolve `device` and `precision`, set the thread count, and let the process keep the memory that it frees.

    With `deterministic` the process computes so from now on (`engine/determinism.py`).

    Args:
        recorded: the precision that `auto` chose when the run began; used again if the device supports it.
        trains: training keeps a precision that its settings name. A trained model that is only used is computed in
            float32 where bfloat16 would be emulated: that is several times as slow and no nearer to its training.
    Raises: UserError if the device does not exist here.
    """
    device = choose_device(config.device)
    torch.set_num_threads(config.threads or available_cores())
    compute_alike(config.deterministic)
    keep_freed_memory()
    precision: str = config.precision
    if precision == "auto":
        resumed = recorded if recorded == "float32" or has_fast_bfloat16(device) else None
        precision = resumed or automatic_precision(device, measured=not config.deterministic).precision
    elif precision == "bfloat16" and not trains and not has_fast_bfloat16(device):
        precision = "float32"
    return Placement(device, precision)


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` takes the GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device '{name}': use auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device '{name}': {torch.cuda.device_count()} CUDA devices here: use --device cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device 'mps': not available on this machine: use --device cpu")
    return device


def available_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class PeakMemory:
    """Peak memory of a stretch of work in MiB: of the device on a GPU, of the process on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            return_freed_memory()  # so that memory of earlier work is not counted
            _reset_resident_peak()

    def mib(self) -> float | None:
        """Return the peak since construction, or None where the system does not report it."""
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_allocated(self.device) / 2**20, 1)
        return _resident_peak()


def _reset_resident_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:  # 5 resets VmHWM (proc(5))
            file.write("5")
    except OSError:
        pass


def _resident_peak() -> float | None:
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
        return round(int(lines["VmHWM"].split()[0]) / 1024, 1)
    except (OSError, KeyError, ValueError):
        return None
