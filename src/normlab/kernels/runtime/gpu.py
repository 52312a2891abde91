"""What all Triton implementations share: whether they can run here, and which were measured to be faster.

They need a CUDA device and the package `triton`, which torch's CUDA builds bring along. Without either, or with
NORMLAB_KERNELS=off, the references run, or what torch.compile makes of them; only `normlab doctor` says so.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType

import torch

from normlab.kernels.runtime import build
from normlab.kernels.runtime.choice import Choices, Work, are_fixed, seconds_on_gpu


@functools.cache
def reason_against() -> str:
    """Return in one line why no Triton implementation runs here; empty where they can."""
    if build.are_switched_off():
        return build.SWITCHED_OFF
    if not torch.cuda.is_available():
        return "no CUDA device"
    return "" if find_spec("triton") is not None else "triton is not installed"


def status() -> str:
    """Return one line for people: which Triton implementations were measured to be faster, or why none runs."""
    if reason_against():
        return f"none ({reason_against()})"
    ratios = choices().ratios()
    if not ratios:
        return "not measured yet: the first training chooses"
    return ", ".join(f"{key}: {'Triton' if ratio < 1 else 'reference'} ({ratio:.2f})" for key, ratio in ratios.items())


def triton_module(operation: str) -> ModuleType:
    """Return an operation's `triton.py`, which must not be imported where the package `triton` is missing."""
    return importlib.import_module(f"normlab.kernels.{operation}.triton")


@functools.cache
def choices() -> Choices:
    """Return what was measured on this machine's GPU."""
    return Choices(f"{torch.cuda.get_device_name()} {torch.__version__}", seconds_on_gpu)


def is_faster(operation: str, family: str, trials: Callable[[], tuple[Work, Work]]) -> bool:
    """Return whether the kernel beats its reference for a family of shapes; measures if nobody has on this machine.

    While a CUDA graph is recorded nothing can be measured: an unknown family is then left to the reference. Where
    choices are fixed, the kernel is used.

    Args:
        trials: returns one call of the kernel and one of the reference.
    """
    if are_fixed():
        return True
    known = choices().ratios().get(f"{operation} {family}")
    if known is not None:
        return known < 1
    if torch.cuda.is_current_stream_capturing():
        return False
    return choices().prefers_kernel(operation, family, *trials())


def power_of_two(count: int) -> int:
    """Return the next power of two: batches of like size share an answer."""
    return 1 << (count - 1).bit_length()
