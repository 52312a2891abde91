"""The layer whose outputs are a model's scores."""

from torch import nn


class OutputLinear(nn.Linear):
    """A linear layer that is not hidden, (..., C) -> (..., K) scores: `engine.muon` leaves it alone."""

    is_output = True
