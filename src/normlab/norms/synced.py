"""Batch statistics over the batches of all processes of `torch.distributed`.

A process that sees an N-th of a batch would normalise by the statistics of that part: a noisier scheme than the one
in the paper. Here sums are taken over all processes before they are divided, so W processes with a W-th of the batch
each compute what one process with the whole batch does, forward and backward.

The one new operation is `sum_over_processes`; all else is plain and differentiable. Every process must reach the
same layers in the same order, as in data-parallel training.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from normlab.norms.reference import finish, normalize_reference, planes, wide


def process_count() -> int:
    """Return how many processes train together; 1 outside of `torch.distributed`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def normalize_over_processes(
    x_nchw: Tensor,
    *,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    residual: Tensor | None = None,
    relu: bool = False,
    gate: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalise by statistics over (N, H, W) of all processes together.

    y = relu?((x - mean_c) / sqrt(var_c + eps) * weight_c + bias_c + residual?)

    Args are those of `core.normalize`; with a `gate` (C,), the normalised map is mixed with instance norm as in
    `core.normalize_mixed`.

    Returns: y, then without gradient mean (C,), biased variance (C,) and the number of values per channel, a scalar.
    """
    x, C = wide(x_nchw), x_nchw.shape[1]
    count = x.new_tensor([x.numel() / C])
    sums = sum_over_processes(torch.cat([x.sum((0, 2, 3)), count]))
    total = sums[-1].detach()
    mean = sums[:-1] / total
    centred = x - planes(mean)
    var = sum_over_processes(centred.square().sum((0, 2, 3))) / total  # two passes, as everywhere
    y = centred * planes(torch.rsqrt(var + eps))
    if gate is not None:
        by_instance, _, _ = normalize_reference(x, "instance", 1, None, None, eps)
        y = planes(gate) * y + planes(1 - gate) * by_instance
    y = y if weight is None else y * planes(weight.to(y.dtype))
    y = y if bias is None else y + planes(bias.to(y.dtype))
    return finish(y.to(x_nchw.dtype), residual, relu), mean.detach(), var.detach(), total


def sum_over_processes(values: Tensor) -> Tensor:
    """Add up a tensor over all processes; each gets the sum. Differentiable, also twice.

    The sum reaches the losses of all processes, so its gradient is the sum of theirs.
    """
    summed: Tensor = _Sum.apply(values)
    return summed


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return sum_over_processes(grad)
