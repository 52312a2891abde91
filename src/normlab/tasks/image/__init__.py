"""Image classification by a residual network of 6n+2 layers under any normalization scheme."""

from normlab.tasks.image.task import ImageTask

TASK = ImageTask()

__all__ = ["TASK", "ImageTask"]
