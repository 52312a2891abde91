"""How well a tagger's probabilities agree with its accuracy: reliability diagram and calibration error."""

from __future__ import annotations

from normlab.report.blocks import Block, Figure, Key, Section
from normlab.report.figures.comparison import dots_figure
from normlab.report.figures.reliability import pooled, reliability_figure
from normlab.report.tagged import SPLIT_NAMES, measured_split, tables_of
from normlab.report.view import StudyView

_FEWEST = 20  # words that make a point
_HELP = (
    "Words in bins of the probability that the model gave the tag it chose (a CRF's marginal, else the softmax). On "
    "the dotted diagonal, of the words tagged with 70 % seven in ten are right; below it the model is too sure of "
    "itself. Bins of fewer than 20 words are left out. Hover a point for its number of words: nearly all stand in the "
    "last bin, so the calibration error, the distance from the diagonal averaged over all words (Guo et al. 2017), is "
    "small even where other bins are far off."
)


def section(view: StudyView) -> Section | None:
    """Show both figures for the variants that measured a reliability curve."""
    split = measured_split(view)
    measured = [(variant, curves) for variant in view.variants if (curves := tables_of(variant, split, "reliability"))]
    if not measured:
        return None
    lines = [
        (variant.label, variant.style, [row for row in pooled(curves) if row["count"] >= _FEWEST])
        for variant, curves in measured
    ]
    keys = [Key(variant.label, variant.style) for variant, _ in measured]
    figure = Figure("reliability", f"Reliability on the {SPLIT_NAMES[split]}", reliability_figure(lines), keys)
    blocks: list[Block] = [figure]
    errors = [(variant.label, variant.style, variant.interval(f"{split}/ece")) for variant, _ in measured]
    if any(interval for _, _, interval in errors):
        dots = dots_figure(errors, {}, "calibration error")
        dots.update_xaxes(range=None, autorange=True, rangemode="tozero")
        blocks.append(Figure("ece", "Expected calibration error, smaller is better", dots))
    return Section("calibration", "Calibration", blocks, help=_HELP)
