"""Norms without statistics, tanh and erf with a learned scale, in one visit of the map."""

from normlab.kernels.squash import plain as plain  # registers the formula of second derivatives
from normlab.kernels.squash.dispatch import SQUASH

__all__ = ["SQUASH"]
