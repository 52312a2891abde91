"""What a run would cost on this machine: some of its steps and one of each measurement, timed in a temporary folder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from normlab.engine.distributed import ProcessGroup
from normlab.engine.loop import Training
from normlab.engine.progress import Progress
from normlab.engine.splits import measure
from normlab.runs import RunFolder
from normlab.tasks.base import Task
from normlab.train_config import TrainConfig

_WARM_UP = 3  # steps that also compile kernels, fill caches and let the processor reach its speed


def probe_task(task: Task, config: TrainConfig, *, seconds: float = 5.0) -> dict[str, float]:
    """Time parts of a run and return what all of it would take, in seconds of this machine as it is now.

    Args:
        seconds: how long steps are timed; a step of the average length needs many where lengths differ.
    Returns: "setup" (reading data, building the network), "epoch" (its steps and its measurement) and "final" (the
        last measurement of all splits, which takes as long per example as that of the validation split).
    Raises: UserError as training would.
    """
    with tempfile.TemporaryDirectory(prefix="normlab-probe-") as temporary:
        folder = RunFolder.create(Path(temporary) / "run", config, task.name)
        with folder:
            started = time.perf_counter()
            training = Training(task, config, folder, Progress(folder, quiet=True), ProcessGroup())
            setup = time.perf_counter() - started
            steps = training.task.steps_per_epoch(config, training.data)
            step = _seconds_per_step(training, seconds)
            with training.average.in_use():
                after_epoch = _timed(training.measure_epoch, training)
            sizes = {name: size for name, size in training.data.sizes.items() if name != "test" or config.measure_test}
            whole = sum(sizes.values()) / sizes["val"]
            final = whole * _timed(lambda: _measure_val(training), training)
            training.scalars.close({}, 0)
    return {"setup": setup, "epoch": steps * step + after_epoch, "final": final}


def _seconds_per_step(training: Training, seconds: float) -> float:
    """Return the mean over steps after the warm-up; an epoch that is over begins again."""
    _finish(training)
    count, started = -_WARM_UP, time.perf_counter()
    while count < 1 or time.perf_counter() - started < seconds:
        for _ in training.train_steps():
            count += 1
            if count == 0:
                _finish(training)
                started = time.perf_counter()
            elif count > 0 and time.perf_counter() - started >= seconds:
                break
    _finish(training)
    return (time.perf_counter() - started) / count


def _measure_val(training: Training) -> None:
    measure(training.task, training.model, training.data, "val", training.config, training.placement, final=True)


def _timed(function: Callable[[], object], training: Training) -> float:
    started = time.perf_counter()
    function()
    _finish(training)
    return time.perf_counter() - started


def _finish(training: Training) -> None:
    if training.placement.device.type == "cuda":
        torch.cuda.synchronize(training.placement.device)
