"""Weights & Biases: the CSV of a chart, a column "RUN - METRIC" per run. That of its table of runs is a plain CSV.

A chart's columns come in threes, "RUN - METRIC", "RUN - METRIC__MIN" and "RUN - METRIC__MAX". The latter two differ
from the first where the chart has grouped several runs; then the file has no single runs.
"""

from __future__ import annotations

import re
from pathlib import Path

from normlab.errors import UserError
from normlab.plurals import plural
from normlab.studies.foreign import names
from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.assemble import Reading
from normlab.studies.foreign.rows import over_time
from normlab.studies.foreign.table_file import Table, read_table
from normlab.studies.foreign.training import Training

_COLUMN = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<end>__MIN|__MAX)?")


def reads(path: Path) -> bool:
    """Say whether a path is a CSV whose header has a chart's columns."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        header = file.readline(1 << 20)
    return " - " in header and "__MIN" in header


def read(path: Path, asked: Asked) -> Reading:
    """Read a chart's lines as trainings; their names say variant and seed.

    Raises: UserError for grouped runs, a name without a seed, or a cell that is no number.
    """
    table = read_table(path)
    clock = next(iter(table.columns))
    columns = [(name, match) for name in table.columns if (match := _COLUMN.fullmatch(name))]
    by_run: dict[str, dict[float, dict[str, float]]] = {}
    for name, match in columns:
        if match["end"]:
            _refuse_grouped(table, name, name.removesuffix(match["end"]))
        elif names.plain(match["metric"]) not in ("_step", "step"):
            _add(table, clock, name, names.metric_name(match["metric"]), by_run.setdefault(match["run"], {}))
    split = names.split_names(list(by_run))
    trainings = []
    for (run, records), (variant, seed) in zip(by_run.items(), split, strict=True):
        training = Training(f"{path} (run '{run}')", run, {"variant": variant}, seed)
        training.records, training.finals = over_time(records)
        trainings.append(training)
    metrics = ", ".join(dict.fromkeys(name for training in trainings for name in training.finals))
    said = (
        f"{path.name}: a chart of Weights & Biases with {plural(len(trainings), 'run')}; variant and seed from their "
        f"names; curves over '{clock}', of which the last value counts; metrics: {metrics}"
    )
    return Reading(path, trainings, said, "epoch" if "epoch" in names.plain(clock) else "step", ("variant",))


def _add(table: Table, clock: str, column: str, metric: str, into: dict[float, dict[str, float]]) -> None:
    for row in range(len(table.lines)):
        value, when = table.number(column, row), table.time(clock, row)
        if value is not None and when is not None:
            into.setdefault(when, {})[metric] = value


def _refuse_grouped(table: Table, bound: str, column: str) -> None:
    if column not in table.columns:
        return
    for row, (a, b) in enumerate(zip(table.columns[bound], table.columns[column], strict=True)):
        if a != b and table.number(bound, row) != table.number(column, row):
            raise UserError(
                f"{table.where(row)}: '{column}' is a mean of several runs ({bound} differs from it): ungroup the "
                "chart before you export it"
            )
