"""Statistics of every layer's output while a network is evaluated; activations are not stored.

In a residual network a layer is a convolution with its norm, its shortcut if there is one, and its ReLU: its output is
the input of the next convolution. The norms run fused with their ReLU, and a hook on a norm would prevent that. So the
hooks are on the next module, whose input is the same tensor: nothing is copied, and the same kernels run. Of a network
that is not normlab's the outputs of its norms are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from normlab.nn.classifier import ActivationPoint, ImageClassifier, norm_outputs
from normlab.tasks.image.distributions.gates import gate_histograms
from normlab.tasks.image.distributions.sketch import PercentileSketch


class LayerWatch:
    """Percentiles and dead channels of every layer's output over all inputs of a network inside `with`.

        with LayerWatch(model, (1, 20, 80, 99)) as watch:
            for images in batches:
                model(images)
        watch.summary()["stages.2.1.conv2"]["p99"]

    Args:
        model: the network; its results do not change.
        levels: percentiles, whole numbers from 0 to 99.
    """

    def __init__(self, model: nn.Module, levels: Sequence[int]) -> None:
        self.model, self.levels = model, tuple(levels)
        self.sketches = {layer: PercentileSketch() for layer, _, _ in activation_points(model)}
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        for layer, module, side in activation_points(self.model):
            update = self.sketches[layer].update
            if side == "input":
                self._hooks.append(module.register_forward_pre_hook(_input_hook(update)))
            else:
                self._hooks.append(module.register_forward_hook(_output_hook(update)))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    @property
    def dead_share(self) -> float:
        """The share of all layers' channels whose output was zero everywhere."""
        seen = [sketch for sketch in self.sketches.values() if sketch.channels]
        if not seen:
            return 0.0
        return sum(sketch.dead_share * sketch.channels for sketch in seen) / sum(sketch.channels for sketch in seen)

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return layer -> {"p01", "p20", ..., "dead"}, and the gates if the norm has them.

        A layer of a residual network goes by its convolution's qualified name, one of another by its norm's; "dead"
        is the share of its channels whose output was zero at every position of every image.
        """
        by_layer: dict[str, dict[str, Any]] = {}
        for layer, sketch in self.sketches.items():
            if not sketch.channels:  # the network did not run it
                continue
            values = sketch.percentiles(self.levels)
            by_layer[layer] = {f"p{level:02d}": value for level, value in zip(self.levels, values, strict=True)}
            by_layer[layer]["dead"] = sketch.dead_share
        for norm, gates in gate_histograms(self.model).items():
            layer = norm if norm in by_layer else norm.replace("norm", "conv")
            by_layer[layer] = by_layer.get(layer, {}) | gates
        return by_layer


def activation_points(model: nn.Module) -> list[ActivationPoint]:
    """Return where the layers' outputs can be read: what the network says, or each norm's output."""
    return list(model.activation_points() if isinstance(model, ImageClassifier) else norm_outputs(model))


def _input_hook(update: Any) -> Any:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        update(inputs[0])

    return hook


def _output_hook(update: Any) -> Any:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        is_last = isinstance(module, nn.LayerNorm | nn.RMSNorm) and len(module.normalized_shape) == 1
        update(output.movedim(-1, 1) if is_last else output)

    return hook
