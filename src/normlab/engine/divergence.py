"""Noticing that training has left the finite numbers, at the step where it happened."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_NEVER = 2**62


class DivergedError(ArithmeticError):
    """The loss became infinite or not a number. The run ends with this as its result."""

    def __init__(self, what: str, epoch: int, step: int) -> None:
        super().__init__(f"{what} is not finite at step {step} (epoch {epoch})")
        self.epoch, self.step = epoch, step


class FiniteWatch:
    """Finds the first step of an epoch whose loss is not finite.

    A CPU computes in step, so there every loss is looked at; a GPU would have to wait, so there the number of the
    first bad step stays on the device until `settle`.
    """

    def __init__(self, device: torch.device, epoch: int) -> None:
        self.epoch = epoch
        self._immediate = device.type == "cpu"
        self._first_bad = torch.full((), _NEVER, dtype=torch.int64, device=device)

    def look(self, loss: Tensor, step: int) -> None:
        """Take note of a step's loss (a detached scalar)."""
        if not self._immediate:
            self._first_bad = torch.minimum(self._first_bad, torch.where(torch.isfinite(loss), _NEVER, step))
        elif not math.isfinite(loss.item()):
            raise DivergedError("the training loss", self.epoch, step)

    def settle(self) -> None:
        """Raise `DivergedError` naming the first bad step, if there was one."""
        step = int(self._first_bad)
        if step != _NEVER:
            raise DivergedError("the training loss", self.epoch, step)
