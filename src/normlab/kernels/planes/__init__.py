"""Functions of x and of numbers of each plane, among them its mean and variance: schemes that are no plain norm."""

from normlab.kernels.planes.dispatch import PLANES
from normlab.kernels.planes.forms import AFFINE, CENTRED, FLOOR, QUOTIENT, SWISH, Form, Tables, plain_planes

__all__ = ["AFFINE", "CENTRED", "FLOOR", "PLANES", "QUOTIENT", "SWISH", "Form", "Tables", "plain_planes"]
