"""What every process but rank 0 does in a run of several processes: the same steps, on its share of each batch.

It receives the configuration and the checkpoint from rank 0 and writes what the loop writes to a temporary folder. It
neither evaluates nor decides whether to go on.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.engine.distributed import ProcessGroup
from normlab.engine.divergence import DivergedError
from normlab.engine.loop import Training
from normlab.engine.progress import Progress
from normlab.engine.together import finish
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.runs.atomic import write_bytes
from normlab.tasks import TASKS, task_settings
from normlab.tasks.base import Task
from normlab.train_config import TrainConfig

_CHECKPOINT = "last.safetensors"


@dataclass(frozen=True)
class _SharedRun:
    """What rank 0 sends to the other processes."""

    path: str  # of the run folder, which the others may not see
    task: str
    config: dict[str, Any]
    checkpoint: bytes | None


def broadcast_run(group: ProcessGroup, task: Task, config: TrainConfig, folder: RunFolder) -> None:
    """Send the other processes what to train and from which checkpoint; None for a finished run.

    Raises: UserError if the task cannot be shared by several processes.
    """
    if group.size == 1:
        return
    if not task.shares_batches:
        raise UserError(f"{task.name}: trains in one process only: start it without torchrun")
    last = folder.checkpoints / _CHECKPOINT
    checkpoint = last.read_bytes() if last.exists() else None
    path = str(folder.path.resolve())
    group.broadcast(None if folder.done else _SharedRun(path, task.name, config.model_dump(mode="json"), checkpoint))


def train_as_follower(group: ProcessGroup) -> Path:
    """Take part in a run until rank 0 stops; return the run folder, which rank 0 alone writes."""
    shared_run: _SharedRun | None = group.broadcast()
    if shared_run is None:
        return Path()
    config = task_settings(shared_run.task).config_class.parse(shared_run.config, "rank 0")
    with tempfile.TemporaryDirectory(prefix="normlab-follower-") as scratch:
        folder = RunFolder(scratch)
        if shared_run.checkpoint is not None:
            write_bytes(folder.checkpoints / _CHECKPOINT, shared_run.checkpoint)
        training = Training(TASKS.get(shared_run.task), config, folder, Progress(folder, quiet=True), group)
        while group.broadcast_continue(False):
            with suppress(DivergedError):  # in all processes at the same step; rank 0 then stops the group
                finish(training.train_steps())
            training.counters.epoch += 1
    return Path(shared_run.path)
