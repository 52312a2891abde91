"""Whether a Triton twin runs here, asked by the dispatch of each kernel: only where it was measured to be faster.

The twins need a CUDA device and the package `triton`, which torch's CUDA builds bring along. Without either, or with
NORMLAB_KERNELS=off, the plain PyTorch references run, or what torch.compile makes of them; nothing is said but by
`normlab doctor`. A twin is compared with its compiled reference; where that one wins, `--compile` is the better choice.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime import guards
from normlab.kernels.runtime.choice import Choices, seconds_on_gpu

BLOCKS = ("norm", "lstm", "crf", "augment")


@functools.cache
def reason_against() -> str:
    """Return in one line why no twin runs here; empty where they can."""
    if os.environ.get("NORMLAB_KERNELS", "").lower() in ("off", "0", "no", "false"):
        return "NORMLAB_KERNELS=off"
    if not torch.cuda.is_available():
        return "no CUDA device"
    return "" if find_spec("triton") is not None else "triton is not installed"


def status() -> str:
    """Return one line for people: which twins are in use, as far as measured, or why none is."""
    if reason_against():
        return f"none ({reason_against()})"
    ratios = choices().ratios()
    if not ratios:
        return f"{' '.join(BLOCKS)} (not measured yet: the first training chooses)"
    return ", ".join(f"{key}: {'twin' if ratio < 1 else 'reference'} ({ratio:.2f})" for key, ratio in ratios.items())


def twin(block: str) -> ModuleType:
    """Return the Triton module of a block."""
    return importlib.import_module(f"normlab.kernels.{block}.triton")


@functools.cache
def choices() -> Choices:
    """Return what was measured on this machine's GPU."""
    return Choices(f"{torch.cuda.get_device_name()} {torch.__version__}", seconds_on_gpu)


def takes_norm(x: Tensor, residual: Tensor | None) -> bool:
    """Return whether the Triton norm takes the map x (N, C, H, W) on a GPU, and is the faster choice."""
    if not x.is_cuda or reason_against() or torch.compiler.is_compiling():
        return False
    dense = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
    fits = x.dim() == 4 and x.dtype in (torch.float32, torch.bfloat16) and x.numel() > 0 and dense
    if not fits or (residual is not None and (residual.dtype != x.dtype or residual.shape != x.shape)):
        return False
    layout = "NCHW" if x.is_contiguous() else "NHWC"
    family = f"{_power(x.shape[0])}x{x.shape[1]}x{x.shape[2]}x{x.shape[3]} {layout} {x.dtype}"
    return _chosen("norm", family, lambda: _norm_trials(x))


def takes_crf(emissions: Tensor, transitions: Tensor) -> bool:
    """Return whether the Triton CRF takes these emissions (B, T, K) on a GPU, and is the faster choice."""
    if not emissions.is_cuda or reason_against():
        return False
    if emissions.dtype != torch.float32 or transitions.dtype != torch.float32 or emissions.numel() == 0:
        return False
    # The reference starts several kernels at every position, so there is nothing to measure.
    return emissions.shape[2] <= twin("crf").MOST_TAGS


def lstm_runner(x_tbd: Tensor, lengths: Tensor | None, gain_hh: Tensor | None) -> Any:
    """Return the Triton runner for a layer-normalised LSTM on a GPU, None where it does not apply."""
    if not x_tbd.is_cuda or gain_hh is None or reason_against() or torch.compiler.is_compiling():
        return None
    if not guards.allows_kernel(x_tbd, lengths, gain_hh):
        return None
    if x_tbd.dtype != torch.float32 or torch.is_autocast_enabled("cuda") or x_tbd.numel() == 0:
        return None
    return twin("lstm").TritonRunner(x_tbd, lengths) if len(gain_hh) <= 4 * twin("lstm").MOST_UNITS else None


def augmenter(images_nchw: Tensor) -> Callable[..., Tensor] | None:
    """Return the Triton `crop_flip_normalise` for uint8 images on a GPU, None where it does not apply."""
    if not images_nchw.is_cuda or reason_against():
        return None
    fits = images_nchw.dtype == torch.uint8 and images_nchw.dim() == 4 and images_nchw.is_contiguous()
    return twin("augment").crop_flip_normalise if fits and images_nchw.numel() else None


def _chosen(block: str, family: str, trials: Callable[[], tuple[Any, Any]]) -> bool:
    known = choices().ratios().get(f"{block} {family}")
    if known is not None:
        return known < 1
    if torch.cuda.is_current_stream_capturing():
        return False
    return choices().prefers_twin(block, family, *trials())


def _norm_trials(x: Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return batch norm with ReLU, forward and backward, by the twin and by torch.compile, for all schemes."""
    from normlab.kernels.norm.calls import BATCH, Scheme
    from normlab.kernels.norm.plain import plain_norm

    scheme = Scheme(BATCH, 1, False, 1e-5, True)
    x = torch.randn_like(x.detach())
    row = torch.ones(x.shape[1], device=x.device)
    module = twin("norm")
    none = x.new_empty(0)
    compiled = torch.compile(lambda x, w, b: plain_norm(x, w, b, None, none, none, scheme).relu())
    leaves = [tensor.clone().requires_grad_() for tensor in (x, row, row)]

    def by_twin() -> object:
        y, *_, stats = module.run_forward(x, row, row, None, None, None, None, scheme)
        return module.run_backward(x, x, y, row, None, stats, scheme, False)

    def by_compiler() -> object:
        with torch.enable_grad():
            return torch.autograd.grad(compiled(*leaves), leaves, x)

    return by_twin, by_compiler


def _power(count: int) -> int:
    """Return the next power of two: batches of like size share an answer."""
    return 1 << (count - 1).bit_length()
