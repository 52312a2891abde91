"""Detect a loss that is not finite, the step at which it occurred, and the layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

_NEVER = 2**62


class DivergedError(ArithmeticError):
    """The loss became infinite or not a number. The run ends with this as its result."""

    def __init__(self, what: str, epoch: int, step: int, where: str = "") -> None:
        super().__init__(f"{what} is not finite at step {step} (epoch {epoch}){where and f': {where}'}")
        self.what, self.epoch, self.step, self.where = what, epoch, step, where

    def with_place(self, where: str) -> DivergedError:
        """Return the same error that says where numbers stopped being finite, see `first_not_finite`."""
        return DivergedError(self.what, self.epoch, self.step, where)


class FiniteWatch:
    """Finds the first step of an epoch whose loss is not finite.

    On a CPU every loss is checked at once. Reading a loss from a GPU would wait for it, so there the number of the
    first bad step stays on the device until `raise_if_diverged`.
    """

    def __init__(self, device: torch.device, *, immediate: bool | None = None) -> None:
        """Watch losses on a device; `immediate` (None: on a CPU) reads each of them at once, on a GPU at its price."""
        self.epoch = 0
        self.immediate = device.type == "cpu" if immediate is None else immediate
        # Tensors that keep their addresses: a recorded CUDA graph refers to them.
        self._step = torch.zeros((), dtype=torch.int64, device=device)
        self._never = torch.full_like(self._step, _NEVER)
        self._first_bad = self._never.clone()

    def begin(self, epoch: int, step: int) -> None:
        """Start an epoch, after `step` steps of the run."""
        self.epoch = epoch
        self._step.fill_(step)
        self._first_bad.fill_(_NEVER)

    def look(self, loss: Tensor) -> None:
        """Check the next step's loss (a detached scalar)."""
        self._step += 1
        if not self.immediate:
            bad = torch.where(torch.isfinite(loss), self._never, self._step)
            torch.minimum(self._first_bad, bad, out=self._first_bad)
        elif not math.isfinite(loss.item()):
            raise DivergedError("the training loss", self.epoch, int(self._step))

    def raise_if_diverged(self) -> None:
        """Raise `DivergedError` naming the first bad step, if there was one."""
        step = int(self._first_bad)
        if step != _NEVER:
            raise DivergedError("the training loss", self.epoch, step)


def first_not_finite(model: nn.Module, forward: Callable[[], object]) -> str:
    """Say where a forward pass stops being finite: in the weights, in or before a layer, or in the loss alone.

    Args:
        forward: computes what was not finite, the loss of a batch or of a split; gradients are not computed.
    """
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"the step before left {name} with values that are not finite"
    found: list[str] = []

    def look(name: str, module: nn.Module) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if found:
                return
            kind = type(module).__name__
            if not all(map(_is_finite, _tensors(inputs))):
                found.append(f"first in the input of {name} ({kind})")
            elif not all(map(_is_finite, _tensors(output))):
                found.append(f"first in the output of {name} ({kind})")

        return hook

    layers = [(name or "the model", module) for name, module in model.named_modules() if not any(module.children())]
    handles = [module.register_forward_hook(look(name, module)) for name, module in layers]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "in the loss alone, behind finite layers"


def _is_finite(values: Tensor) -> bool:
    return not values.is_floating_point() or bool(torch.isfinite(values).all())


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)
