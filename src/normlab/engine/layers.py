"""Per layer and epoch: the norms of weights and gradients, and the effective learning rate.

Where a norm follows a layer, the loss does not depend on the scale of the layer's weights w: only their direction is
learnt. The gradient is then in proportion to 1 / |w|, and a step of SGD turns w by an angle in proportion to
lr / |w|^2, the effective learning rate (van Laarhoven 2017, arXiv 1706.05350; Hoffer et al. 2018, arXiv 1803.01814).
Weight decay acts through it: it keeps |w| small and so the step large.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from normlab.runs import RunFolder, flat_layers


class LayerRecord:
    """Collects an epoch's numbers by layer and writes them to `layers.jsonl`; does nothing unless switched on."""

    def __init__(self, model: nn.Module, folder: RunFolder, *, on: bool) -> None:
        self.model, self.folder, self.on = model, folder, on
        self._gradients = GradientNorms(model)
        self._measured: dict[str, dict[str, Any]] = {}

    def look(self) -> None:
        """Add a step's gradients, before they are clipped."""
        if self.on:
            self._gradients.look()

    def take(self, tables: Mapping[str, Any]) -> None:
        """Keep what a task measured by layer: the table "layers" of an evaluation, if there is one."""
        self._measured = tables.get("layers", {})

    def write(self, epoch: int, lr: float) -> dict[str, float]:
        """Append the epoch to the run's `layers.jsonl` and return it flat, "layers/NAME/QUANTITY" -> number."""
        if not self.on:
            return {}
        layers: dict[str, dict[str, Any]] = {}
        for part in (self._measured, self._gradients.read(), weight_norms(self.model, lr)):
            for layer, values in part.items():
                layers.setdefault(layer, {}).update(values)
        record = {"epoch": epoch, "layers": layers}
        self.folder.append_layers(record)
        return flat_layers(record)


class GradientNorms:
    """The mean over steps of each weight's gradient norm, kept on the device: no step waits to read it.

    Weights are the trainable parameters with two axes or more, as `weights_of` names them.
    """

    def __init__(self, model: nn.Module) -> None:
        self._weights = {layer: weight for layer, (_, weight) in weights_of(model).items()}
        self._sum: Tensor | None = None
        self._steps = torch.zeros(())

    def look(self) -> None:
        """Add the norms of the gradients that a backward pass has left; a weight without one counts as zero."""
        gradients = (weight.new_zeros(()) if weight.grad is None else weight.grad for weight in self._weights.values())
        norms = torch.stack([torch.linalg.vector_norm(_values(gradient)) for gradient in gradients])
        if self._sum is None:
            self._sum, self._steps = torch.zeros_like(norms), norms.new_zeros(())
        # In place, the count too: a recorded step cannot run Python.
        self._sum += norms
        self._steps += 1

    def read(self) -> dict[str, dict[str, float]]:
        """Return layer -> {"gradient_norm": mean since the last call}, and reset; this waits for the device."""
        if self._sum is None:
            return {}
        *means, steps = torch.cat([self._sum / self._steps, self._steps[None]]).tolist()
        self._sum.zero_()
        self._steps.zero_()
        if not steps:
            return {}
        return {layer: {"gradient_norm": mean} for layer, mean in zip(self._weights, means, strict=True)}


def weight_norms(model: nn.Module, lr: float) -> dict[str, dict[str, float]]:
    """Return layer -> {"weight_norm": |w|}, with {"effective_lr": lr / |w|^2} where the loss ignores w's scale.

    A module declares this with the attribute `scale_invariant`.
    """
    by_layer = {}
    for layer, (module, weight) in weights_of(model).items():
        norm = float(torch.linalg.vector_norm(weight.detach()))
        by_layer[layer] = {"weight_norm": norm}
        if norm > 0 and getattr(module, "scale_invariant", False):
            by_layer[layer]["effective_lr"] = lr / norm**2
    return by_layer


def weights_of(model: nn.Module) -> dict[str, tuple[nn.Module, nn.Parameter]]:
    """Return the trainable parameters with two axes or more, each with its module.

    One called "weight" goes by its module's qualified name ("stages.0.0.conv1"), any other by its own.
    """
    weights = {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter.dim() >= 2:
                parts = [path] if name == "weight" and path else [path, name]
                weights[".".join(part for part in parts if part)] = (module, parameter)
    return weights


def _values(gradient: Tensor) -> Tensor:
    """Return the values whose norm is taken: of a sparse gradient its rows, each counted once."""
    return gradient.coalesce().values() if gradient.is_sparse else gradient
