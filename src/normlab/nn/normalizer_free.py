"""The residual branches of normalizer-free networks: what keeps sums from growing where no norm does."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from normlab.errors import UserError
from normlab.nn.preact_resnet import PreActBlock, PreActResNet
from normlab.nn.resnet import shortcut


def scale_branches(network: PreActResNet, alpha: float) -> None:
    """Let all blocks of a network compute y = x + alpha * gain * f(x / beta), in place.

    f is the block's branch: its convolutions, which `standardize_weights(scaled=True)` must have made keep the variance
    (Brock et al. 2021a, Characterizing signal propagation, section 4; 2021b, eq. 1 and section 2). beta is the standard
    deviation that x is expected to have, so that each branch reads a variance of 1 and adds alpha^2:

        beta_1 = 1,  beta_(l+1)^2 = beta_l^2 + alpha^2

    A block that changes the number of channels reads x / beta on both paths, from which the variance starts again:
    at C_in / C_out + alpha^2, since the shortcut here has no parameters and fills new channels with zeros; the papers'
    shortcut is a convolution and it starts at 1 + alpha^2. The gain of each block is learned from 0 (SkipInit, De &
    Smith 2020), without weight decay. The papers scale each ReLU by sqrt(2 / (1 - 1/pi)); here that factor belongs to
    the weights of the next convolution, which is the same function, and so the first one, which no ReLU precedes, does
    without it.

    Raises: UserError if the network is no `PreActResNet`, or its convolutions are not standardised and scaled.
    """
    first: Any = network.conv if isinstance(network, PreActResNet) else None
    if not hasattr(first, "relu_gain"):
        raise UserError("residual_scale: wants the network preact_resnet with weight_standardized: scaled")
    first.relu_gain = 1.0
    variance = 1.0
    for block in network.modules():
        if isinstance(block, PreActBlock):
            beta = math.sqrt(variance)
            block.__class__ = _NormalizerFreeBlock
            assert isinstance(block, _NormalizerFreeBlock)
            block.alpha, block.beta, block.skip = alpha, beta, SkipInit()
            if block.new_channels:
                variance = block.conv1.in_channels / block.conv1.out_channels
            variance += alpha**2


class SkipInit(nn.Module):
    """y = gain * x with one gain, 0 at the start: a block is its shortcut until it has learned something."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Scale x of any shape."""
        return self.gain * x

    def parameter_options(self) -> dict[str, dict[str, float]]:
        """Decay would pull the gain back to 0, where the block does nothing."""
        return {"gain": {"weight_decay": 0.0}}

    def reset_parameters(self) -> None:
        """Set the gain to 0."""
        nn.init.zeros_(self.gain)


class _NormalizerFreeBlock(PreActBlock):
    alpha: float
    beta: float
    skip: SkipInit

    def forward(self, x: Tensor) -> Tensor:
        scaled = x / self.beta
        kept = shortcut(scaled if self.new_channels else x, self.stride, self.new_channels)
        return kept + self.alpha * self.skip(self.branch(scaled))
