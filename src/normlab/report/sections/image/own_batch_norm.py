"""Our batch norm against torch's: the curves of both in one figure, and the largest gap between them."""

from __future__ import annotations

from typing import NamedTuple

from normlab.report.blocks import Block, Cell, Column, Figure, Folded, Key, Section, Table, Text
from normlab.report.comparing import change_text, compare, compare_all
from normlab.report.figures.curves import as_error, as_it_is, curves_figure
from normlab.report.numbers import DASH, difference_text
from normlab.report.view import StudyView, Variant

_HELP = (
    "Under one seed both start from the same weights and see the same batches, crops and flips, so any "
    "gap comes from rounding alone: the two add up in another order, and training amplifies the last bit. "
    "A gap of the size of the spread between seeds, that changes its sign, is what equal layers give."
)

_SHOWN = 2  # more pairs than these are folded


class Gap(NamedTuple):
    """The largest distance between two curves of one seed."""

    size: float
    epoch: float
    seed: int


def section(view: StudyView) -> Section | None:
    """Compare every pair of torch's and our own batch norm that differs in nothing else."""
    pairs = [pair for pair in pairs_of(view) if any(cell.epochs for variant in pair for cell in variant.cells)]
    if not pairs:
        return None
    blocks: list[Block] = []
    for index, pair in enumerate(pairs):
        parts = _pair_blocks(pair, index)
        blocks += parts if len(pairs) <= _SHOWN else [Folded(f"{pair[0].label} and {pair[1].label}", parts)]
    return Section("own-batch-norm", "Torch's batch norm and our own", blocks, help=_HELP)


def sentences(view: StudyView) -> list[str]:
    """Return, for the summary, by how much our own batch norm differs from torch's in the headline metric."""
    pairs = [(own, built_in) for built_in, own in pairs_of(view)]
    differences = compare_all(pairs, view.headline)
    return [
        f"{own.label} against {built_in.label}: {change_text(adjusted, view.headline, len(pairs))}."
        for (own, built_in), adjusted in zip(pairs, differences, strict=True)
        if adjusted is not None
    ]


def pairs_of(view: StudyView) -> list[tuple[Variant, Variant]]:
    """Return (torch's, own) variants with equal values on all other axes."""

    def others(variant: Variant) -> dict[str, object]:
        return {axis: value for axis, value in variant.values.items() if axis != "norm"}

    return [
        (built_in, own)
        for built_in in view.variants
        for own in view.variants
        if built_in.norm == "torch_batch" and own.norm == "batch" and others(built_in) == others(own)
    ]


def largest_gap(a: Variant, b: Variant, metric: str) -> Gap | None:
    """Return the largest distance at one epoch of one seed; None if no seed has both curves."""
    gaps = []
    curves_b = {cell.seed: cell.curve(metric) for cell in b.cells}
    for cell in a.cells:
        other = curves_b.get(cell.seed, {})
        gaps += [
            Gap(abs(value - other[epoch]), epoch, cell.seed)
            for epoch, value in cell.curve(metric).items()
            if epoch in other
        ]
    return max(gaps, default=None)


def _pair_blocks(pair: tuple[Variant, Variant], index: int) -> list[Block]:
    built_in, own = pair
    figure = curves_figure(
        pair,
        [("Training loss", _train_loss(own), as_it_is), ("Validation error, %", "val/accuracy", as_error)],
        share_y=False,
    )
    keys = [Key(variant.label, variant.style) for variant in pair]
    title = f"{built_in.label} under {own.label}"
    return [
        Text(_sentence(pair)),
        Figure(f"own_batch_norm_{index}", title, figure, keys),
        _gap_table(pair, index),
    ]


def _train_loss(variant: Variant) -> str:
    measured = any("train/loss" in record for cell in variant.cells for record in cell.epochs[:1])
    return "train/loss" if measured else "train/online_loss"


def _sentence(pair: tuple[Variant, Variant]) -> str:
    gap = largest_gap(*pair, "val/accuracy")
    largest = "The two share no seed and epoch yet."
    if gap:
        when = f"(epoch {gap.epoch}, seed {gap.seed})"
        largest = f"The largest gap in validation accuracy is {100 * gap.size:.2f} points {when}."
    comparison = compare(pair[1], pair[0], "test/accuracy")
    if comparison is None:
        return largest
    difference = difference_text(comparison.difference)
    return f"{largest} On test, own minus torch's is {difference} points (n = {comparison.n})."


def _gap_table(pair: tuple[Variant, Variant], index: int) -> Table:
    columns = [Column("Curve", numeric=False), Column("Largest gap"), Column("Epoch"), Column("Seed")]
    metrics = {
        "train/online_loss": "Training loss, as the weights moved",
        "train/loss": "Training loss",
        "val/loss": "Validation loss",
        "val/accuracy": "Validation accuracy",
    }
    rows = [
        [Cell(name), Cell(f"{gap.size:.3g}"), Cell(str(gap.epoch)), Cell(str(gap.seed))]
        if (gap := largest_gap(*pair, metric))
        else [Cell(name), Cell(DASH), Cell(DASH), Cell(DASH)]
        for metric, name in metrics.items()
    ]
    return Table(f"own_batch_norm_{index}", columns, rows)
