"""For tasks without figures of their own: loss by epoch, and the metrics that were recorded over time."""

from __future__ import annotations

from normlab.metrics import find, heading, is_fraction
from normlab.report.blocks import Block, Figure, Key, Section
from normlab.report.figures.curves import Scale, as_it_is, as_percent, curves_figure
from normlab.report.figures.multiples import Lines, laid_out, line_keys, multiples_figure
from normlab.report.view import StudyView

_LOSSES = {
    "train/online_loss": "Training loss, as the weights moved",
    "train/loss": "Training loss",
    "val/loss": "Validation loss",
    "test/loss": "Test loss",
    "loss": "Loss",
}
_MOST = 8  # further metrics with a figure each
_COSTS = ("seconds", "per_second", "mib", "count")
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
    clock = view.study.clock
    if losses:
        panels = [(_LOSSES[metric], metric, as_it_is) for metric in losses]
        blocks.append(Figure("loss", f"Loss by {clock}", curves_figure(view.variants, panels, clock=clock), keys))
    for number, metric in enumerate(_scores(view)):
        figure = curves_figure(view.variants, [(heading(metric), metric, _scale(metric))], clock=clock)
        name = metric.replace("/", "_") if number else "headline"
        blocks.append(Figure(name, f"{heading(metric)} by {clock}", figure, keys))
    return Section("curves", "Curves", blocks, help=_HELP) if blocks else None


def _many(view: StudyView, lines: Lines, losses: list[str]) -> Section | None:
    clock = view.study.clock
    metrics = {metric: f"{heading(metric)} by {clock}" for metric in _scores(view)}
    metrics |= {metric: _LOSSES[metric] for metric in losses}
    blocks: list[Block] = [
        Figure(
            metric.replace("/", "_"),
            title,
            multiples_figure(lines, metric, _scale(metric), clock=clock),
            line_keys(lines),
        )
        for metric, title in metrics.items()
    ]
    return Section("curves", "Curves", blocks, help=_HELP) if blocks else None


def _scores(view: StudyView) -> list[str]:
    """Return the headline metric, on validation where it is of the test split, and of other programs all that is drawn.

    Our own tasks record many metrics beside the one that a reader looks for; who logs metrics elsewhere chose them.
    """
    headline = view.headline.replace("test/", "val/")
    if not view.has_curve(headline):
        headline = view.headline
    names = [headline] if view.has_curve(headline) and headline not in _LOSSES else []
    if not view.study.task:
        names += [name for name in view.curves() if name not in (*names, *_LOSSES) and not _is_cost(name)][:_MOST]
    return names


def _is_cost(name: str) -> bool:
    metric = find(name)
    return metric is not None and metric.unit in _COSTS


def _scale(metric: str) -> Scale:
    return as_percent if is_fraction(metric) else as_it_is
