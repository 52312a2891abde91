"""Labelled images that a trained model never saw, read as its card sees the world: its classes, size, mean and std."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from normlab.data.image.folder import FOLDER_KIND, split_folders
from normlab.data.image.images import ImageDataset, load_images, open_source
from normlab.errors import UserError
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.data import ImageData

_NAMED = 6  # so many classes an error lists


def labelled(config: ImageConfig, card: Mapping[str, Any], split: str, *, whole: bool) -> ImageData:
    """Read the images of a split at `config.data`, labelled by the numbers of the card's classes.

    Args:
        whole: a folder of `<class>/` alone is one split, named `split`, instead of being divided.
    Raises: UserError if there is no such split, or a class that the model does not know.
    """
    size = card["image_size"][0]
    own = _own_splits(config.data, size)
    dataset = load_images(config.data, size=size)
    if whole and own == []:
        sources = list(dataset.images)
    else:
        available = list(dataset.images) if own is None else own
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


def _own_splits(data: str, size: int) -> list[str] | None:
    """Return the splits that a folder of images has folders for; None for other forms, which come with their splits."""
    if open_source(data, size=size).kind != FOLDER_KIND:
        return None
    return list(split_folders(Path(data).expanduser()))


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
