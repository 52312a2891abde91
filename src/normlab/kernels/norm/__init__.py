"""Normalization with its residual sum and ReLU in one visit of the map, and the update of running statistics."""

from normlab.kernels.norm.dispatch import NORM, TRACK

__all__ = ["NORM", "TRACK"]
