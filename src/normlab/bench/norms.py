"""The norm layers beside torch's nearest layers, forward and backward, on the feature maps of a ResNet.

Each scheme stands alone and with the residual sum and ReLU that follow it in a block, which torch runs as separate
calls. Both sides go through `nn.Module`s, as users do. Bytes: alone, x is read and y written, then x and dy read and dx
written, 5 maps; with sum and ReLU y is read for the ReLU's gradient, the residual read and its gradient written, 8.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from normlab.bench.limits import Limits
from normlab.bench.row import Goal, Row, faster
from normlab.bench.timing import SLOWEST, Settings, compare
from normlab.norms import NORMS

SHAPES = tuple((C, S, S) for C, S in ((16, 32), (32, 16), (64, 8)))
SCHEMES = ("batch", "instance", "layer", "group", "batch_instance", "layer_pixel", "rms_pixel")
GROUPS = 8
ALONE, FUSED = Goal(at_least=1.0), Goal(at_least=1.5)
_MAPS_MOVED = {False: 5, True: 8}


def rows(settings: Settings) -> Iterator[Row]:
    """Yield a row per batch size, map, type, layout and scheme, alone and fused."""
    limits = Limits(settings)
    shapes, batches = (SHAPES[2:], (8,)) if settings.quick else (SHAPES, (8, 128))
    types = (torch.float32, torch.bfloat16)
    for batch, dtype, shape, last in itertools.product(batches, types, shapes, (False, True)):
        for scheme, fused in itertools.product(SCHEMES, (False, True)):
            yield norm_row(scheme, fused, (batch, *shape), dtype, last, settings, limits)


def norm_row(
    scheme: str,
    fused: bool,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    channels_last: bool,
    settings: Settings,
    limits: Limits,
) -> Row:
    """Compare one layer, alone or with sum and ReLU, on maps of one shape (N, C, H, W)."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x, residual, grad = (torch.randn(shape).to(dtype).contiguous(memory_format=layout) for _ in range(3))
    ours = NORMS.create(scheme, shape[1], **({"groups": GROUPS} if scheme == "group" else {}))
    peer = torch_layer(scheme, shape[1])
    if scheme == "rms_pixel":
        peer.to(dtype)  # torch has a fast one for weights of the map's type only
    for leaf in (x, residual):
        leaf.requires_grad_()
    inputs = [x, residual] if fused else [x]

    def by_torch() -> object:
        y = torch.relu(peer(x) + residual) if fused else peer(x)
        return torch.autograd.grad(y, [*inputs, *peer.parameters()], grad)

    def by_normlab() -> object:
        y = ours.fused(x, residual=residual, relu=True) if fused else ours(x)
        return torch.autograd.grad(y, [*inputs, *ours.parameters()], grad)

    comparison = compare(by_torch, by_normlab, settings, at_least=2e-3, expected=SLOWEST)
    moved = _MAPS_MOVED[fused] * x.nbytes
    name = scheme + (" + sum + ReLU" if fused else "")
    shown = f"{'x'.join(map(str, shape))} {str(dtype).removeprefix('torch.')} {'NHWC' if channels_last else 'NCHW'}"
    return faster(
        f"{name}, {shown}",
        "torch's layers",
        comparison,
        goal=FUSED if fused else ALONE,
        floor=limits.floor(moved=moved, touched=3 * x.nbytes, dtype=dtype),
        group=f"{name}, batch {shape[0]}",
        torchs=True,
    )


def torch_layer(scheme: str, channels: int) -> nn.Module:
    """Return what torch has that is nearest to a scheme."""
    if scheme == "batch":
        return nn.BatchNorm2d(channels)
    if scheme == "batch_instance":
        return TorchBatchInstanceNorm(channels)
    if scheme.endswith("_pixel"):
        layer_norm = scheme == "layer_pixel"
        return TorchPixelNorm(nn.LayerNorm(channels, eps=1e-6) if layer_norm else nn.RMSNorm(channels, eps=1e-5))
    groups = {"instance": channels, "layer": 1, "group": GROUPS}[scheme]
    return nn.GroupNorm(groups, channels)  # nn.InstanceNorm2d repeats its affine for each sample, which costs more


class TorchPixelNorm(nn.Module):
    """Torch's norm over the last axis, moved to the channels and back, as torchvision's ConvNeXt does it."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Normalise maps (N, C, H, W)."""
        y: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return y.permute(0, 3, 1, 2)


class TorchBatchInstanceNorm(nn.Module):
    """Batch-instance norm out of torch's layers: g BN(x) + (1 - g) IN(x), then the affine."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batch = nn.BatchNorm2d(channels, affine=False)
        self.instance = nn.InstanceNorm2d(channels)
        self.gate = nn.Parameter(torch.full((channels, 1, 1), 0.7))
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise maps (N, C, H, W)."""
        gate, weight, bias = (p.to(x.dtype) for p in (self.gate, self.weight, self.bias))
        return (gate * self.batch(x) + (1 - gate) * self.instance(x)) * weight + bias
