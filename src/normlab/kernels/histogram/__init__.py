"""Counting the values of a map, from which percentiles of features are read."""

from normlab.kernels.histogram.dispatch import HISTOGRAM, PATTERNS

__all__ = ["HISTOGRAM", "PATTERNS"]
