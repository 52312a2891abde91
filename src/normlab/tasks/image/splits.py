"""Which images a run trains on, picks its epoch by, and is tested on.

Given parts stay as they are. What is drawn depends on the seed alone, so runs that differ in scheme see the same parts.
With `folds: K` the seed is the fold: seeds 0 to K-1 test each image once, the next K seeds do so with another division.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from normlab.data.batching import epoch_order
from normlab.data.image.images import ImageDataset, load_images
from normlab.data.image.source import SPLITS
from normlab.data.split import stratified_folds, stratified_split, train_validation_split
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.image.config import ImageConfig

Rows = npt.NDArray[np.int64]


class Splits(NamedTuple):
    """Split -> (the part of the data set that holds it, row numbers), and a note for people, "" for none."""

    rows: dict[str, tuple[str, Rows]]
    note: str = ""


def read_images(config: ImageConfig) -> ImageDataset:
    """Read a run's data set; where folds are asked for, no test images are drawn: a fold serves."""
    return load_images(
        config.data,
        size=config.image_size,
        background=config.background,
        draw_test=config.folds is None,
        skip_broken=config.skip_broken,
    )


def choose_rows(dataset: ImageDataset, config: ImageConfig) -> Splits:
    """Divide a data set as the settings say.

    Raises: UserError if too few images are left for a part, or nothing is left to fold.
    """
    train = np.arange(len(dataset.labels["train"]))
    rows: dict[str, tuple[str, Rows]] = {
        split: (split, np.arange(len(dataset.labels[split]))) for split in ("val", "test") if split in dataset.labels
    }
    note = ""
    if config.folds is not None:
        split, train, held = _fold(dataset, rows, config, config.folds)
        rows[split] = ("train", held)
        about = "tested on" if split == "test" else "validated on"
        note = f"fold {config.seed % config.folds + 1} of {config.folds}: {about} {len(held)} of the training images"
    if "val" not in rows:
        train, held = _validation(dataset, train, config)
        rows["val"] = ("train", held)
    if config.limit_train is not None and config.limit_train < len(train):
        train = np.sort(train[epoch_order(len(train), config.seed, "limit_train")[: config.limit_train]])
    rows["train"] = ("train", train)
    return Splits({split: rows[split] for split in SPLITS if split in rows}, note)


def balanced_weights(labels: npt.NDArray[np.int64], classes: int) -> list[float]:
    """Return a weight for each class, n / (K n_c): every one of the K classes that occur weighs the same in all.

    Args:
        labels: of the training part, (n,). A class without images gets 0.
    """
    counts = np.bincount(labels, minlength=classes)
    present = int((counts > 0).sum())
    return [len(labels) / (present * int(count)) if count else 0.0 for count in counts]


def _fold(dataset: ImageDataset, given: Container[str], config: ImageConfig, folds: int) -> tuple[str, Rows, Rows]:
    """Return which split the fold is, the other training images, and those of the fold."""
    if "val" in given and "test" in given:
        raise UserError(
            f"folds: {config.data} has validation and test images of its own, so there is nothing to fold: leave it out"
        )
    labels = dataset.labels["train"]
    if folds > len(labels):
        raise UserError(f"folds: {folds} of {plural(len(labels), 'image')}: give fewer folds")
    fold_of = stratified_folds(labels, folds, seed=config.seed // folds)
    split = "val" if "test" in given else "test"
    here = fold_of == config.seed % folds
    return split, np.flatnonzero(~here), np.flatnonzero(here)


def _validation(dataset: ImageDataset, train: Rows, config: ImageConfig) -> tuple[Rows, Rows]:
    """Hold validation images out of the training images; return (kept, held) rows."""
    total = len(train)
    validation = round(config.validation * total) if config.validation < 1 else int(config.validation)
    if not 0 < validation < total:
        raise UserError(
            f"validation: {config.validation:g} of {plural(total, 'training image')} leaves {total - validation} to "
            "train on: give a fraction below 1 or a smaller count"
        )
    if config.stratified or config.folds is not None:
        share = config.validation if config.validation < 1 else validation / total
        kept, held = stratified_split(dataset.labels["train"][train], share, config.seed)
        if not len(held):
            raise UserError("stratified: one image in each class cannot be split into train and validation; add images")
    else:
        kept, held = train_validation_split(total, validation, config.seed)
    return train[kept], train[held]
