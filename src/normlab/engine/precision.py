"""What `precision: auto` means on this machine: bfloat16 or float32, whichever trains a convolution faster.

On a CPU the two are measured once per machine and the choice is cached beside the compiled kernels, so that all runs on
a machine use the same precision. A run records its precision and is resumed in it. A deterministic run on a CPU
measures nothing: it takes float32.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from normlab.runs.atomic import write_json
from normlab.runs.cache_folders import cache_root
from normlab.runs.environment import cpu_name

_ROUNDS = 5


class Choice(NamedTuple):
    """A precision and why it was chosen."""

    precision: str
    reason: str


def automatic_precision(device: torch.device, *, measured: bool = True) -> Choice:
    """Return the precision of `auto` on a device; `measured=False` if it must not depend on a measurement."""
    if not has_fast_bfloat16(device):
        return Choice("float32", f"no bfloat16 products in hardware ({device.type})")
    if device.type != "cpu":
        return Choice("bfloat16", "the device supports it")
    if not measured:
        return Choice("float32", "deterministic: nothing is measured")
    return judge(_speedup())


def judge(speedup: float) -> Choice:
    """Choose by how many times as fast as float32 bfloat16 was measured to be."""
    return Choice("bfloat16" if speedup > 1 else "float32", f"bfloat16 measured {speedup:.2f} times as fast as float32")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Say whether bfloat16 products run in hardware. Emulated ones are slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@cache
def _speedup() -> float:
    """Return the cached measurement, or measure now; if the cache cannot be written, every process measures."""
    path = cache_root() / "precision.json"
    key = f"{cpu_name()}, torch {torch.__version__}"
    measurements = _read(path)
    if not isinstance(measurements.get(key), float):
        measurements[key] = _measure()
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, measurements)
    return float(measurements[key])


def _read(path: Path) -> dict[str, Any]:
    try:
        measurements = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return measurements if isinstance(measurements, dict) else {}


def _measure() -> float:
    """Train a convolution of the network in both types, in turn, and compare the best times.

    CPU seconds of the process are measured, so that other load on the machine matters little. No random stream of the
    run is used.
    """
    with torch.random.fork_rng(devices=[]):
        convolution: Any = nn.Conv2d(32, 32, 3, padding=1)
        convolution.to(memory_format=torch.channels_last)
        images = torch.randn(32, 32, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(_ROUNDS + 1):
        for half, seconds in times.items():
            start = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                output = convolution(images)
            torch.autograd.grad(output.sum(), [images, *convolution.parameters()])
            seconds.append(time.process_time() - start)
    plain, half_precision = (min(seconds[1:]) for seconds in times.values())  # without the first, which warms up
    return plain / max(half_precision, 1e-9)
