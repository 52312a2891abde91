"""The passes over a feature map of which every norm consists; the rest is arithmetic on small tables.

On a CPU each pass walks the samples in blocks that stay in the second-level cache, so that its temporary maps
cost no memory traffic and no fresh pages; on other devices a pass is one block. A table of per-plane
coefficients has shape (N, C), (N, 1) or (1, C) and meets the map by broadcasting. Maps are (N, C, H, W) of
any type and memory format; arithmetic is in the tables' type, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from normlab.norms.reference import planes

BLOCK = 1 << 19  # elements: 2 MiB of float32, the second-level caches of two cores

Rows = Callable[[Tensor], Tensor]


def plane_means(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the mean of each plane, (N, C)."""
    means = x.new_empty(x.shape[:2], dtype=dtype)
    for part, _ in _blocks(x):
        means[part] = x[part].to(dtype).mean((2, 3))
    return means


def plane_square_means(x: Tensor, mean: Tensor) -> Tensor:
    """Return the mean of (x - mean)^2 over each plane, (N, C)."""
    means = mean.new_empty(x.shape[:2])
    for part, rows in _blocks(x):
        means[part] = (x[part] - rows(mean)).square_().mean((2, 3))
    return means


def scaled(x: Tensor, mean: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
    """Return (x - mean) * scale + shift in x's type and memory format."""
    y = torch.empty_like(x)
    for part, rows in _blocks(x):
        t = _subtract(x[part], rows(mean), y[part]).mul_(rows(scale))
        if shift is not None:
            t.add_(rows(shift))
        _store(y[part], t)
    return y


def plane_products(x: Tensor, mean: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means of grad and of grad * (x - mean) over each plane, both (N, C)."""
    first, second = mean.new_empty(x.shape[:2]), mean.new_empty(x.shape[:2])
    for part, rows in _blocks(x):
        g = grad[part].to(mean.dtype)
        first[part] = g.mean((2, 3))
        second[part] = (x[part] - rows(mean)).mul_(g).mean((2, 3))
    return first, second


def combined(x: Tensor, mean: Tensor, grad: Tensor, scale: Tensor, slope: Tensor, level: Tensor) -> Tensor:
    """Return grad * scale - (x - mean) * slope - level in x's type and memory format."""
    result = torch.empty_like(x)
    for part, rows in _blocks(x):
        t = _subtract(x[part], rows(mean), result[part]).mul_(rows(slope))
        t.add_(rows(level))
        _store(result[part], torch.sub(grad[part] * rows(scale), t, out=t))
    return result


def _blocks(x: Tensor) -> Iterator[tuple[slice, Rows]]:
    """Yield slices of the samples, each with a function that cuts a table to them."""
    N = x.shape[0]
    step = max(1, BLOCK // max(1, x[:1].numel())) if x.device.type == "cpu" else max(1, N)
    for start in range(0, N, step):
        part = slice(start, start + step)
        yield part, partial(_rows, part, N)


def _rows(part: slice, num_samples: int, table: Tensor) -> Tensor:
    return planes(table[part] if table.shape[0] == num_samples else table)


def _subtract(x: Tensor, mean: Tensor, target: Tensor) -> Tensor:
    """Return x - mean in mean's type: inside `target` if that has the type, else as a temporary."""
    return torch.sub(x, mean, out=target) if target.dtype == mean.dtype else x - mean


def _store(target: Tensor, value: Tensor) -> None:
    """Put `value` into `target`, unless it was computed there."""
    if target.dtype != value.dtype:
        target.copy_(value)
