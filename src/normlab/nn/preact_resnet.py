"""The residual network with norm and ReLU before each convolution, so that nothing stands on the path of the sums."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from normlab.nn.classifier import ActivationPoint
from normlab.nn.resnet import STAGE_CHANNELS, HeConv2d, ResNet, mean_over_positions, shortcut
from normlab.norms.options import create_norm


class PreActResNet(ResNet):
    """ResNet with 6n + 2 layers and pre-activation blocks                       (He et al. 2016: Identity Mappings)

    Depth, widths, shortcuts, start, arguments and shapes are those of `ResNet`; here
    x + conv2(relu(norm2(conv1(relu(norm1(x)))))) is a block, and a norm and a ReLU follow the last one. Without a norm
    the sums grow as they do in `ResNet`.
    """

    norm_channels = STAGE_CHANNELS[-1]  # it follows the last block

    def block(self, in_channels: int, out_channels: int, norm: str, **norm_options: Any) -> nn.Module:
        """Make a pre-activation block."""
        return PreActBlock(in_channels, out_channels, norm, **norm_options)

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate activations (N, 64): what the output layer reads."""
        return mean_over_positions(self.norm.fused(self.stages(self.conv(x)), relu=True))

    def activation_points(self) -> Iterator[ActivationPoint]:
        """Yield each convolution's input, which is a norm's output after its ReLU, by the norm's name."""
        for name, block in self.named_modules():
            if isinstance(block, PreActBlock):
                yield f"{name}.norm1", block.conv1, "input"
                yield f"{name}.norm2", block.conv2, "input"


class PreActBlock(nn.Module):
    """y = conv2(relu(norm2(conv1(relu(norm1(x)))))) + shortcut(x); conv1 halves H and W when the channels grow."""

    def __init__(self, in_channels: int, out_channels: int, norm: str, **norm_options: Any) -> None:
        super().__init__()
        self.new_channels = out_channels - in_channels
        self.stride = 2 if self.new_channels else 1
        self.norm1 = create_norm(norm, in_channels, **norm_options)
        self.conv1 = HeConv2d(in_channels, out_channels, norm=norm, stride=self.stride)
        self.norm2 = create_norm(norm, out_channels, **norm_options)
        self.conv2 = HeConv2d(out_channels, out_channels, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, ceil(H / stride), ceil(W / stride))."""
        return self.branch(x) + shortcut(x, self.stride, self.new_channels)

    def branch(self, x: Tensor) -> Tensor:
        """Return what the block adds to its shortcut."""
        hidden: Tensor = self.conv2(self.norm2.fused(self.conv1(self.norm1.fused(x, relu=True)), relu=True))
        return hidden
