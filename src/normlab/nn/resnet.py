"""The residual network of the study: 6n + 2 layers for small images, the same under every normalization.

It is He et al.'s CIFAR network (2016, sec. 4.2): 3x3 convolutions in three stages of 16, 32 and 64 filters,
down-sampling by stride 2, shortcuts without parameters. The names of its convolutions and of its output layer
do not depend on the norm, so that equal seeds mean equal initial weights under every scheme.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from normlab.errors import UserError
from normlab.kernels.conv import CONV
from normlab.kernels.maps import HALVE, MEAN
from normlab.nn.classifier import ActivationPoint, ImageClassifier, OutputLayer
from normlab.norms import NORMS
from normlab.norms.options import create_norm

STAGE_CHANNELS = (16, 32, 64)


class ResNet(ImageClassifier):
    """ResNet with 6n + 2 layers: a convolution, three stages of n blocks, mean pool, a linear layer.

    A norm follows each convolution. With "none" the convolutions have a bias instead, as nothing else would
    supply a shift: C parameters a convolution where an affine norm has 2C. With affine norms and 10 classes
    there are 172,506 parameters at n = 2 and 269,722 at n = 3.

    Without a norm the residual sums add up, by about sqrt(2) a block: on inputs of unit variance the features
    start with a standard deviation of about 1 at n = 2, 3 at n = 3 and in the thousands at n = 9. So small n
    trains from this start, with a smaller learning rate, and large n shows why norms were wanted.

    Args:
        n: residual blocks a stage; the network has 6n + 2 layers.
        num_classes: r, the number of classes.
        norm: name of a scheme in `NORMS`.
        in_channels: of the image.
        norm_options: options of the scheme, e.g. groups=8; those that are None count as not given.
    Shape: (N, in_channels, H, W) with H, W >= 8 -> logits (N, num_classes).
    Raises: UserError if n < 1, num_classes < 2, or the norm or an option of it is unknown.
    """

    norm_channels = STAGE_CHANNELS[0]  # of the norm that is in no block: it follows the first convolution

    def __init__(
        self, n: int, num_classes: int, norm: str = "batch", *, in_channels: int = 3, **norm_options: Any
    ) -> None:
        super().__init__()
        if n < 1:
            raise UserError(
                f"{type(self).__name__}: n={n}, but it is the number of blocks a stage and must be at least 1"
            )
        if num_classes < 2:
            raise UserError(f"{type(self).__name__}: num_classes={num_classes}, but a classifier needs at least 2")
        self.conv = HeConv2d(in_channels, STAGE_CHANNELS[0], norm=norm)
        self.norm = create_norm(norm, self.norm_channels, **norm_options)
        self.stages = nn.Sequential()
        previous = STAGE_CHANNELS[0]
        for channels in STAGE_CHANNELS:
            blocks = [self.block(previous, channels, norm, **norm_options)]
            blocks += [self.block(channels, channels, norm, **norm_options) for _ in range(n - 1)]
            self.stages.append(nn.Sequential(*blocks))
            previous = channels
        self.linear = OutputLayer(previous, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate activations (N, 64): what the output layer reads."""
        return mean_over_positions(self.stages(self.norm.fused(self.conv(x), relu=True)))

    def block(self, in_channels: int, out_channels: int, norm: str, **norm_options: Any) -> nn.Module:
        """Make a block of two convolutions."""
        return ResidualBlock(in_channels, out_channels, norm, **norm_options)

    def activation_points(self) -> Iterator[ActivationPoint]:
        """Yield where a layer's output, after its ReLU, can be read: the next convolution's input.

        The norms run fused with their ReLU, and a hook on a norm would prevent that.
        """
        yield "conv", self.stages, "input"
        for name, block in self.named_modules():
            if isinstance(block, ResidualBlock):
                yield f"{name}.conv1", block.conv2, "input"
                yield f"{name}.conv2", block, "output"


class ResidualBlock(nn.Module):
    """y = relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x))                    (He et al. 2016, fig. 2)

    A scheme that contains its activation stands for norm and ReLU: both ReLUs are left out (`Norm.fused`).
    The first convolution halves H and W when the number of channels grows.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: str, **norm_options: Any) -> None:
        super().__init__()
        self.new_channels = out_channels - in_channels
        self.stride = 2 if self.new_channels else 1
        self.conv1 = HeConv2d(in_channels, out_channels, norm=norm, stride=self.stride)
        self.norm1 = create_norm(norm, out_channels, **norm_options)
        self.conv2 = HeConv2d(out_channels, out_channels, norm=norm)
        self.norm2 = create_norm(norm, out_channels, **norm_options)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, ceil(H / stride), ceil(W / stride))."""
        hidden = self.norm1.fused(self.conv1(x), relu=True)
        return self.norm2.fused(self.conv2(hidden), residual=self.shortcut(x), relu=True)

    def shortcut(self, x: Tensor) -> Tensor:
        """Return x as the sum takes it: see `shortcut`."""
        return shortcut(x, self.stride, self.new_channels)


def shortcut(x: Tensor, stride: int, new_channels: int) -> Tensor:
    """Return x, or every second position of it with zeros for the new channels (option A, sec. 3.3).

    The mean over windows of one pixel, two apart, is x[:, :, ::2, ::2] exactly; unlike the slice's, its
    gradient stays channels-last, which spares the backward pass a copy (5 % of a step on a CPU).
    """
    if stride == 1:
        return x
    result = HALVE.try_call(x, new_channels)
    if result is not None:
        return result
    halved = F.avg_pool2d(x, kernel_size=1, stride=2)
    return F.pad(halved.permute(0, 2, 3, 1), (0, new_channels)).permute(0, 3, 1, 2)


def mean_over_positions(x: Tensor) -> Tensor:
    """Map (N, C, H, W) to (N, C)."""
    pooled = MEAN.try_call(x)
    return x.mean((2, 3)) if pooled is None else pooled


class HeConv2d(nn.Conv2d):
    """3x3 convolution, padded by one, started as N(0, 2 / (9 C_out)), bias 0        (He et al. 2015, eq. 14)

    That is the fan-out form, which keeps the scale of the gradients; the authors' released ResNet code uses
    it too. The fan-in form (eq. 10) differs where C_in and C_out do: the first convolution would start 2.3
    times larger and those that open a stage 1.4 times, which only the network without norms would notice, to
    its harm.
    """

    def __init__(self, in_channels: int, out_channels: int, *, norm: str, stride: int = 1) -> None:
        bias = NORMS.resolve(norm) == "none"
        super().__init__(in_channels, out_channels, 3, stride=stride, padding=1, bias=bias)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve (N, C_in, H, W) with weights that may be computed from the layer's own (`standardized.py`)."""
        result = CONV.try_call(x, weight, bias, self.stride[0])
        return super()._conv_forward(x, weight, bias) if result is None else result

    @property
    def scale_invariant(self) -> bool:
        """Whether a norm follows, so that the output after it does not depend on the weights' scale."""
        return self.bias is None

    def reset_parameters(self) -> None:
        """Draw new weights."""
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)
