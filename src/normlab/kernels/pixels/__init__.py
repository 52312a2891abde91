"""Normalization of each position over its channels, in one visit of the map."""

from normlab.kernels.pixels.dispatch import PIXELS

__all__ = ["PIXELS"]
