"""Norms without statistics, tanh and erf with a learned scale, in one visit of the map."""

from normlab.kernels.squash.dispatch import SQUASH

__all__ = ["SQUASH"]
