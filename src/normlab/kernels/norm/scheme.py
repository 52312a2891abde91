"""How a normalization scheme is described to every implementation: which planes (n, c) share statistics."""

from __future__ import annotations

from typing import NamedTuple

BATCH, GROUPS, MIX = range(3)  # as in norm.cpp


class Scheme(NamedTuple):
    """Which planes share statistics, and what follows the norm.

    Attributes:
        kind: BATCH, GROUPS (of channels in each sample) or MIX (of batch and instance norm by a gate).
        groups: read by GROUPS; 1 is layer norm, C instance norm.
        given: the batch's statistics are arguments (evaluation), not taken from x.
        eps: added to the variance.
        relu: whether a ReLU follows.
    """

    kind: int
    groups: int
    given: bool
    eps: float
    relu: bool
