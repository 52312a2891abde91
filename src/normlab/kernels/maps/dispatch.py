"""Two small steps of a residual network, each in one pass over a channels_last map: see maps.cpp.

At a batch of 8 torch's chains of calls for them took 8 % of a training step. Both take float32 and bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime.kernel import Kernel


class HalveKernel(Kernel):
    """`HALVE.try_call(x, extra)` -> every second position of x (N, C, H, W), `extra` zero channels appended."""

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return _example(), 2


class MeanKernel(Kernel):
    """`MEAN.try_call(x)` -> the mean of x (N, C, H, W) over its positions, (N, C), added up in float32."""

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return (_example(),)


def _example() -> Tensor:
    return torch.zeros(1, 2, 4, 4).contiguous(memory_format=torch.channels_last)


HALVE = HalveKernel("halving of maps", "maps", "halve", ("halve_forward", "halve_backward"))
MEAN = MeanKernel("mean over positions", "maps", "mean", ("mean_forward", "mean_backward"))
