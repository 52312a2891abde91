"""The names that people import: `train`, `load_run`, and the `Run` that both return."""

from __future__ import annotations

import errno
import time
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from normlab.config import config_hash
from normlab.engine.distributed import ProcessGroup, join_process_group
from normlab.engine.follower import broadcast_run, train_as_follower
from normlab.engine.loop import Prune
from normlab.engine.run import Run, load_run
from normlab.engine.running import running, train_run
from normlab.engine.together import train_together
from normlab.errors import WriteError
from normlab.runs import RunFolder
from normlab.runs.trusted_code import remember
from normlab.tasks import TASKS, task_settings
from normlab.train_config import TrainConfig

__all__ = [
    "Run",
    "default_folder",
    "load_run",
    "preflight",
    "probe_run",
    "train",
    "train_folder",
    "train_folders",
    "train_new",
]


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
    """Make a run folder and train in it. An error before the first epoch is saved removes the folder again.

    An interrupt keeps the folder, which can be resumed.
    """
    with join_process_group() as group:
        if not group.is_rank0:
            return RunFolder(train_as_follower(group))
        preflight(task, [config])
        folder = RunFolder.create(out or default_folder(task), config, task)
        try:
            _train_rank0(group, folder, quiet=quiet)
        except Exception:
            folder.withdraw()
            raise
        return folder


def train_folder(folder: RunFolder, *, quiet: bool = True, prune: Prune | None = None) -> dict[str, Any]:
    """Train with a run folder's configuration from its last checkpoint on, and return the result.

    The result has the same bits as that of an uninterrupted run. A finished run returns at once.

    `prune` is called before each further epoch with the record of the last one; True ends the run as "pruned".
    """
    with join_process_group() as group:
        if group.is_rank0:
            return _train_rank0(group, folder, quiet=quiet, prune=prune)
        train_as_follower(group)
        return {}


def train_folders(folders: Sequence[RunFolder], *, concurrent: int) -> list[dict[str, Any] | Exception]:
    """Train in several folders in this process, a step of each in turn, `concurrent` at once, as `train_folder` does.

    Returns: each one's result, or the exception that ended it, in the folders' order.
    """

    def steps(folder: RunFolder) -> Generator[None, None, dict[str, Any]]:
        run = Run(folder)
        run.refuse_strange_code()
        return (yield from running(run.task, run.config, folder, quiet=True))

    return train_together(map(steps, folders), concurrent)


def preflight(task: str, configs: Iterable[TrainConfig]) -> None:
    """Try the networks and norms of other people's that configurations name, each once, before anything is written.

    Raises: UserError for the first that cannot be trained.
    """
    tried = set()
    for config in configs:
        key = config_hash(config.with_values("preflight", seed=0)) if config.own_code else ""
        if key and key not in tried:
            tried.add(key)
            TASKS.get(task).preflight(config)
            remember(config.own_code)


def probe_run(task: str, config: TrainConfig) -> dict[str, float]:
    """Return what a run would take on this machine, in seconds: see `normlab.engine.probe`."""
    from normlab.engine.probe import probe_task

    return probe_task(TASKS.get(task), config)


def _train_rank0(group: ProcessGroup, folder: RunFolder, *, quiet: bool, prune: Prune | None = None) -> dict[str, Any]:
    run = Run(folder)
    run.refuse_strange_code()
    broadcast_run(group, run.task, run.config, folder)
    try:
        return train_run(run.task, run.config, folder, quiet=quiet, prune=prune, group=group)
    except OSError as error:
        if error.errno not in _FULL and not isinstance(error, WriteError):
            raise
        failure = WriteError(error, error.filename or folder.path)
        if folder.saved:
            failure.next_step = f"continue with `normlab resume {folder.path}`; finished epochs are saved"
        raise failure from error


_FULL = (errno.ENOSPC, errno.EDQUOT)


def default_folder(task: str) -> Path:
    """Return a new folder below `runs/`, named by task and time."""
    stem = Path("runs") / f"{task}-{time.strftime('%Y%m%d-%H%M%S')}"
    candidates = (stem if n == 1 else stem.with_name(f"{stem.name}-{n}") for n in range(1, 1000))
    return next(path for path in candidates if not path.exists())
