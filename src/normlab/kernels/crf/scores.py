"""What the kernels and the reference of the CRF share: illegal transitions, and the reduction over a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# A finite stand-in for -inf: no NaN in gradients, exp() is exactly 0, and thousands of them still sum in float32.
FORBIDDEN = -1e30  # kImpossible in crf.cpp
REDUCTIONS = ("none", "sum", "mean", "token_mean")  # as in glue_crf.h

Scores = tuple[Tensor, Tensor, Tensor]  # start (K,), transitions (K, K), end (K,)
Legal = tuple[Tensor | None, Tensor | None, Tensor | None]  # booleans of the same shapes; None: all are legal


def constrained(scores: Sequence[Tensor], legal: Sequence[Tensor | None]) -> Scores:
    """Return the scores with FORBIDDEN where a transition is illegal."""
    start, transitions, end = (
        values if ok is None else values.masked_fill(~ok, FORBIDDEN) for values, ok in zip(scores, legal, strict=True)
    )
    return start, transitions, end


def full_mask(emissions: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mask (B, T); None means that all positions are real."""
    return torch.ones(emissions.shape[:2], dtype=torch.bool, device=emissions.device) if mask is None else mask


def reduced(losses: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
    """Reduce the losses (B,) of sentences as one of REDUCTIONS says."""
    if reduction == "none":
        return losses
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    assert reduction == "token_mean"
    assert mask is not None
    return losses.sum() / mask.sum()
