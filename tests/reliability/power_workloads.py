"""The programs whose power `power_cut.py` cuts, and what their readers must find afterwards.

A workload says what it has finished by `mark`: from then on a cut must not lose it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "report")]

import soak  # noqa: E402
import synthetic  # noqa: E402

from normlab.engine import api  # noqa: E402
from normlab.engine.checkpoint import _read  # noqa: E402
from normlab.json_file import parse_json  # noqa: E402
from normlab.kernels.runtime.library_cache import is_whole, stored_library  # noqa: E402
from normlab.runs import RunFolder  # noqa: E402
from normlab.runs.archive import finished_cells, pack_study, read_archive  # noqa: E402
from normlab.tasks import task_settings  # noqa: E402
from normlab.train_config import TrainConfig  # noqa: E402

EPOCHS = 3
LIBRARY = b"machine code " * 5000


class LostError(AssertionError):
    """Something that was reported as saved is not there."""


@dataclass(frozen=True)
class Workload:
    """A program, and what its reader must find after a cut.

    Attributes:
        run: does the work in a folder.
        look: reads what a cut has left; gets the folder, what had been reported, the folder that nobody cut, and
            whether to let the program go on there.
    """

    run: Callable[[Path], None]
    look: Callable[[Path, tuple[str, ...], Path, bool], None]


def mark(folder: Path, what: str) -> None:
    """Report something as finished."""
    (folder / ".marks" / what).mkdir(parents=True, exist_ok=True)


def settings() -> TrainConfig:
    """Return a training of seconds."""
    task = task_settings("image")
    changes = {"epochs": EPOCHS, "limit_train": 64, "threads": 1, "precision": "float32", "distributions": "all"}
    return task.config_class.parse({**task.preset("smoke", "power"), **changes}, "power")


def train(folder: Path) -> None:
    """Train a run; each epoch is reported before the next one begins."""

    def epoch_ended(record: Mapping[str, Any]) -> bool:
        mark(folder, f"epoch {record['epoch']}")
        return False

    run = RunFolder.create(folder / "runs" / "a", settings(), "image")
    api.train_folder(run, prune=epoch_ended)
    mark(folder, "result")


def look_at_run(folder: Path, reported: tuple[str, ...], whole: Path, go_on: bool) -> None:
    """Read the run as its readers do, and go on with it where that is asked for."""
    path = folder / "runs" / "a"
    if not (path / "config.yaml").exists():
        if reported:
            raise LostError("the run folder is gone")
        return
    run = RunFolder.open(path)
    run.config(), run.environment(), run.card(), run.status(), run.layers()
    epochs = [record["epoch"] for record in run.metrics()]
    saved = _saved_epochs(run)
    if epochs != list(range(1, len(epochs) + 1)) or len(epochs) < saved:
        raise LostError(f"metrics of epochs {epochs}, checkpoint after epoch {saved}")
    wanted = sum(word.startswith("epoch") for word in reported)
    if saved < wanted:
        raise LostError(f"checkpoint after epoch {saved}, {wanted} were reported")
    if "result" in reported and not run.done:
        raise LostError("no result")
    if run.done and soak.content(path) != soak.content(whole / "runs" / "a"):
        raise LostError("the result stands, but not all that belongs to it")
    if not run.done and go_on:
        api.train_folder(run)
        if soak.content(path) != soak.content(whole / "runs" / "a"):
            raise LostError("ends with other bits when it goes on")


def _saved_epochs(run: RunFolder) -> int:
    if not run.saved:
        return 0
    _read(run.weights)
    _, values = _read(run.checkpoints / "last.safetensors")
    return int(parse_json(values["counters"], "counters")["epoch"])


def pack(folder: Path) -> None:
    """Pack a study with one cell, then with two."""
    elsewhere = Path(os.environ["SHIM_LOG"]).with_name("study")
    synthetic.make_study(elsewhere, axes={"norm": ["batch", "none"]}, seeds=1, epochs=2)
    half = elsewhere.with_name("half")
    shutil.copytree(elsewhere, half)
    shutil.rmtree(next((half / "cells").iterdir()))
    for number, study in enumerate((half, elsewhere), start=1):
        pack_study(study, folder / "packed" / "study.zip")
        mark(folder, f"cells {number}")


def look_at_archive(folder: Path, reported: tuple[str, ...], whole: Path, go_on: bool) -> None:
    """Read the archive: as many cells as were reported, or the one more that was being packed."""
    path = folder / "packed" / "study.zip"
    cells = finished_cells(read_archive(path)) if path.exists() else []
    if len(cells) < len(reported):
        raise LostError(f"{len(cells)} cells, {len(reported)} were reported")


def build_kernels(folder: Path) -> None:
    """Keep two libraries in the cache."""
    os.environ["NORMLAB_CACHE"] = str(folder / "cache")
    for name in ("a", "b"):
        stored_library(name, lambda library: library.write_bytes(LIBRARY) and None)
        mark(folder, name)


def look_at_kernels(folder: Path, reported: tuple[str, ...], whole: Path, go_on: bool) -> None:
    """A library that counts as whole is whole; any other is built again."""
    os.environ["NORMLAB_CACHE"] = str(folder / "cache")
    for name in ("a", "b"):
        library = folder / "cache" / "kernels" / f"{name}.so"
        if is_whole(library) and library.read_bytes() != LIBRARY:
            raise LostError(f"{name} counts as whole")
        stored = stored_library(name, lambda library: library.write_bytes(LIBRARY) and None)
        if stored != library or stored.read_bytes() != LIBRARY:
            raise LostError(f"{name} was not built again")


WORKLOADS = {
    "run": Workload(train, look_at_run),
    "archive": Workload(pack, look_at_archive),
    "kernels": Workload(build_kernels, look_at_kernels),
}

if __name__ == "__main__":
    WORKLOADS[sys.argv[1]].run(Path(sys.argv[2]))
