"""Schemes that are a function of x and of numbers of each plane (n, c), which follow from planes' means and variances.

Such a scheme says what its numbers are, in operations on tables (N, C); what is done to the map, and its gradient, is
`kernels.planes`, or the plain operations of `kernels.planes.forms` where a kernel may not run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from normlab.kernels.planes import AFFINE, PLANES, Form, Tables, plain_planes
from normlab.norms.reference import IndexSet, finish, pool, spread


def by_planes(
    x_nchw: Tensor,
    form: Form,
    tables: Tables,
    parameters: Sequence[Tensor | None],
    residual: Tensor | None = None,
    relu: bool = False,
) -> tuple[Tensor, ...]:
    """Return relu?(form(x, *tables(mean, var, *parameters)) + residual?), and what else `tables` returns.

    Args:
        x_nchw: (N, C, H, W), any floating type, not empty.
        form: what the tables do to x, one of `kernels.planes`.
        tables: makes the form's tables, each to broadcast to (N, C), of the mean and biased variance of each plane,
            (N, C), and of the parameters, in the type of the mean; then what else is wanted, which comes back
            without gradient. No side effects: a second derivative calls it again.
        parameters: what the tables have to have gradients for, and what may change before they are asked for.
        residual: added after the form; like x.
        relu: whether a ReLU comes last.
    """
    inside = relu and form.number == AFFINE.number
    result = PLANES.try_call(x_nchw, form, tables, parameters, residual, inside)
    if result is None:
        y, *extras = plain_planes(x_nchw, form, tables, parameters)
        return finish(y, residual, relu), *extras
    y, *extras = result
    return torch.relu(y) if relu and not inside else y, *extras


def pool_moments(mean_nc: Tensor, var_nc: Tensor, index_set: IndexSet, groups: int = 1) -> tuple[Tensor, Tensor]:
    """Return the mean and biased variance of each index set, spread to where it meets (N, C): (1 or N, 1 or C)."""
    C = mean_nc.shape[1]
    mean = spread(pool(mean_nc, index_set, groups), index_set, C)
    square = var_nc + (mean_nc - mean).square()
    return mean, spread(pool(square, index_set, groups), index_set, C)


def gain_and_bias(weight: Tensor | None, bias: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias in the type of a table, 1 and 0 where there is none."""
    return (
        like.new_ones(1) if weight is None else weight.to(like.dtype),
        like.new_zeros(1) if bias is None else bias.to(like.dtype),
    )
