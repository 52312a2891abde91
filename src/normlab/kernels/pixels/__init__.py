"""Normalization of each position over its channels, in one visit of the map."""

from normlab.kernels.pixels import plain as plain  # registers the formula of second derivatives
from normlab.kernels.pixels.dispatch import PIXELS

__all__ = ["PIXELS"]
