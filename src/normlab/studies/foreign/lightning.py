"""PyTorch Lightning's CSVLogger: a folder per run with `metrics.csv` and, if settings were saved, `hparams.yaml`."""

from __future__ import annotations

from pathlib import Path

from normlab.errors import UserError
from normlab.studies.foreign import names
from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.assemble import Reading
from normlab.studies.foreign.folders import axes_asked, named_trainings, said_of_folders
from normlab.studies.foreign.rows import over_time
from normlab.studies.foreign.table_file import Table, read_table
from normlab.studies.foreign.training import Training
from normlab.yaml_file import read_yaml

_CLOCKS = ("epoch", "step")


def reads(path: Path) -> bool:
    """Say whether a folder holds a `metrics.csv` at any depth."""
    return path.is_dir() and next(path.rglob("metrics.csv"), None) is not None


def read(path: Path, asked: Asked) -> Reading:
    """Read each folder with a `metrics.csv` as a training.

    Raises: UserError with file and line for what cannot be read, or for a run whose seed nothing tells.
    """
    files = sorted(path.rglob("metrics.csv"))
    tables = [read_table(file) for file in files]
    clock = asked.step or next((each for each in _CLOCKS if all(_fits(table, each) for table in tables)), "")
    if not clock or not all(clock in table.columns for table in tables):
        raise UserError(
            f"{files[0]}:1: no column '{clock or 'epoch'}' or 'step' with one value of a metric each: --step"
        )
    trainings = []
    for file, table in zip(files, tables, strict=True):
        folder = file.parent
        settings = read_yaml(folder / "hparams.yaml") if (folder / "hparams.yaml").is_file() else {}
        name = str(folder.relative_to(path)) if folder != path else folder.name
        training = Training(str(file), name, dict(settings))
        training.records, training.finals = over_time(_records(table, clock))
        trainings.append(training)
    named_trainings(trainings, asked)
    said = said_of_folders(path, "Lightning's metrics.csv", trainings, clock)
    return Reading(path, trainings, said, clock, axes_asked(trainings, asked))


def _metric_columns(table: Table) -> dict[str, str]:
    return {name: names.metric_name(name) for name in table.columns if name not in _CLOCKS}


def _fits(table: Table, clock: str) -> bool:
    """Say whether no metric has two values at one time."""
    if clock not in table.columns:
        return False
    for name in _metric_columns(table):
        times = [when for when, cell in zip(table.columns[clock], table.columns[name], strict=True) if cell.strip()]
        if len(set(times)) < len(times):
            return False
    return True


def _records(table: Table, clock: str) -> dict[float, dict[str, float]]:
    records: dict[float, dict[str, float]] = {}
    columns = _metric_columns(table)
    for row in range(len(table.lines)):
        when = table.time(clock, row)
        for column, metric in columns.items():
            value = table.number(column, row)
            if value is not None and when is not None:
                records.setdefault(int(when), {})[metric] = value
    return records
