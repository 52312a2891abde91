"""What the batch size does to each scheme, when it is an axis of the study."""

from __future__ import annotations

from typing import Any, NamedTuple

from normlab.report.blocks import Block, Cell, Column, Figure, Key, Section, Table
from normlab.report.cells import interval_cell
from normlab.report.comparing import compare
from normlab.report.families import Family, by_scheme
from normlab.report.figures.comparison import Line, against_batch_size_figure
from normlab.report.figures.curves import as_error, epoch_axis, variant_traces
from normlab.report.figures.grid import Trace, panel_figure
from normlab.report.numbers import DASH, count, difference_text
from normlab.report.palette import Style, faint_to_strong
from normlab.report.view import StudyView, Variant, variant_label
from normlab.studies.statistics import Interval, mean_interval

_STRIDES = (1, 2, 4)  # of the three stages against the input

_HELP = (
    "The difference is taken seed by seed, so it carries only what the batch size changed. Below zero "
    "means that the small batch is worse. Batch norm estimates each channel's statistics from N·H·W "
    "values, so the early stages hold many even at a small N; the values of one image are alike, though, "
    "and N counts for more than H·W. Schemes that pool within a sample do not depend on N. Where the same weights "
    "were measured a second time with precise statistics (averages over many training images, under the final weights; "
    "Wu & Johnson 2021), the second table splits the difference into that of the statistics and that of the weights."
)
_ACCURACY, _PRECISE = "test/accuracy", "test/accuracy_precise"
_STATISTICS = "bn_statistics"


class Measure(NamedTuple):
    """One scheme over its batch sizes, smallest first, measured in one way."""

    variants: list[Variant]
    metric: str


def section(view: StudyView) -> Section | None:
    """Show figures and tables if the study has at least two batch sizes."""
    families = by_scheme(view)
    if not any(len(variants) > 1 for _, _, variants in families):
        return None
    blocks: list[Block] = [*_against_batch_size(families), difference_table(families)]
    if not any(_points(Measure(variants, _ACCURACY)) for _, _, variants in families):
        blocks = []
    table = cause_table(families)
    blocks += [table] if table.rows else []
    blocks += _curves(families)
    blocks.append(sample_table(view))
    return Section("batch-size", "Batch size", blocks, help=_HELP)


def difference_table(families: list[Family]) -> Table:
    """Return, per scheme, the accuracy at each smaller batch, at its largest, and their paired difference."""
    columns = [
        Column("Scheme", numeric=False),
        Column("Small batch"),
        Column("Accuracy %", hint="at the small batch"),
        Column("Large batch"),
        Column("Accuracy %", hint="at the large batch"),
        Column("Small − large, points"),
        Column("Paired seeds"),
        Column("p", hint="two-sided sign-flip permutation test"),
    ]
    rows = [
        _difference_row(label, style, small, variants[-1])
        for label, style, variants in families
        for small in variants[:-1]
    ]
    return Table("batch_size", columns, rows, caption="Test accuracy at each batch size against the largest.")


def cause_table(families: list[Family]) -> Table:
    """Return, per scheme and small batch, how its accuracy differs from the largest batch's, and why.

    Every column is signed alike: positive is a gain.
    """
    columns = [
        Column("Scheme", numeric=False),
        Column("Small batch"),
        Column("Large batch"),
        Column("Small − large", group="Running statistics"),
        Column("Precise − running", group="At the small batch"),
        Column("Small − large", group="Precise statistics"),
        Column("Paired seeds"),
    ]
    rows = [
        [Cell(label, style=style), *_cause(running, precise, index)]
        for label, style, running, precise in _measured_twice(families)
        for index in range(len(running.variants) - 1)
    ]
    caption = (
        "Poor statistics or poor weights? Paired differences of test accuracy in points, with 95 % intervals. In every "
        "column a positive number is a gain and a negative one a loss: what precise statistics gain at the small batch "
        "was lost to poor statistics, what stays negative with them is in the weights."
    )
    return Table("batch_size_cause", columns, rows, caption=caption)


