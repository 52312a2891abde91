"""What every process but the first does in a run of several: the same steps on its share of each batch, and no more.

It gets the configuration and the checkpoint from the first process, keeps what the loop wants to write in a temporary
folder, and neither evaluates nor decides.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.config import TrainConfig
from normlab.engine.distributed import Crew
from normlab.engine.divergence import DivergedError
from normlab.engine.loop import Training
from normlab.engine.progress import Progress
from normlab.engine.together import finish
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.runs.atomic import write_bytes
from normlab.tasks import TASKS, task_settings
from normlab.tasks.base import Task

_CHECKPOINT = "last.safetensors"


@dataclass(frozen=True)
class _Orders:
    """What the first process tells the others."""

    path: str  # of the run folder, for those who see it
    task: str
    config: dict[str, Any]
    checkpoint: bytes | None


def give_orders(crew: Crew, task: Task, config: TrainConfig, folder: RunFolder) -> None:
    """Tell the others what to train and from where; a finished run is no work for them.

    Raises: UserError if the task cannot be shared by several processes.
    """
    if crew.size == 1:
        return
    if not getattr(task, "shares_batches", False):
        raise UserError(f"{task.name}: trains in one process only: start it without torchrun")
    last = folder.checkpoints / _CHECKPOINT
    checkpoint = last.read_bytes() if last.exists() else None
    path = str(folder.path.resolve())
    crew.tell(None if folder.done else _Orders(path, task.name, config.model_dump(mode="json"), checkpoint))


def follow(crew: Crew) -> Path:
    """Train along until the first process says that it is enough; return the run folder, which only it has written."""
    orders: _Orders | None = crew.tell()
    if orders is None:
        return Path()
    config = task_settings(orders.task).config_class.parse(orders.config, "the first process")
    with tempfile.TemporaryDirectory(prefix="normlab-follower-") as scratch:
        folder = RunFolder(scratch)
        if orders.checkpoint is not None:
            write_bytes(folder.checkpoints / _CHECKPOINT, orders.checkpoint)
        training = Training(TASKS.get(orders.task), config, folder, Progress(folder, quiet=True), crew)
        while crew.agree(False):
            with suppress(DivergedError):  # all processes see it at the same step; the first one tells what follows
                finish(training.train_steps())
            training.counters.epoch += 1
    return Path(orders.path)
