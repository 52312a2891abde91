"""The commands that `faults.py` disturbs: what lies there before, the command, and how what is left is read."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import soak
import synthetic
from power_workloads import build_kernels, look_at_kernels
from soak_jobs import look_at_published, shipped

from normlab.engine.checkpoint import _read
from normlab.runs import RunFolder
from normlab.runs.archive import finished_cells, read_archive

# Small images: what is tried is reading and writing.
_SIZES = ["--epochs", "2", "--limit-train", "64", "--validation", "64", "--image-size", "8", "--pad", "1"]
_SETTINGS = ["--preset", "smoke", *_SIZES, "--threads", "1", "--precision", "float32"]


Command = list[str] | Callable[[], int]


@dataclass(frozen=True)
class Scenario:
    """A command under faults.

    Attributes:
        prepare: makes what lies there before, in an empty folder.
        command: returns the command line for that folder, which depends on what an earlier try has left.
        watched: the part of the folder in which calls fail.
        kept: returns a digest of all that must be whole after a failure, by reading it as the program does.
        ended: returns a digest of what the finished command leaves.
    """

    name: str
    prepare: Callable[[Path], None]
    command: Callable[[Path], Command]
    watched: str
    kept: Callable[[Path], object]
    ended: Callable[[Path], object]


def nothing(folder: Path) -> None:
    """Begin in an empty folder."""


def train(folder: Path) -> list[str]:
    """Train, or go on with what an earlier try has left."""
    if (folder / "run" / "config.yaml").exists():
        return ["resume", "run"]
    return ["train", "image", *_SETTINGS, "--distributions", "all", "--out", "run"]


def read_run(folder: Path) -> object:
    """Read all that a run folder holds, as readers do."""
    if not (folder / "run" / "config.yaml").exists():
        return None
    run = RunFolder.open(folder / "run")
    if run.saved:
        _, values = _read(run.checkpoints / "last.safetensors")
        assert '"epoch"' in values["counters"]
        _read(run.weights)
    return run.config(), run.card(), run.status(), run.metrics(), run.layers(), run.environment(), run.done


def trained(folder: Path) -> object:
    """Return digests of what a finished run holds."""
    assert RunFolder.open(folder / "run").done
    return soak.content(folder / "run")


def two_cells(folder: Path) -> None:
    """Make a study of finished runs, and an archive of half of it."""
    synthetic.make_study(folder / "study", axes={"norm": ["batch", "none"]}, seeds=1, epochs=2)
    whole = folder / "whole"
    shutil.copytree(folder / "study", whole / "study")
    shutil.rmtree(next((whole / "study" / "cells").iterdir()))
    (folder / "out").mkdir()
    from normlab.runs.archive import pack_study

    pack_study(whole / "study", folder / "out" / "study.zip")
    (folder / "out" / "report.html").write_text("<html>an older report</html>\n", encoding="utf-8")
    shutil.rmtree(whole)


def read_packed(folder: Path) -> object:
    """Return the cells of the archive, which must be one or both."""
    cells = finished_cells(read_archive(folder / "out" / "study.zip"))
    assert len(cells) in (1, 2)
    return cells


def packed(folder: Path) -> object:
    """Return a digest of the finished archive."""
    return hashlib.sha256((folder / "out" / "study.zip").read_bytes()).hexdigest()


def read_report(folder: Path) -> object:
    """Return the report's text, which must be whole: the older one or the new one."""
    text = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>")
    return text.count("<h2>")


def predict_from(folder: Path) -> None:
    """Make a picture to predict."""
    import numpy as np
    from PIL import Image

    (folder / "out").mkdir()
    Image.fromarray(np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)).save(folder / "picture.png")


def read_predictions(folder: Path) -> object:
    """Return the file of predictions, which must be absent or whole."""
    path = folder / "out" / "classes.csv"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    assert len(lines) in (0, 2)
    return lines


def run_to_publish(folder: Path) -> None:
    """Make a run to publish, and the folder that will hold its model."""
    shipped(folder)
    (folder / "out").mkdir()


def publish(folder: Path) -> Command:
    """Publish the run, unless an earlier try has done so: then the command would refuse."""
    return (lambda: 0) if (folder / "out" / "model").exists() else ["publish", "run", "--out", "out/model"]


def read_published(folder: Path) -> object:
    """Return digests of the published model, which must be whole or absent."""
    look_at_published(folder / "out" / "model")
    return soak.content(folder / "out" / "model")


def keep_libraries() -> int:
    """Keep two compiled libraries in the cache; say what the system refuses, as `kernels/runtime/build.py` does."""
    try:
        build_kernels(Path.cwd())
    except OSError as error:
        print(f"normlab: {error}", file=sys.stderr)
        return 1
    return 0


def read_kernels(folder: Path) -> object:
    """Take the libraries from the cache, or build them again."""
    look_at_kernels(folder, (), folder, False)
    return None


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("run", nothing, train, "run", read_run, trained),
        Scenario("cache", nothing, train, "cache", read_run, trained),
        Scenario(
            "archive",
            two_cells,
            lambda folder: ["study", "pack", "study", "--out", "out/study.zip"],
            "out",
            read_packed,
            packed,
        ),
        Scenario(
            "report",
            two_cells,
            lambda folder: ["report", "study", "--out", "out/report.html"],
            "out",
            read_report,
            read_report,
        ),
        Scenario(
            "predictions",
            predict_from,
            lambda folder: ["predict", "cifar10-batch", "picture.png", "--out", "out/classes.csv"],
            "out",
            read_predictions,
            read_predictions,
        ),
        Scenario("publish", run_to_publish, publish, "out", read_published, read_published),
        Scenario("kernels", nothing, lambda folder: keep_libraries, "cache", read_kernels, read_kernels),
    )
}
