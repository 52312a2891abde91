"""What is exported of an image model, and the images with which the export is compared.

The exported program takes uint8 images and normalises them itself, so that nobody has to repeat mean and standard
deviation. It is recorded by torch.export, under which no compiled kernel and no autograd function of our own runs
(`kernels/runtime/guards.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normlab.apps.export.program import Exportable
from normlab.engine.api import Run
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.image.data import ImageData

BATCH = 256
GENERATED = 256  # images that are compared where the validation split is not at hand


class ImageProgram(nn.Module):
    """Images (N, 3, S, S), uint8 -> logits (N, classes), float32."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: Mapping[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(card["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(card["std"]).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.network((images.float() - self.mean) / self.std)
        return logits


def image_export(run: Run) -> Exportable:
    """Return a run's network as a program for any number of images."""
    card = run.folder.card()
    images, described = comparison_images(run)
    height, width = card["image_size"]
    return Exportable(
        program=ImageProgram(run.model.cpu().float(), card).eval(),
        inputs=("images",),
        output="logits",
        example=(torch.zeros(2, 3, height, width, dtype=torch.uint8),),
        dynamic=({0: torch.export.Dim("batch")},),
        batches=[(images[start : start + BATCH],) for start in range(0, len(images), BATCH)],
        described=described,
        about={
            "labels": card["classes"],
            "inputs": "images: uint8 (N, 3, height, width), RGB; the program normalises them",
            **{name: card[name] for name in ("image_size", "mean", "std", "background") if name in card},
        },
    )


def comparison_images(run: Run) -> tuple[np.ndarray, str]:
    """Return uint8 images (N, 3, S, S) and what they are in words: the validation split, or generated ones."""
    card = run.folder.card()
    try:
        data: ImageData = run.task.prepare(run.config)
    except UserError as error:
        size = card["image_size"]
        images = np.random.default_rng(0).integers(0, 256, (GENERATED, 3, *size), dtype=np.uint8)
        return images, f"{GENERATED} generated images (the data are not at hand: {error})"
    if data.fingerprint != card.get("fingerprint"):
        size = card["image_size"]
        images = np.random.default_rng(0).integers(0, 256, (GENERATED, 3, *size), dtype=np.uint8)
        return images, f"{GENERATED} generated images (the data have changed since training)"
    source, rows = data.rows["val"]
    return data.images[source][rows].numpy(), f"the validation split of {plural(len(rows), 'image')}"
