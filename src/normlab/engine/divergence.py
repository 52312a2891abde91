"""Detect a loss that is not finite, and the step at which it occurred."""

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

    On a CPU every loss is checked at once. Reading a loss from a GPU would wait for it, so there the number of the
    first bad step stays on the device until `raise_if_diverged`.
    """

    def __init__(self, device: torch.device) -> None:
        self.epoch = 0
        self._immediate = device.type == "cpu"
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
        if not self._immediate:
            bad = torch.where(torch.isfinite(loss), self._never, self._step)
            torch.minimum(self._first_bad, bad, out=self._first_bad)
        elif not math.isfinite(loss.item()):
            raise DivergedError("the training loss", self.epoch, int(self._step))

    def raise_if_diverged(self) -> None:
        """Raise `DivergedError` naming the first bad step, if there was one."""
        step = int(self._first_bad)
        if step != _NEVER:
            raise DivergedError("the training loss", self.epoch, step)
