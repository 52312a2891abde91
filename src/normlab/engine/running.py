"""A run from its folder to its result: what a training that ends, fails or is interrupted leaves there."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import suppress
from typing import Any

from normlab.engine.distributed import ProcessGroup
from normlab.engine.loop import Prune, Training
from normlab.engine.progress import Progress
from normlab.engine.together import finish
from normlab.runs import RunFolder, RunState
from normlab.tasks.base import Task
from normlab.train_config import TrainConfig


def train_run(
    task: Task,
    config: TrainConfig,
    folder: RunFolder,
    *,
    quiet: bool = False,
    prune: Prune | None = None,
    group: ProcessGroup | None = None,
) -> dict[str, Any]:
    """Train in a folder, from its last checkpoint if there is one, and return what `result.json` holds.

    In a group of several processes this is what rank 0 does; the others call `engine.follower.train_as_follower`.

    Args:
        prune: returns True after an epoch to end the run. A resumed run asks about its last epoch again, so that an
            interrupt between the epoch and the answer changes nothing.
    Raises: UserError for a mistake in configuration or data, or if another process writes to the folder.
    """
    result: dict[str, Any] = finish(running(task, config, folder, quiet=quiet, prune=prune, group=group))
    return result


def running(
    task: Task,
    config: TrainConfig,
    folder: RunFolder,
    *,
    quiet: bool = False,
    prune: Prune | None = None,
    group: ProcessGroup | None = None,
) -> Generator[None, None, dict[str, Any]]:
    """Do what `train_run` does, pausing after each step, so that several runs can share a process."""
    with folder:
        if folder.done:
            return folder.result()
        folder.set_status(RunState.RUNNING)
        try:
            training = Training(task, config, folder, Progress(folder, quiet=quiet), group or ProcessGroup())
            result = yield from training.run(prune)
        except KeyboardInterrupt:
            folder.set_status(RunState.INTERRUPTED)
            raise
        except Exception as error:
            with suppress(OSError):  # the disk may be full
                folder.log(traceback.format_exc())
                folder.set_status(RunState.FAILED, error=f"{type(error).__name__}: {error}")
            raise
        folder.finish(result)
        return result
