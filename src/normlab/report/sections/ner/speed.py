"""Words per second: training, and tagging with decoding and probabilities."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from normlab.report.blocks import Cell, Column, Section, Table
from normlab.report.numbers import DASH, count
from normlab.report.tagged import SPLIT_NAMES, measured_split
from normlab.report.view import CellView, StudyView, Variant

_HELP = (
    "Medians over a variant's runs, in words per second. Training counts steps alone, without the measurement of the "
    "splits; tagging is the final measurement of a split: network, decoding, probabilities and loss, with the words "
    "numbered already. Comparable only where runs had the machine to themselves and used the same number of threads."
)


def section(view: StudyView) -> Section | None:
    """Show the table once any run has finished."""
    if not any(cell.result for cell in view.cells):
        return None
    split = measured_split(view)
    columns = [
        Column("Variant", numeric=False),
        Column("Training, words/s"),
        Column(f"Tagging the {SPLIT_NAMES[split]}, words/s"),
        Column("Threads"),
    ]
    rows = [
        [
            Cell(variant.label, style=variant.style),
            _median(variant, training_speed),
            _median(variant, lambda cell: cell.metric(f"speed/{split}_tokens_per_second")),
            _median(variant, lambda cell: cell.result.get("threads")),
        ]
        for variant in view.variants
    ]
    return Section("speed", "Words per second", [Table("words_per_second", columns, rows)], help=_HELP)


def training_speed(cell: CellView) -> float | None:
    """Return words per second of training: sentences per second times the words of a training sentence."""
    sentences = cell.result.get("sizes", {}).get("train")
    speed = cell.metric("examples_per_second")
    confusion = cell.result.get("tables", {}).get("train", {}).get("confusion")
    if not sentences or speed is None or confusion is None:
        return None
    return speed * float(np.sum(confusion)) / sentences  # every word is counted once in the confusion


def _median(variant: Variant, of: Any) -> Cell:
    values = [value for cell in variant.trained if (value := of(cell)) is not None]
    if not values:
        return Cell(DASH)
    middle = statistics.median(values)
    return Cell(count(middle), sort=f"{middle:.8g}")
