"""A small wide network that learns CIFAR-10 in minutes: whitened patches, three stages, pooling by the maximum."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.nn.classifier import ImageClassifier, OutputLayer
from normlab.nn.resnet import HeConv2d
from normlab.norms.base import Norm
from normlab.norms.options import create_norm

WIDTHS = (64, 256, 256)
PATCH = 2
SMALLEST = 9  # pixels: three times halved, one is left
Views = Literal["one", "mirror", "shift"]


class SprintNet(ImageClassifier):
    """Whitening, then three stages of convolution, max pooling, norm, GELU, convolution, norm, GELU; 2 million weights.

    The design follows Jordan 2024 (94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv 2404.00498) and Page 2019
    (How to train your ResNet): the first layer is fixed to filters that whiten 2x2 patches of the training images, and
    the first filters of each convolution start as the identity.

    In evaluation mode features are the mean over several views of an image: itself and its mirror image, and (`shift`)
    with half the weight both of them moved by one pixel up and left, and down and right.

    Args:
        num_classes: r, the number of classes.
        norm: name of a scheme in `NORMS`.
        views: what an answer is the mean of: "one", "mirror" or "shift".
        norm_options: options of the scheme; those that are None count as not given.
    Shape: (N, 3, H, W) with H, W >= 9 -> logits (N, num_classes).
    """

    def __init__(self, num_classes: int, norm: str = "batch", *, views: Views = "shift", **norm_options: Any) -> None:
        super().__init__()
        self.views = views
        self.whiten = Whitening()
        previous = self.whiten.channels
        self.stages = nn.Sequential()
        for channels in WIDTHS:
            self.stages.append(SprintStage(previous, channels, norm, **norm_options))
            previous = channels
        self.linear = SmallOutput(previous, num_classes)

    start_images = 5_000

    def start_from_images(self, images: Tensor) -> None:
        """Compute the first layer's filters from normalised training images (N, 3, H, W)."""
        self.whiten.fit(images)

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate activations (N, 256)."""
        if self.training or self.views == "one":
            return self._features(x)
        centred = self._mirrored(x)
        if self.views == "mirror":
            return centred
        moved = F.pad(x, (1, 1, 1, 1), mode="reflect")
        corners = self._mirrored(moved[..., :-2, :-2]) + self._mirrored(moved[..., 2:, 2:])
        return 0.5 * centred + 0.25 * corners

    def _mirrored(self, x: Tensor) -> Tensor:
        return 0.5 * (self._features(x) + self._features(x.flip(3)))

    def _features(self, x: Tensor) -> Tensor:
        features: Tensor = self.stages(F.gelu(self.whiten(x))).amax((2, 3))
        return features


class SprintStage(nn.Module):
    """y = act(norm(conv(act(norm(pool(conv(x))))))), half the height and width; act is GELU."""

    def __init__(self, in_channels: int, out_channels: int, norm: str, **norm_options: Any) -> None:
        super().__init__()
        self.conv1 = IdentityConv2d(in_channels, out_channels, norm=norm)
        self.norm1 = create_norm(norm, out_channels, **norm_options)
        self.conv2 = IdentityConv2d(out_channels, out_channels, norm=norm)
        self.norm2 = create_norm(norm, out_channels, **norm_options)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H // 2, W // 2)."""
        hidden = _activated(self.norm1, F.max_pool2d(self.conv1(x), 2))
        return _activated(self.norm2, self.conv2(hidden))


def _activated(norm: Norm, x: Tensor) -> Tensor:
    """Return GELU of the norm's output, or that itself of a scheme that contains its activation."""
    y: Tensor = norm(x)
    return y if norm.activates else F.gelu(y)


class Whitening(nn.Module):
    """The principal components of 2x2 patches, scaled to unit variance, and their negatives: fixed after `fit`.

    A GELU behind it loses the sign, so each component comes twice. The bias is trained.
    """

    channels = 2 * 3 * PATCH * PATCH

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(self.channels, 3, PATCH, PATCH))
        self.bias = nn.Parameter(torch.zeros(self.channels))
        self.weight: Tensor

    def reset_parameters(self) -> None:
        """Set the bias to zero."""
        nn.init.zeros_(self.bias)

    @torch.no_grad()
    def fit(self, images: Tensor, eps: float = 5e-4) -> None:
        """Compute the filters from images (N, 3, H, W); `eps` is added to each component's variance."""
        patches = F.unfold(images.double(), PATCH).transpose(1, 2).flatten(0, 1)
        variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (components / (variances + eps).sqrt()).T.reshape(-1, 3, PATCH, PATCH)
        self.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 24, H - 1, W - 1)."""
        return F.conv2d(x, self.weight, self.bias)


class IdentityConv2d(HeConv2d):
    """A 3x3 convolution whose first filters start as copies of the input, the others at random."""

    def reset_parameters(self) -> None:
        """Draw new weights."""
        nn.Conv2d.reset_parameters(self)
        nn.init.dirac_(self.weight.data[: self.in_channels])
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class SmallOutput(OutputLayer):
    """An output layer that starts with small weights, N(0, 1 / C^2): the first answers are nearly even."""

    def reset_parameters(self) -> None:
        """Draw new weights."""
        nn.init.normal_(self.weight, std=1 / self.in_features)
        nn.init.zeros_(self.bias)
