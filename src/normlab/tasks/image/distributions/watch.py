"""Listen to every layer of a residual network while it is evaluated; keep tables, never activations.

A layer is a convolution with its norm, its shortcut if there is one, and its ReLU: what is measured is what the next
convolution reads. The norms run fused with their ReLU, so a hook on a norm would force the slow path. The same tensor
passes the next module's door, and there we look at it: no value is copied and no path changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from normlab.nn.resnet import ResidualBlock, ResNet
from normlab.tasks.image.distributions.gates import gate_histograms
from normlab.tasks.image.distributions.sketch import PercentileSketch


class LayerWatch:
    """Percentiles and dead channels of every layer's output over all that a network reads inside `with`.

        with LayerWatch(model, (1, 20, 80, 99)) as watch:
            for images in batches:
                model(images)
        watch.summary()["stages.2.1.conv2"]["p99"]

    Args:
        model: the network; it is evaluated as ever.
        levels: percentiles, whole numbers from 0 to 99.
    """

    def __init__(self, model: ResNet, levels: Sequence[int]) -> None:
        self.model, self.levels = model, tuple(levels)
        self.sketches = {layer: PercentileSketch() for layer, _, _ in activation_points(model)}
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        for layer, module, side in activation_points(self.model):
            update = self.sketches[layer].update
            if side == "input":
                self._hooks.append(module.register_forward_pre_hook(_input_listener(update)))
            else:
                self._hooks.append(module.register_forward_hook(_output_listener(update)))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    @property
    def dead_share(self) -> float:
        """The share of all layers' channels whose output was zero everywhere."""
        widths = {name: module.out_channels for name, module in convolutions(self.model)}
        dead = sum(sketch.dead_share * widths[layer] for layer, sketch in self.sketches.items())
        return dead / sum(widths.values())

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return layer -> {"p01", "p20", ..., "dead"}, and the gates where the norm has them.

        A layer goes by its convolution's qualified name; "dead" is the share of its channels whose output was zero
        at every position of every image.
        """
        found: dict[str, dict[str, Any]] = {}
        for layer, sketch in self.sketches.items():
            values = sketch.percentiles(self.levels)
            found[layer] = {f"p{level:02d}": value for level, value in zip(self.levels, values, strict=True)}
            found[layer]["dead"] = sketch.dead_share
        for norm, gates in gate_histograms(self.model).items():
            found[norm.replace("norm", "conv")] |= gates
        return found


def convolutions(model: ResNet) -> Iterator[tuple[str, nn.Conv2d]]:
    """Yield the convolutions with their qualified names, from the input to the output."""
    yield from ((name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d))


def activation_points(model: ResNet) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield (layer, module, "input" or "output"): where a layer's activations, after its ReLU, can be met."""
    yield "conv", model.stages, "input"
    for name, block in model.named_modules():
        if isinstance(block, ResidualBlock):
            yield f"{name}.conv1", block.conv2, "input"
            yield f"{name}.conv2", block, "output"


def _input_listener(update: Any) -> Any:
    def listen(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        update(inputs[0])

    return listen


def _output_listener(update: Any) -> Any:
    def listen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        update(output)

    return listen
