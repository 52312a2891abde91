"""Weight standardization: convolutions whose weights have mean 0 and variance 1 for each output channel.

It normalises weights instead of activations, so it goes with any scheme, and with any network: the convolutions of a
network that is built already are given a class that standardises the weights where they are used. State dicts keep
their names; the stored weights are those before.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor, nn

from normlab.errors import UserError

EPS = 1e-5
RELU_GAIN = math.sqrt(2 / (1 - 1 / math.pi))  # of a ReLU's output to a normal input, the mean taken off


def standardize_weights(network: nn.Module, *, scaled: bool = False) -> list[str]:
    """Let all convolutions of a network use standardised weights, in place; return their qualified names.

    w_hat = (w - mean_o) / sqrt(var_o + eps), over all weights of an output channel o         (Qiao et al. 2019)
    w_hat = gain_o * gamma * (w - mean_o) / sqrt(fan_in * (var_o + eps))    with `scaled`     (Brock et al. 2021)

    The scaled form keeps the size of activations without any norm: gamma is ReLU's sqrt(2 / (1 - 1/pi)), and the gain,
    1 at the start, is learned.

    Raises: UserError if there is no convolution, or one computes its output in a way of its own.
    """
    names = []
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) or isinstance(layer, _Standardized):
            continue
        plain = next(base for base in (nn.Conv1d, nn.Conv2d, nn.Conv3d) if isinstance(layer, base))
        if type(layer).forward is not plain.forward:
            raise UserError(
                f"weight_standardized: {name} is a {type(layer).__name__}, which computes its output in its own way"
            )
        kind: Any = type(layer)
        layer.__class__ = _standardized_class(kind, scaled)
        if scaled:
            layer.gain = nn.Parameter(torch.ones(layer.out_channels, device=layer.weight.device))
        names.append(name)
    if not names:
        raise UserError("weight_standardized: the network has no convolution")
    return names


def standardized(weight: Tensor) -> Tensor:
    """Return weights (O, ...) with mean 0 and variance 1 (up to eps) over all axes but the first."""
    axes = tuple(range(1, weight.dim()))
    centred = weight - weight.mean(axes, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + EPS)


class _Standardized(nn.Module):
    """A convolution's class is derived from this and from what it was."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        y: Tensor = super()._conv_forward(x, self._used(weight), bias)  # type: ignore[misc]
        return y

    def _used(self, weight: Tensor) -> Tensor:
        return standardized(weight)


class _Scaled(_Standardized):
    gain: nn.Parameter
    relu_gain = RELU_GAIN  # 1 where the input is no ReLU's output, see `normalizer_free`

    def _used(self, weight: Tensor) -> Tensor:
        scale = self.gain * (self.relu_gain / math.sqrt(weight[0].numel()))
        return standardized(weight) * scale.view(-1, *[1] * (weight.dim() - 1))

    def reset_parameters(self) -> None:
        super().reset_parameters()  # type: ignore[misc]
        if "gain" in self._parameters:
            nn.init.ones_(self.gain)


@functools.cache
def _standardized_class(plain: type[nn.Module], scaled: bool) -> Any:
    mixin = _Scaled if scaled else _Standardized
    return type(f"Standardized{plain.__name__}", (mixin, plain), {"__doc__": plain.__doc__})
