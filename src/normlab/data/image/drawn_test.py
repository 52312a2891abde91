"""Test images out of the training images, for data that come with none to measure on."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from normlab.data.image.source import Reading
from normlab.data.split import stratified_split
from normlab.errors import UserError

TEST_FRACTION = 1 / 6  # CIFAR's own share
_Example = TypeVar("_Example")


def with_test(
    path: Path, examples: list[tuple[_Example, int]], reading: Reading
) -> tuple[dict[str, list[tuple[_Example, int]]], list[str]]:
    """Return the splits of (example, label) pairs, and a note: a sixth of every class is drawn by the seed for testing.

    With `draw_test: False` all are for training: whoever reads them cuts folds.
    Raises: UserError if no class has two examples.
    """
    if not reading.draw_test:
        return {"train": examples}, []
    parts = stratified_split([label for _, label in examples], TEST_FRACTION, reading.seed)
    train, test = ([examples[index] for index in part] for part in parts)
    if not test:
        raise UserError(f"{path}: one image in each class cannot be split into train and test; add images")
    return {"train": train, "test": test}, ["no test images: a sixth of every class is drawn for testing"]
