"""Labelled images that a trained model never saw, read with its card: its classes, image size, mean and std."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from normlab.data.image.images import ImageDataset, load_images
from normlab.errors import UserError
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.data import ImageData

_NAMED = 6  # classes that an error lists


def labelled(config: ImageConfig, card: Mapping[str, Any], split: str, *, whole: bool) -> ImageData:
    """Read the images of a split at `config.data`, labelled by the numbers of the card's classes.

    Args:
        whole: a folder of `<class>/` alone is one split, named `split`, instead of being divided.
    Raises: UserError if there is no such split, or a class that the model does not know.
    """
    size = card["image_size"][0]
    dataset = load_images(config.data, size=size, background=config.background, skip_broken=config.skip_broken)
    if whole and dataset.own_splits == ():
        sources = list(dataset.images)
    else:
        available = list(dataset.images if dataset.own_splits is None else dataset.own_splits)
        if split not in available:
            drawn = "they would be drawn from images that training may have seen"
            have = f"only {', '.join(available)}" if available else drawn
            raise UserError(
                f"{config.data}: has no {split} images of its own, {have}: give --data a folder of <class>/"
            )
        sources = [split]
    pixels = np.concatenate([dataset.images[source] for source in sources])
    numbers = np.concatenate([dataset.labels[source] for source in sources])
    labels = _numbers_by_name(dataset.classes, card["classes"], config.data)[numbers]
    return ImageData(
        card={**card, "data": dataset.name, "notes": [*_notes(dataset), *_absent(labels, card["classes"])]},
        fingerprint=dataset.fingerprint,
        sizes={split: len(labels)},
        images={split: torch.from_numpy(pixels)},
        labels={split: torch.from_numpy(labels)},
        rows={split: (split, torch.arange(len(labels)))},
    )


def _numbers_by_name(names: Sequence[str], known: Sequence[str], data: str) -> np.ndarray:
    """Return, for each class of the data, its number in the model."""
    unknown = [name for name in names if name not in known]
    if unknown:
        missing = [name for name in known if name not in names]
        rest = f", and the model's {_some(missing)} not in the data" if missing else ""
        raise UserError(
            f"{data}: the model does not know the classes {_some(unknown)}{rest}: give data of its classes, "
            f"{_some(known)}"
        )
    return np.array([list(known).index(name) for name in names], dtype=np.int64)


def _notes(dataset: ImageDataset) -> list[str]:
    return [f"{dataset.name}: {note}" for note in dataset.notes]


def _absent(labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    absent = [name for number, name in enumerate(classes) if not (labels == number).any()]
    return [f"no image of {_some(absent)}: macro F1 is over the classes that occur"] if absent else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more
