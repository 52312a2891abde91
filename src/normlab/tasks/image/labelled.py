"""Labelled images that a trained model never saw, read as its card sees the world: its classes, size, mean and std."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from normlab.data.images import ImageDataset, load_images
from normlab.errors import UserError
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.data import ImageData

_SPLIT_FOLDERS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}
_NAMED = 6  # so many classes an error lists


def labelled(config: ImageConfig, card: Mapping[str, Any], split: str, *, whole: bool) -> ImageData:
    """Read the images of a split at `config.data`, labelled by the numbers of the card's classes.

    Args:
        whole: a folder of `<class>/` alone is one split, named `split`, instead of being divided.
    Raises: UserError if there is no such split, or a class that the model does not know.
    """
    dataset = load_images(config.data, size=card["image_size"][0])
    sources = list(dataset.images) if whole and _undivided(config.data) else [split]
    if not set(sources) <= set(dataset.images):
        raise UserError(
            f"{config.data}: has no {split} images of its own, only {', '.join(dataset.images)}: "
            f"give --split {next(iter(dataset.images))}, or the folder with the classes in it"
        )
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


def _undivided(data: str) -> bool:
    path = Path(data).expanduser()
    if not path.is_dir():
        return False
    folders = [entry for entry in path.iterdir() if entry.is_dir()]
    by_split = any(entry.name.lower() in _SPLIT_FOLDERS for entry in folders)
    return bool(folders) and not by_split and not _holds_a_published_form(path)


def _holds_a_published_form(path: Path) -> bool:
    """CIFAR's own folders and parquet files come with their splits."""
    return any(path.glob("*.parquet")) or any(path.glob("*/data_batch_1*")) or any(path.glob("*/train*"))


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
    return [f"{dataset.name}: {note}" for note in getattr(dataset, "notes", ())]


def _absent(labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    absent = [name for number, name in enumerate(classes) if not (labels == number).any()]
    return [f"no image of {_some(absent)}: macro F1 is over the classes that occur"] if absent else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more
