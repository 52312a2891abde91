"""What the networks for images have in common: features, an output layer, and layers whose outputs can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from normlab.nn.output import OutputLinear
from normlab.norms.base import Norm

ActivationPoint = tuple[str, nn.Module, Literal["input", "output"]]


class ImageClassifier(nn.Module):
    """logits = linear(features(x)): a subclass defines `features` and the layer `linear`."""

    linear: nn.Module
    start_images = 0  # how many training images `start_from_images` wants to see

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate activations (N, C): what the output layer reads."""
        raise NotImplementedError

    def start_from_images(self, images: Tensor) -> None:
        """Set what is computed from normalised training images (N, 3, H, W) and not drawn; by default nothing is."""
        return

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, num_classes) of images (N, 3, H, W)."""
        logits: Tensor = self.linear(self.features(x))
        return logits

    def activation_points(self) -> Iterator[ActivationPoint]:
        """Yield (layer, module, "input" or "output"): where a layer's output can be read; by default each norm's.

        A hook on a norm keeps it from running fused with what follows. A network that fuses names other places.
        """
        yield from norm_outputs(self)


class OutputLayer(OutputLinear):
    """A linear layer that a CPU computes in its weights' own type, under autocast too: of so few numbers bfloat16 saves
    nothing, and its products have a set-up that costs a small batch as much as a convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of features (N, C)."""
        if not (x.is_cpu and torch.is_autocast_enabled("cpu")):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


def norm_outputs(model: nn.Module) -> Iterator[ActivationPoint]:
    """Yield the output of every norm layer of a network, by the layer's qualified name; not of norms inside of one."""
    last = None
    for name, module in model.named_modules():
        is_inside = last is not None and name.startswith(f"{last}.")
        if isinstance(module, (Norm, *TORCHS_NORMS)) and not is_inside:
            last = name
            yield name, module, "output"


TORCHS_NORMS = (
    nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm,
)  # fmt: skip
