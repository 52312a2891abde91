"""Small steps of a residual network, each in one pass over a map."""

from normlab.kernels.maps.dispatch import HALVE, MEAN

__all__ = ["HALVE", "MEAN"]
