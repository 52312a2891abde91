"""For tasks without figures of their own: loss by epoch, and the validation metrics that were recorded."""

from __future__ import annotations

from normlab.metrics import heading, is_fraction
from normlab.report.blocks import Block, Figure, Key, Section
from normlab.report.figures.curves import Scale, as_it_is, as_percent, curves_figure
from normlab.report.figures.multiples import Lines, laid_out, line_keys, multiples_figure
from normlab.report.view import StudyView

_LOSSES = {
    "train/online_loss": "Training loss, as the weights moved",
    "train/loss": "Training loss",
    "val/loss": "Validation loss",
}
_HELP = "One line per variant: the mean over its seeds; the band runs from the lowest to the highest seed."


def section(view: StudyView) -> Section | None:
    """Show the curves once an epoch has been recorded."""
    losses = [metric for metric in _LOSSES if view.has_curve(metric)]
    if "train/loss" in losses:  # measured in evaluation mode: the better of the two
        losses = [metric for metric in losses if metric != "train/online_loss"]
    keys = [Key(variant.label, variant.style) for variant in view.variants]
    blocks: list[Block] = []
    if (lines := laid_out(view.variants)) is not None:
        return _many(view, lines, losses)
    if losses:
        panels = [(_LOSSES[metric], metric, as_it_is) for metric in losses]
        blocks.append(Figure("loss", "Loss by epoch", curves_figure(view.variants, panels), keys))
    headline = view.headline.replace("test/", "val/")
    if view.has_curve(headline):
        scale = as_percent if is_fraction(headline) else as_it_is
        figure = curves_figure(view.variants, [(heading(headline), headline, scale)])
        blocks.append(Figure("headline", f"{heading(headline)} by epoch", figure, keys))
    return Section("curves", "Curves", blocks, help=_HELP) if blocks else None


def _many(view: StudyView, lines: Lines, losses: list[str]) -> Section | None:
    headline = view.headline.replace("test/", "val/")
    scale: Scale = as_percent if is_fraction(headline) else as_it_is
    metrics: list[tuple[str, str, Scale]] = [(metric, _LOSSES[metric], as_it_is) for metric in losses]
    if view.has_curve(headline):
        metrics.insert(0, (headline, f"{heading(headline)} by epoch", scale))
    blocks: list[Block] = [
        Figure(metric.replace("/", "_"), title, multiples_figure(lines, metric, scale), line_keys(lines))
        for metric, title, scale in metrics
    ]
    return Section("curves", "Curves", blocks, help=_HELP) if blocks else None
