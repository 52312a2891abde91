"""What each variant costs: time, speed, memory, parameters."""

from __future__ import annotations

import statistics

from normlab.plurals import plural
from normlab.report.blocks import Cell, Column, Section, Table, Text
from normlab.report.numbers import DASH, count, duration
from normlab.report.view import CellView, StudyView, Variant

_HELP = (
    "Medians over a variant's runs. Times are comparable only where the runs had the machine to "
    "themselves and the same device, precision and number of threads. Seconds per epoch include the "
    "measurement of the splits; examples per second count training alone."
)
_COSTS = ("seconds", "seconds_per_epoch", "examples_per_second", "peak_memory_mib", "parameters")


def section(view: StudyView) -> Section | None:
    """Show the table once any run has a result."""
    if not any(cell.metric(name) is not None for cell in view.cells if cell.result for name in _COSTS):
        return None  # results of other programs may say nothing of their cost
    machines = sorted({_where(cell) for cell in view.cells if cell.result})
    if len(machines) == 1:
        return Section("time", "Time and memory", [Text(f"All runs: {machines[0]}."), timing_table(view)], help=_HELP)
    return Section("time", "Time and memory", [timing_table(view, with_machine=True)], help=_HELP)


def timing_table(view: StudyView, *, with_machine: bool = False) -> Table:
    """Return the costs of each variant; `with_machine` adds device, precision and threads of the runs."""
    columns = [
        Column("Variant", numeric=False),
        Column("Seconds per epoch"),
        Column("Images per second" if view.study.task == "image" else "Examples per second"),
        Column("Epochs"),
        Column("Whole run"),
        Column("Peak memory, MiB"),
        Column("Parameters"),
    ]
    rows = [_row(variant) for variant in view.variants]
    if with_machine:
        columns.append(Column("Where", numeric=False))
        machines = [sorted({_where(cell) for cell in variant.cells if cell.result}) for variant in view.variants]
        rows = [[*row, Cell("; ".join(named) or DASH)] for row, named in zip(rows, machines, strict=True)]
    return Table("time", columns, rows)


def _row(variant: Variant) -> list[Cell]:
    def median(name: str) -> float | None:
        values = [value for cell in variant.cells if (value := cell.metric(name)) is not None]
        return statistics.median(values) if values else None

    per_epoch, total = median("seconds_per_epoch"), median("seconds")
    return [
        Cell(variant.label, style=variant.style),
        Cell(DASH if per_epoch is None else f"{per_epoch:.3g}"),
        Cell(count(median("examples_per_second"))),
        Cell(count(median("epochs"))),
        Cell(duration(total), sort="" if total is None else f"{total:.6g}"),
        Cell(count(median("peak_memory_mib"))),
        Cell(count(median("parameters"))),
    ]


def _where(cell: CellView) -> str:
    result = cell.result
    threads = plural(result["threads"], "thread") if "threads" in result else "threads not recorded"
    parts = [result.get("device", "device not recorded"), result.get("precision", ""), threads]
    return ", ".join(part for part in parts if part)
