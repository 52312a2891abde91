"""The machine's limits: rates measured in the same run, and the least time that counted work needs.

Bytes are those that must move if each array is read or written once per pass that needs it; floating-point operations
are those of the products, an addition and a multiplication counting as two. The rates are torch's own: a copy of as
many bytes as the work touches (so that work which fits a cache is held against the cache), and a product of two square
matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from normlab.bench.timing import Settings, measure

_LARGE = 2**27  # bytes: more than a cache holds
_SIDE = 1536  # of the square matrices
_SMALL_SIDE = 256  # of those where the large ones take longer than _TOO_LONG seconds, as emulated types do
_TOO_LONG = 0.5


@dataclass(frozen=True)
class Floor:
    """The least time for counted work, and which rate sets it."""

    seconds: float
    bound: str  # "copies" or "products"
    bytes: float
    flops: float


class Limits:
    """Measured rates of this machine under these settings, each measured when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._copies: dict[int, float] = {}

    def copy_rate(self, size: int) -> float:
        """Return bytes a second, read and written, of copying arrays that hold `size` bytes together."""
        size = min(size, _LARGE)
        if size not in self._copies:
            source, target = torch.zeros(2, max(size // 8, 1)).unbind()
            self._copies[size] = source.nbytes * 2 / measure(lambda: target.copy_(source), self.settings).median
        return self._copies[size]

    @cached_property
    def float32_rate(self) -> float:
        """Floating-point operations a second of a product of float32 matrices."""
        return self._product_rate(torch.float32)

    @cached_property
    def bfloat16_rate(self) -> float:
        """Floating-point operations a second of a product of bfloat16 matrices."""
        return self._product_rate(torch.bfloat16)

    def _product_rate(self, dtype: torch.dtype) -> float:
        rate = self._rate_of_products(_SMALL_SIDE, dtype)
        return rate if 2 * _SIDE**3 / rate > _TOO_LONG else self._rate_of_products(_SIDE, dtype)

    def _rate_of_products(self, side: int, dtype: torch.dtype) -> float:
        a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
        return 2 * side**3 / measure(lambda: a @ b, self.settings).median

    def floor(self, *, moved: float = 0.0, touched: int = _LARGE, flops: float = 0.0, dtype: torch.dtype) -> Floor:
        """Return the least time: of moving bytes within arrays that hold `touched` bytes, or of the products."""
        by_copies = moved / self.copy_rate(touched) if moved else 0.0
        by_products = 0.0
        if flops:
            by_products = flops / (self.bfloat16_rate if dtype == torch.bfloat16 else self.float32_rate)
        return Floor(max(by_copies, by_products), "copies" if by_copies > by_products else "products", moved, flops)

    def measured(self) -> dict[str, Any]:
        """Return the rates for the record: GB/s and TFLOP/s."""
        return {
            "copy_gb_per_s": self.copy_rate(_LARGE) / 1e9,
            "float32_tflop_per_s": self.float32_rate / 1e12,
            "bfloat16_tflop_per_s": self.bfloat16_rate / 1e12,
        }


def convolution_work(model: nn.Module, images: torch.Tensor) -> tuple[float, float]:
    """Return (operations, elements moved) of a training step's convolutions and norms, by one forward pass.

    A convolution's products count three times (output, gradient of the input, gradient of the weights), but twice where
    the input is the images. Elements: the convolution reads its input twice and its output's gradient twice, and writes
    output and input's gradient; the norm with ReLU behind it moves its map seven times: read, write; read output's
    gradient, input and output, write input's gradient, and half the norms add a residual, read and given a gradient.
    """
    flops = moved = 0.0

    def count(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal flops, moved
        assert isinstance(layer, nn.Conv2d)
        kernel = layer.kernel_size[0] * layer.kernel_size[1] * layer.in_channels
        passes = 2 if inputs[0].shape[1] == images.shape[1] else 3
        flops += 2.0 * passes * output.numel() * kernel
        moved += 3 * inputs[0].numel() + 3 * output.numel() + 7 * output.numel()

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return flops, moved
