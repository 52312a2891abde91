"""Crop, flip and normalise a batch of images in one pass."""

from normlab.kernels.augment.dispatch import AUGMENT

__all__ = ["AUGMENT"]
