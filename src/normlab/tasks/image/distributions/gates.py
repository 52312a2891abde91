"""Where the gates of batch-instance norm stand, layer by layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from normlab.norms.batch_instance import BatchInstanceNorm

GATE_BINS = 10


def gate_histograms(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Return what the gates of every batch-instance norm say, by the norm's qualified name.

    Returns: {"gate": the number of gates in ten bins of equal width over [0, 1], the last one closed,
        "gate_at_0": how many stand at 0, "gate_at_1": how many stand at 1} for each; empty for other schemes.
    Source: Nam & Kim 2018, who look at such histograms after training.
    """
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, BatchInstanceNorm):
            bins = torch.histc(module.gate.detach().float().clamp(0, 1), bins=GATE_BINS, min=0, max=1)
            at_0, at_1 = module.gates_at_bounds()
            found[name] = {"gate": [int(n) for n in bins.tolist()], "gate_at_0": at_0, "gate_at_1": at_1}
    return found
