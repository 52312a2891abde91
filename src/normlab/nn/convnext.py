"""A small ConvNeXt for images of 32 x 32: depthwise convolutions, one norm a block, GELU inside."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from normlab.nn.classifier import ImageClassifier, OutputLayer
from normlab.norms.options import create_norm

WIDTHS, BLOCKS = (32, 64, 128), 2


class ConvNeXt(ImageClassifier):
    """Three stages of two blocks with 32, 64 and 128 channels at 1/2, 1/4 and 1/8 of the image's size.

    The blocks are those of Liu et al. 2022 (A ConvNet for the 2020s): depthwise 7x7 convolution, norm, four times as
    many channels, GELU, back. Left out are layer scale and stochastic depth, which help long runs of large networks.
    A norm follows the stem and precedes each change of size, as in the paper, whose norm is `layer_pixel`; the last one
    stands before the mean over positions, so that every scheme sees maps.

    Args:
        num_classes: r, the number of classes.
        norm: name of a scheme in `NORMS`.
        norm_options: options of the scheme; those that are None count as not given.
    Shape: (N, 3, H, W) with H, W >= 8 -> logits (N, num_classes).
    """

    def __init__(self, num_classes: int, norm: str = "layer_pixel", **norm_options: Any) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 2, stride=2)
        self.stem_norm = create_norm(norm, WIDTHS[0], **norm_options)
        self.stages = nn.Sequential()
        for index, channels in enumerate(WIDTHS):
            blocks: list[nn.Module] = [ConvNeXtBlock(channels, norm, **norm_options) for _ in range(BLOCKS)]
            if index:
                blocks.insert(0, Halving(WIDTHS[index - 1], channels, norm, **norm_options))
            self.stages.append(nn.Sequential(*blocks))
        self.norm = create_norm(norm, WIDTHS[-1], **norm_options)
        self.linear = OutputLayer(WIDTHS[-1], num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate activations (N, 128)."""
        features: Tensor = self.norm(self.stages(self.stem_norm(self.stem(x)))).mean((2, 3))
        return features


class ConvNeXtBlock(nn.Module):
    """y = x + conv(gelu(conv(norm(depthwise(x)))))"""

    def __init__(self, channels: int, norm: str, **norm_options: Any) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = create_norm(norm, channels, **norm_options)
        self.widen = nn.Conv2d(channels, 4 * channels, 1)
        self.narrow = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y: Tensor = x + self.narrow(F.gelu(self.widen(self.norm(self.depthwise(x)))))
        return y


class Halving(nn.Module):
    """A norm, and a convolution of 2x2 windows that do not overlap."""

    def __init__(self, in_channels: int, out_channels: int, norm: str, **norm_options: Any) -> None:
        super().__init__()
        self.norm = create_norm(norm, in_channels, **norm_options)
        self.conv = nn.Conv2d(in_channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / 2, W / 2)."""
        y: Tensor = self.conv(self.norm(x))
        return y
