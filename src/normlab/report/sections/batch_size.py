"""What the batch size does to each scheme, when it is an axis of the study."""

from __future__ import annotations

from normlab.report.blocks import Block, Cell, Column, Figure, Key, Section, Table
from normlab.report.comparing import compare
from normlab.report.figures.comparison import against_batch_size_figure
from normlab.report.figures.curves import as_error, epoch_axis, variant_traces
from normlab.report.figures.grid import panel_figure
from normlab.report.numbers import DASH, count, difference_text
from normlab.report.palette import DASHES, Style
from normlab.report.sections.results import interval_cell
from normlab.report.view import StudyView, Variant, variant_label
from normlab.studies.statistics import Interval

_STRIDES = (1, 2, 4)  # of the three stages against the input

_HELP = (
    "The difference is taken seed by seed, so it carries only what the batch size changed. Below zero "
    "means that the small batch is worse. Batch norm estimates each channel's statistics from N·H·W "
    "values, so the early stages hold many even at a small N; the values of one image are alike, though, "
    "and N counts for more than H·W. Schemes that pool within a sample do not depend on N."
)

Family = tuple[str, Style, list[Variant]]


def section(view: StudyView) -> Section | None:
    """Show figures and tables if the study has at least two batch sizes."""
    families = by_scheme(view)
    if not any(len(variants) > 1 for _, _, variants in families):
        return None
    blocks: list[Block] = []
    points = [(label, style, _points(variants)) for label, style, variants in families]
    if any(found for _, _, found in points):
        keys = [Key(label, style) for label, style, _ in families]
        figure = against_batch_size_figure(points, "Test accuracy")
        blocks += [
            Figure("batch_size", "Test accuracy against batch size", figure, keys),
            difference_table(families),
        ]
    blocks += _curves(families)
    blocks.append(sample_table(view))
    return Section("batch-size", "Batch size", blocks, help=_HELP)


def by_scheme(view: StudyView) -> list[Family]:
    """Return the variants by everything but their batch size, smallest batch first."""
    families: dict[str, Family] = {}
    for variant in view.variants:
        if isinstance(variant.values.get("batch_size"), int):
            label = variant_label({axis: value for axis, value in variant.values.items() if axis != "batch_size"})
            families.setdefault(label, (label, Style(variant.style.color, "solid"), []))[2].append(variant)
    for _, _, variants in families.values():
        variants.sort(key=lambda variant: variant.values["batch_size"])
    return list(families.values())


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


def sample_table(view: StudyView) -> Table:
    """Return how many values batch norm pools per channel, N·H·W, at each stage and batch size."""
    side = _image_side(view)
    sizes = sorted({variant.values["batch_size"] for _, _, variants in by_scheme(view) for variant in variants})
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


def _points(variants: list[Variant]) -> list[tuple[int, Interval]]:
    found = ((variant.values["batch_size"], variant.interval("test/accuracy")) for variant in variants)
    return [(size, interval) for size, interval in found if interval is not None]


def _curves(families: list[Family]) -> list[Block]:
    figure = panel_figure(
        [label for label, _, _ in families],
        columns=3,
        row_height=280,
        min_width=300,
        x_axis=epoch_axis([variant for _, _, variants in families for variant in variants]),
        y_axis={"rangemode": "tozero"},
    )
    sizes = sorted({variant.values["batch_size"] for _, _, variants in families for variant in variants})
    dashes = {size: DASHES[index % len(DASHES)] for index, size in enumerate(reversed(sizes))}
    for index, (_, style, variants) in enumerate(families):
        for variant in variants:
            size = variant.values["batch_size"]
            for trace in variant_traces(variant, "val/accuracy", as_error, index, Style(style.color, dashes[size])):
                trace.legendgroup = f"batch size {size}"
                figure.add_trace(trace)
    if not figure.data:
        return []
    keys = [Key(f"batch size {size}", Style("#7b8490", dashes[size])) for size in sizes]
    return [Figure("batch_size_curves", "Validation error by epoch (%), one panel per scheme", figure, keys)]


def _image_side(view: StudyView) -> int:
    sizes = [size for cell in view.cells if (size := cell.card.get("image_size") or cell.config.get("image_size"))]
    first = sizes[0] if sizes else 32
    return int(first[0] if isinstance(first, list) else first)
