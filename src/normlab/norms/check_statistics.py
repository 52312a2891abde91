"""The part of the contract about statistics: each scheme does to its input what its card and `pools_over` declare."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from normlab.norms.base import Norm

Build = Callable[[], Norm]


def pools_over_exactly_what_it_declares(build: Build) -> None:
    """Check mean 0 and variance 1, or mean square 1, over the declared axes and over no fewer."""
    layer = build().double()
    if not layer.pools_over or layer.card.statistics in ("mixed", "activated"):
        return
    N, C, H, W = 4, layer.num_channels, 5, 6
    G = layer.channel_groups
    y = layer(_uneven_input(layer)).detach().view(N, G, C // G, H, W)
    axes = {"N": [0], "C": [2] if G > 1 else [1, 2], "H": [3], "W": [4]}
    pooled = [dim for axis in layer.pools_over for dim in axes[axis]]
    declared = f"({','.join(axis for axis in 'NCHW' if axis in layer.pools_over)})"
    if layer.card.statistics == "mean square":
        off = (y.square().mean(pooled) - 1).abs().max()
        assert off < 1e-3, f"the mean square over {declared} is off 1 by {off:.3g}"
        for axis in sorted(layer.pools_over):
            fewer = [dim for dim in pooled if dim not in axes[axis]]
            part = y.square().mean(fewer) if fewer else y.square()
            assert (part - 1).abs().max() > 1e-3, f"the mean square is 1 already without the declared axis {axis}"
        return
    mean, var = y.mean(pooled), y.var(pooled, correction=0)
    assert mean.abs().max() < 1e-6, f"the mean over {declared} is {mean.abs().max():.3g}, not 0"
    off = (var - 1).abs().max()
    assert off < 1e-3, f"the variance over {declared} is off 1 by {off:.3g}"
    for axis in sorted(layer.pools_over):
        fewer = [dim for dim in pooled if dim not in axes[axis]]
        if all(y.shape[dim] == 1 for dim in axes[axis]):
            continue
        part = y.mean(fewer) if fewer else y
        assert part.abs().max() > 1e-3, f"the mean is 0 already without the declared axis {axis}"


def mixes_over_what_it_declares(build: Build) -> None:
    """Check that scale and shift of the input change nothing, and that values along the declared axes matter."""
    layer = build().double()
    if layer.card.statistics != "mixed":
        return
    x = _uneven_input(layer)
    close(layer(5 * x - 7), layer(x), 1e-3, "scale and shift of the input change the output of the mixture")
    _reaches_what_it_declares(layer, x)


def depends_on_what_it_declares(build: Build) -> None:
    """Check of a scheme with an activation that values along the declared axes matter, and along no other."""
    layer = build().double()
    if layer.card.statistics == "activated":
        _reaches_what_it_declares(layer, _uneven_input(layer))


def activates_if_it_says_so(build: Build) -> None:
    """Check that x and -x come out as mirror images around the output of 0 unless the scheme `activates`."""
    x = _uneven_input(build())
    plus, minus, zero = (build().double()(factor * x) for factor in (1, -1, 0))
    is_odd = bool((plus + minus - 2 * zero).abs().max() < 1e-6)
    assert is_odd != build().activates, (
        "activates is declared, but the layer has no activation: -x gives what x gives, mirrored"
        if is_odd
        else "-x does not give what x gives, mirrored: a layer that contains its activation declares activates = True"
    )


def _reaches_what_it_declares(layer: Norm, x: Tensor) -> None:
    leaf = x.requires_grad_()
    y = layer(leaf)
    matters = dict.fromkeys("NCHW", False)
    for place in torch.randperm(y.numel())[:20].tolist():  # an activation may cut one place off, but not all
        (grad,) = torch.autograd.grad(y.flatten()[place], leaf, retain_graph=True)
        here = [int(index) for index in torch.unravel_index(torch.tensor(place), y.shape)]
        for dim, axis in enumerate("NCHW"):
            along = grad[tuple(slice(None) if other == dim else index for other, index in enumerate(here))]
            others = torch.arange(len(along)) != here[dim]
            matters[axis] |= bool(along[others].abs().max() > 1e-9)
    for axis, found in matters.items():
        declared = axis in layer.pools_over
        assert found == declared, f"axis {axis} {'does not matter' if declared else 'matters'}, unlike pools_over says"


def maps_each_value_alone(build: Build) -> None:
    """Check that a scheme without statistics is an increasing function of each value."""
    if build().pools_over:
        return
    for training in (True, False):
        layer = moved(build().double()).train(training)
        x = _uneven_input(layer).requires_grad_()
        y = layer(x)
        places = torch.randperm(x.numel())[:20]
        for place in places:
            (grad,) = torch.autograd.grad(y.flatten()[place], x, retain_graph=True)
            others = grad.flatten().index_fill(0, place[None], 0)
            assert others.abs().max() == 0, "a value's output depends on other values, and pools_over is empty"
        near = torch.linspace(-3, 3, 50, dtype=torch.float64).view(50, 1, 1, 1).expand(-1, layer.num_channels, 1, 1)
        assert (layer(near).detach().diff(dim=0) > 0).all(), "a larger value does not give a larger output"


def _uneven_input(layer: Norm) -> Tensor:
    """Return maps with an offset along every axis, so that a set smaller or larger than the declared one shows."""
    N, C, H, W = 4, layer.num_channels, 5, 6
    x = torch.randn(N, C, H, W, dtype=torch.float64)
    for shape in ((N, 1, 1, 1), (1, C, 1, 1), (1, 1, H, 1), (1, 1, 1, W)):
        x += 3 * torch.randn(shape)
    return x


def moved(layer: Norm) -> Norm:
    """Change the parameters from their initial values, with which errors may cancel."""
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.2, 0.8)
    return layer


def close(a: Tensor, b: Tensor, tolerance: float, message: str) -> None:
    """Compare up to `tolerance`, absolute below 1 and relative above."""
    difference = ((a - b).abs() / b.abs().clamp(min=1)).max().item() if a.numel() else 0.0
    assert difference <= tolerance, f"{message} (largest difference {difference:.3g})"
