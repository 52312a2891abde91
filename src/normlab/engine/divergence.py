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

    def __init__(self, device: torch.device) -> None:
        self.epoch = 0
        self._immediate = device.type == "cpu"
        # Tensors that stay where they are: a recorded step counts on them.
        self._step = torch.zeros((), dtype=torch.int64, device=device)
        self._never = torch.full_like(self._step, _NEVER)
        self._first_bad = self._never.clone()

    def begin(self, epoch: int, step: int) -> None:
        """Start an epoch, after `step` steps of the run."""
        self.epoch = epoch
        self._step.fill_(step)
        self._first_bad.fill_(_NEVER)

    def look(self, loss: Tensor) -> None:
        """Take note of the next step's loss (a detached scalar)."""
        self._step += 1
        if not self._immediate:
            bad = torch.where(torch.isfinite(loss), self._never, self._step)
            torch.minimum(self._first_bad, bad, out=self._first_bad)
        elif not math.isfinite(loss.item()):
            raise DivergedError("the training loss", self.epoch, int(self._step))

    def settle(self) -> None:
        """Raise `DivergedError` naming the first bad step, if there was one."""
        step = int(self._first_bad)
        if step != _NEVER:
            raise DivergedError("the training loss", self.epoch, step)
