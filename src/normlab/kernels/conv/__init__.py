"""3x3 convolutions of small bfloat16 maps."""

from normlab.kernels.conv.dispatch import CONV

__all__ = ["CONV"]
