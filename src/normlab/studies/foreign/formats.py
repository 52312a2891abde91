"""The formats of results that are read, in the order in which a path is tried."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from normlab.errors import UserError
from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.assemble import study_of
from normlab.studies.study import Study

FORMATS = ("wandb", "results_csv", "mlflow", "lightning", "tensorboard")


def is_results(path: Path) -> bool:
    """Say whether a path is a file or folder of results of another program."""
    return _format_of(path) is not None


def open_results(path: Path | str, asked: Asked | None = None) -> Study:
    """Read results of another program as a study; its first note says how they were read.

    Raises: UserError naming file, line and fix for what cannot be read, or is missing.
    """
    path, asked = Path(path), asked or Asked()
    chosen = _format_of(path)
    if chosen is None:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder: check the path")
        raise UserError(
            f"{path}: no results that are known: give a CSV file, TensorBoard's event files, MLflow's mlruns, or a "
            "folder of Lightning's metrics.csv"
        )
    return study_of(chosen.read(path, asked), asked)


def _format_of(path: Path) -> ModuleType | None:
    for name in FORMATS:
        module = import_module(f"normlab.studies.foreign.{name}")
        if module.reads(path):
            return module
    return None
