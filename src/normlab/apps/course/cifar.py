"""The image assignment: a ResNet of 6n+2 layers under one of seven normalizations, on CIFAR-10 or any images.

The protocol is the assignment's: batch 128, 100 epochs, SGD from 0.1, 10,000 of CIFAR-10's training images to choose
the epoch by, the test images read once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from normlab.apps.course.model import open_model, refuse_other_model
from normlab.apps.course.training import settings_of
from normlab.errors import UserError
from normlab.plurals import plural

if TYPE_CHECKING:
    from normlab.tasks.image.config import ImageConfig

NORMALIZATIONS = {  # the assignment's name -> normlab's
    "bn": "batch",
    "in": "instance",
    "bin": "batch_instance",
    "ln": "layer",
    "gn": "group",
    "nn": "none",
    "inbuilt": "torch_batch",
    "torch_bn": "torch_batch",
}
FIXED = ("norm", "data", "n")  # settings that the published flags stand for


def training_settings(
    normalization: str, data_dir: str, *, n: int | None, scale: str | None, further: Mapping[str, Any]
) -> ImageConfig:
    """Return the settings of `train_cifar`."""
    published = {"norm": NORMALIZATIONS[normalization], "data": data_dir, "n": n}
    return cast("ImageConfig", settings_of("image", scale, published, further))


def refuse_other_count(config: ImageConfig, r: int | None) -> None:
    """Raise `UserError` if the data have another number of classes than `--r` says."""
    if r is None:
        return
    from normlab.data.image.images import load_images

    classes = load_images(config.data, size=config.image_size, seed=config.seed).classes
    if len(classes) != r:
        raise UserError(
            f"--r {r}: {config.data} has {plural(len(classes), 'class', 'classes')} of images: give that, or leave "
            "--r out"
        )


def classify(
    model_file: Path,
    test_data_file: Path,
    output_file: Path,
    *,
    normalization: str | None = None,
    n: int | None = None,
    device: str | None = None,
) -> int:
    """Write the class number of each image, one a line, in the order of the input; return their number.

    Args:
        test_data_file: a CSV, 3,072 integers a row; or an image, or a folder of images of any size, sorted by path.
        normalization, n: what the model was trained with; None: not compared.
    Raises: UserError if the model is another, or an image cannot be read.
    """
    run = open_model(model_file, "image", device=device)
    config = cast("ImageConfig", run.config)
    trained_with = next((name for name, scheme in NORMALIZATIONS.items() if scheme == config.norm), config.norm)
    given = trained_with if NORMALIZATIONS.get(normalization or "") == config.norm else normalization
    refuse_other_model(model_file, normalization=(given, trained_with), n=(n, config.n))
    return run.predict_to(test_data_file, output_file, "course")
