"""What a run that has ended leaves in `result.json`."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import torch

from normlab.config import config_hash
from normlab.engine.splits import measured_headline
from normlab.runs import RunState
from normlab.runs.result import Divergence, RunResult

if TYPE_CHECKING:
    from normlab.engine.loop import Training


def result_of(
    training: Training, final: dict[str, Any], state: RunState, diverged: Divergence | None = None
) -> dict[str, Any]:
    """Return a training's result.

    Args:
        final: metrics and tables that were measured after training, as `engine.splits.measure_final` returns them.
    """
    counters, device, config, data = training.counters, training.placement.device, training.config, training.data
    records = training.folder.metrics()
    speeds = {
        name: statistics.median(record[key] for record in records)
        for name, key in (
            ("seconds_per_epoch", "seconds"),
            ("examples_per_second", "examples_per_second"),
        )
        if records
    }
    return RunResult(
        state=state,
        task=training.task.name,
        headline=measured_headline(training.task.headline, final["metrics"]),
        metrics=final["metrics"],
        tables=final["tables"],
        diverged=diverged,
        epochs=counters.epoch,
        steps=counters.step,
        best_epoch=counters.best_epoch,
        stopped_early=diverged is None and counters.epoch < config.epochs,
        parameters=sum(p.numel() for p in training.model.parameters() if p.requires_grad),
        sizes=dict(data.sizes),
        config_hash=config_hash(config),
        data_fingerprint=data.fingerprint,
        fingerprints=data.card.get("fingerprints", {}),
        precision=training.placement.precision,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        threads=torch.get_num_threads(),
        processes=training.group.size,
        peak_memory_mib=training.memory.mib(),
        seconds=counters.seconds,
        **speeds,
    ).values()
