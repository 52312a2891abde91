"""An epoch's sums in tensors on the device, so that no step waits for them.

The tensors keep their addresses, so that a recorded step (`engine.graphs`) can add to them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Tally:
    """Sums by name over the steps of an epoch."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def begin(self) -> None:
        """Start an epoch: every sum is 0."""
        for total in self._sums.values():
            total.zero_()

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add a step's sums (scalars without gradient)."""
        for name, value in values.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value)
            self._sums[name] += value

    def sums(self) -> dict[str, Tensor]:
        """Return the sums of the epoch so far, still on the device."""
        return dict(self._sums)
