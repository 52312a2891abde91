"""The names that people import: `train`, `load_run`, and the `Run` that both return."""

from __future__ import annotations

import errno
import time
from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from normlab.config import TrainConfig, untrained_fields
from normlab.engine.checkpoint import load_weights
from normlab.engine.device import choose_placement
from normlab.engine.distributed import Crew, joined
from normlab.engine.follower import follow, give_orders
from normlab.engine.loop import Prune, refuse_other_data, running, train_run
from normlab.engine.splits import measure, write_columns
from normlab.engine.together import train_together
from normlab.errors import UserError, WriteError, did_you_mean
from normlab.runs import RunFolder
from normlab.runs.memory import settled_objects
from normlab.tasks import TASKS, task_settings
from normlab.tasks.base import Placement, Task


class Run:
    """A run on disk with its model at hand.

    Attributes:
        folder: the run folder (`.path`, `.metrics()`, `.environment()`).
        config: the task's configuration object.
    """

    def __init__(self, folder: RunFolder, *, device: str | None = None, **changes: Any) -> None:
        self.folder = folder
        values = folder.config()
        place = str(folder.path / "config.yaml")
        name = values.pop("task", None)
        if name is None:
            raise UserError(f"{place}: key 'task' is missing: add `task: image`, say")
        self.task: Task = TASKS.get(name)
        config = task_settings(name).make(None, values, place)
        self.config: TrainConfig = config if device is None else config.with_values("device", device=device)
        self.config = _changed(self.config, changes)

    @property
    def path(self) -> Path:
        """Where the run lies."""
        return self.folder.path

    @property
    def result(self) -> dict[str, Any]:
        """The final result; `UserError` if the run is not done."""
        return self.folder.result()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One record per epoch."""
        return self.folder.metrics()

    @cached_property
    def placement(self) -> Placement:
        """Where and in which precision the model computes here."""
        return choose_placement(self.config, self.folder.card().get("precision"))

    @cached_property
    def model(self) -> nn.Module:
        """The trained network, in evaluation mode, with the weights that validation chose."""
        card = self.folder.card()
        if not card:
            raise UserError(f"{self.path}: has not been trained yet: `normlab resume {self.path}`")
        try:
            model = self.task.build(self.config, card)
        except UserError as error:
            raise error if str(self.path) in str(error) else UserError(f"{self.path}: {error}") from None
        except Exception as error:  # training built it: what was written down then has changed
            raise UserError(
                f"{self.path}: config.yaml and card.json do not describe a model ({type(error).__name__}: {error}): "
                "they were edited or damaged; restore them, or train again"
            ) from error
        load_weights(self.folder.checkpoints / "model.safetensors", model)
        return model.to(self.placement.device).eval()

    def predict(self, source: Any) -> Iterator[dict[str, Any]]:
        """Yield one record per input, in order; the task says what a record holds (an image: class, probabilities)."""
        return self.task.predict(self.model, source, self.config, self.folder.card(), self.placement)

    def predict_to(self, source: Any, out: Path, form: str = "auto") -> int:
        """Predict into a file; return the number of records."""
        records = self.predict(source)
        with settled_objects():
            return self.task.write_predictions(records, out, form, source)

    def read_as(self, source: Any) -> str:
        """Return what `predict` takes a source for ("running text"); "" if the task has nothing to guess."""
        describe = getattr(self.task, "read_as", None)
        return str(describe(source, self.config, self.folder.card())) if describe is not None else ""

    def evaluate(self, split: str, *, data: str | None = None) -> dict[str, Any]:
        """Measure a split with the trained weights; returns {"metrics": ..., "tables": ...}.

        Args:
            split: train, val or test.
            data: where the data lie now, if they have moved since training.
        Raises: UserError if there is no such split, or the data are not those of the training.
        """
        config = self.config if data is None else self.config.with_values("data", data=data)
        data_set = self.task.prepare(config)
        refuse_other_data(self.folder, data_set)
        if split not in data_set.sizes:
            raise UserError(f"unknown split '{split}': {did_you_mean(split, data_set.sizes)}")
        found = measure(self.task, self.model, data_set, split, config, self.placement, final=True)
        write_columns(self.folder, split, found.predictions)
        return {"metrics": found.metrics, "tables": found.tables}


def train(
    task: str, *, out: Path | str | None = None, preset: str | None = None, quiet: bool = True, **config: Any
) -> Run:
    """Train a model and return its run.

    Args:
        task: a name of `TASKS`.
        out: the run folder; default `runs/TASK-TIME`.
        preset: named changes to the defaults (`smoke`, `demo`, `full`, ...).
        quiet: write to the run's log only.
        config: fields of the task's configuration.
    Raises: UserError for a wrong name, value or file.
    """
    full = task_settings(task).make(preset, config, "train")
    return Run(train_new(task, full, out, quiet=quiet))


def train_new(task: str, config: TrainConfig, out: Path | str | None, *, quiet: bool) -> RunFolder:
    """Make a run folder and train in it. Whatever ends it before an epoch is saved leaves no folder behind.

    An interrupt is no mistake: it keeps the folder, to be resumed.
    """
    with joined() as crew:
        if not crew.first:
            return RunFolder(follow(crew))
        folder = RunFolder.create(out or default_folder(task), config, task)
        try:
            _lead(crew, folder, quiet=quiet)
        except Exception:
            folder.withdraw()
            raise
        return folder


def train_folder(folder: RunFolder, *, quiet: bool = True, prune: Prune | None = None) -> dict[str, Any]:
    """Train what a run folder's configuration asks for, from its last checkpoint on, to the same bits as without a
    stop; return the result. A finished run returns at once.

    `prune` is asked before each further epoch with the last one's record; True ends the run as "pruned".
    """
    with joined() as crew:
        if crew.first:
            return _lead(crew, folder, quiet=quiet, prune=prune)
        follow(crew)
        return {}


def train_folders(folders: Sequence[RunFolder], *, concurrent: int) -> list[dict[str, Any] | Exception]:
    """Train in several folders in this process, a step of each in turn, `concurrent` at once, as `train_folder` does.

    Returns: each one's result, or the exception that ended it, in the folders' order.
    """

    def steps(folder: RunFolder) -> Generator[None, None, dict[str, Any]]:
        run = Run(folder)
        return (yield from running(run.task, run.config, folder, quiet=True))

    return train_together(map(steps, folders), concurrent)


def _lead(crew: Crew, folder: RunFolder, *, quiet: bool, prune: Prune | None = None) -> dict[str, Any]:
    run = Run(folder)
    give_orders(crew, run.task, run.config, folder)
    try:
        return train_run(run.task, run.config, folder, quiet=quiet, prune=prune, crew=crew)
    except OSError as error:
        if error.errno not in _FULL and not isinstance(error, WriteError):
            raise
        trouble = WriteError(error, error.filename or folder.path)
        if folder.saved:
            trouble.next_step = f"go on with `normlab resume {folder.path}`; finished epochs are saved"
        raise trouble from error


_FULL = (errno.ENOSPC, errno.EDQUOT)


def load_run(path: Path | str, *, device: str | None = None, **changes: Any) -> Run:
    """Open a run folder.

    Args:
        device: where to compute now.
        changes: other values of settings that training did not depend on, such as text2sql's `beam_size`.
    Raises: UserError if it is no run folder, or a change is none of those.
    """
    return Run(RunFolder.open(path), device=device, **changes)


def _changed(config: TrainConfig, changes: dict[str, Any]) -> TrainConfig:
    free = untrained_fields(type(config))
    for name in changes:
        if name not in free:
            known = f"only {', '.join(free)} can be" if free else "nothing of this task's can be"
            raise UserError(f"'{name}' cannot be changed after training: {known}")
    return config.with_values("changed settings", **changes) if changes else config


def default_folder(task: str) -> Path:
    """Return a new place below `runs/`, named by task and time."""
    stem = Path("runs") / f"{task}-{time.strftime('%Y%m%d-%H%M%S')}"
    candidates = (stem if n == 1 else stem.with_name(f"{stem.name}-{n}") for n in range(1, 1000))
    return next(path for path in candidates if not path.exists())
