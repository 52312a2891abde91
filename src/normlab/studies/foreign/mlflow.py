"""MLflow's folder `mlruns`: experiment/run/ with `meta.yaml`, and a file per metric, parameter and tag.

A metric's file has a line "time value step" for each logged value. Runs that were deleted stay on disk, marked in
their `meta.yaml`; they are left out, and their number is said. (The file store of https://mlflow.org/docs/latest/.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from normlab.errors import UserError, shortened
from normlab.plurals import plural
from normlab.reading import read_text
from normlab.runs import RunState
from normlab.studies.foreign import names
from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.assemble import Reading
from normlab.studies.foreign.folders import axes_asked, named_trainings, said_of_folders
from normlab.studies.foreign.rows import over_time, typed
from normlab.studies.foreign.training import Training
from normlab.yaml_file import read_yaml

_FAILED = {4: RunState.FAILED, 5: RunState.FAILED, "FAILED": RunState.FAILED, "KILLED": RunState.FAILED}


def reads(path: Path) -> bool:
    """Say whether a folder is MLflow's, an experiment's or a run's."""
    return path.is_dir() and next(_runs(path), None) is not None


def read(path: Path, asked: Asked) -> Reading:
    """Read each run as a training.

    Raises: UserError with file and line for what cannot be read, or for a run whose seed nothing tells.
    """
    folders = sorted(_runs(path))
    metas = [read_yaml(folder / "meta.yaml") for folder in folders]
    kept = [each for each in zip(folders, metas, strict=True) if each[1].get("lifecycle_stage") != "deleted"]
    if not kept:
        raise UserError(f"{path}: all of its {plural(len(folders), 'run')} are deleted: restore some in MLflow")
    trainings = [_training(folder, meta) for folder, meta in kept]
    named_trainings(trainings, asked)
    said = said_of_folders(path, "MLflow", trainings, "step")
    if len(kept) < len(folders):
        said += f"; {plural(len(folders) - len(kept), 'deleted run is', 'deleted runs are')} left out"
    return Reading(path, trainings, said, "step", axes_asked(trainings, asked))


def _runs(path: Path) -> Iterator[Path]:
    """Yield the folders of runs: a run's `meta.yaml` stands beside its folder of metrics."""
    return (
        meta.parent
        for pattern in ("meta.yaml", "*/meta.yaml", "*/*/meta.yaml")
        for meta in path.glob(pattern)
        if (meta.parent / "metrics").is_dir() and ".trash" not in meta.parts
    )


def _training(folder: Path, meta: dict[str, Any]) -> Training:
    values = {name: typed(read_text(file)) for name, file in _files(folder / "params")}
    values = {name: value for name, value in values.items() if value != ""}
    name = str(meta.get("run_name") or folder.name)
    training = Training(str(folder), name, values, state=_FAILED.get(meta.get("status", 3), RunState.FINISHED))
    records: dict[float, dict[str, float]] = {}
    for metric, file in _files(folder / "metrics"):
        for number, line in enumerate(read_text(file).splitlines(), 1):
            step, value = _logged(file, number, line)
            records.setdefault(step, {})[names.metric_name(metric)] = value
    training.records, training.finals = over_time(records)
    return training


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return (name, file): a name with "/" is a folder and a file."""
    files = sorted(file for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else []
    return [(file.relative_to(folder).as_posix(), file) for file in files]


def _logged(file: Path, number: int, line: str) -> tuple[int, float]:
    parts = line.split()
    try:
        step = int(parts[2]) if len(parts) > 2 else 0
        float(step)
        return step, float(parts[1])
    except (IndexError, ValueError, OverflowError):
        raise UserError(
            f"{file}:{number}: expected `time value step`, found {shortened(line)}: restore the file"
        ) from None