def sample_table(view: StudyView) -> Table:
    """Return how many values batch norm pools per channel, N·H·W, at each stage and batch size."""
    side = _image_side(view)
    sizes = sorted({size for _, _, variants in by_scheme(view) for variant in variants if (size := variant.batch_size)})
    sides = [-(-side // stride) for stride in _STRIDES]
    columns = [Column("Batch size N")]
    columns += [Column(f"Stage {stage} ({s}×{s})") for stage, s in enumerate(sides, start=1)]
    rows = [[Cell(str(size)), *(Cell(count(size * s * s), sort=str(size * s * s)) for s in sides)] for size in sizes]
    return Table(
        "sample_size",
        columns,
        rows,
        caption="Batch norm's effective sample size N·H·W: values per channel and step.",
    )


def _difference_row(label: str, style: Style, small: Variant, large: Variant) -> list[Cell]:
    cells = [Cell(label, style=style)]
    for variant in (small, large):
        cells.append(Cell(str(variant.values["batch_size"])))
        cells.append(interval_cell(variant.interval("test/accuracy"), "accuracy"))
    comparison = compare(small, large, "test/accuracy")
    if comparison is None:
        return [*cells, Cell(DASH), Cell("0"), Cell(DASH)]
    p_value = f"{comparison.p_value:.3g}" if comparison.n > 1 else DASH
    difference = comparison.difference
    return [
        *cells,
        Cell(difference_text(difference), sort=f"{difference.mean:.8g}", strong=True),
        Cell(str(comparison.n)),
        Cell(p_value),
    ]


def _points(measure: Measure) -> list[tuple[int, Interval]]:
    intervals = ((variant.batch_size, variant.interval(measure.metric)) for variant in measure.variants)
    return [(size, interval) for size, interval in intervals if size is not None and interval is not None]


def _measured_twice(families: list[Family]) -> list[tuple[str, Style, Measure, Measure]]:
    """Return label, style, running and precise of each scheme that has both: two metrics of a run, or two runs."""
    measured = []
    for label, style, variants in families:
        values = variants[0].values
        if _points(Measure(variants, _PRECISE)):
            measured.append((label, style, Measure(variants, _ACCURACY), Measure(variants, _PRECISE)))
        elif values.get(_STATISTICS) == "running":
            wanted = {**values, _STATISTICS: "precise"}
            partners = [other for _, _, other in families if _without_size(other[0].values) == _without_size(wanted)]
            if partners and [v.batch_size for v in partners[0]] == [v.batch_size for v in variants]:
                measured.append((label, style, Measure(variants, _ACCURACY), Measure(partners[0], _ACCURACY)))
    return measured


def _cause(running: Measure, precise: Measure, index: int) -> list[Cell]:
    small, large = running.variants[index], running.variants[-1]
    differences = [
        _paired(running, index, running, -1),
        _paired(precise, index, running, index),
        _paired(precise, index, precise, -1),
    ]
    seeds = min((interval.n for interval in differences if interval), default=0)
    return [
        Cell(str(small.batch_size)),
        Cell(str(large.batch_size)),
        *(_points_cell(interval) for interval in differences),
        Cell(str(seeds)),
    ]


def _paired(a: Measure, at_a: int, b: Measure, at_b: int) -> Interval | None:
    of_a, of_b = a.variants[at_a].by_seed(a.metric), b.variants[at_b].by_seed(b.metric)
    seeds, overlap = sorted(of_a.keys() & of_b.keys()), a.variants[at_a].overlap
    return mean_interval([of_a[seed] - of_b[seed] for seed in seeds], overlap=overlap) if seeds else None


def _points_cell(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell(DASH)
    text, _, detail = difference_text(interval).partition(" ")
    return Cell(text, detail, sort=f"{interval.mean:.8g}")


def _against_batch_size(families: list[Family]) -> list[Block]:
    """Draw a panel per combination of the further axes; precise statistics are dashed."""
    panels: dict[str, list[Line]] = {}
    keys: dict[str, Key] = {}
    for label, style, variants in families:
        values = _without_size(variants[0].values)
        scheme = variant_label({axis: value for axis, value in values.items() if axis in {"norm", "variant"}})
        further = {
            axis: value
            for axis, value in _without_size(variants[0].named).items()
            if axis not in {"norm", "variant", _STATISTICS}
        }
        for metric, precise in ((_ACCURACY, values.get(_STATISTICS) == "precise"), (_PRECISE, True)):
            points = _points(Measure(variants, metric))
            if not points:
                continue
            group = f"{scheme}, precise statistics" if precise else scheme
            line = Style(style.color, "dash" if precise else "solid")
            keys[group] = Key(group, line)
            title = variant_label(further) if further else ""
            panels.setdefault(title, []).append(Line(f"{label}{', precise' if precise else ''}", group, line, points))
    if not panels:
        return []
    figure = against_batch_size_figure(list(panels.items()), "Test accuracy")
    return [Figure("batch_size", "Test accuracy against batch size", figure, list(keys.values()))]


def _without_size(values: dict[str, Any]) -> dict[str, Any]:
    return {axis: value for axis, value in values.items() if axis != "batch_size"}


def _curves(families: list[Family]) -> list[Block]:
    figure = panel_figure(
        [label for label, _, _ in families],
        columns=3 if len(families) <= 3 else 4,
        row_height=280 if len(families) <= 3 else 200,
        min_width=300 if len(families) <= 3 else 230,
        x_axis=epoch_axis([variant for _, _, variants in families for variant in variants]),
        y_axis={"rangemode": "tozero"},
    )
    sizes = sorted({size for _, _, variants in families for variant in variants if (size := variant.batch_size)})
    shades = {str(size): Style(shade, "solid") for size, shade in zip(sizes, faint_to_strong(len(sizes)), strict=True)}
    traces: list[Trace] = []
    for index, (_, _, variants) in enumerate(families):
        for variant in variants:
            size = variant.batch_size
            drawn = variant_traces(variant, "val/accuracy", as_error, index, shades[str(size)])
            traces += [{**trace, "legendgroup": f"batch size {size}"} for trace in drawn]
    if not traces:
        return []
    figure.add_traces(traces)
    keys = [Key(f"batch size {size}", style) for size, style in shades.items()]
    return [Figure("batch_size_curves", "Validation error by epoch (%), one panel per scheme", figure, keys)]


def _image_side(view: StudyView) -> int:
    sizes = [size for cell in view.cells if (size := cell.card.get("image_size") or cell.config.get("image_size"))]
    first = sizes[0] if sizes else 32
    return int(first[0] if isinstance(first, list) else first)
