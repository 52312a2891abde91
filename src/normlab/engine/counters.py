"""What a run remembers between epochs beside weights and optimiser: where it stands and which epoch was best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from normlab.config import TrainConfig
from normlab.errors import UserError, did_you_mean
from normlab.tasks.base import lower_is_better


@dataclass
class Counters:
    """Plain numbers, saved as JSON in the checkpoint."""

    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps
    best_epoch: int = 0
    best_value: float | None = None
    stale_epochs: int = 0  # since the monitored value last moved by more than `min_delta`
    processes: int = 1  # that train together; batch norms may depend on it
    seconds: float = 0.0  # over all processes that worked on the run

    @classmethod
    def restored(cls, values: Mapping[str, Any], where: str) -> Counters:
        """Return what a checkpoint says; what it lacks, because it is older, is at its start.

        Raises: UserError naming the file, `where`, and a key that is unknown or no number.
        """
        known = {field.name for field in fields(cls)}
        for name, value in values.items():
            missing = value is None and name in ("best_value", "reference")
            if name not in known or not (missing or isinstance(value, int | float)):
                raise UserError(f"{where}: its counters hold {name!r}: {value!r}: restore the file, or train again")
        return cls(**values)

    def judge(self, record: Mapping[str, float], monitor: str, min_delta: float) -> bool:
        """Compare an epoch with the best so far; return whether it is the new best.

        Any gain makes a new best, but only a gain above `min_delta` renews the patience.
        Raises: UserError if the record does not hold the monitored metric.
        """
        if monitor not in record:
            measured = sorted(name for name in record if name.startswith(("val/", "train/")))
            raise UserError(f"monitor: '{monitor}' is not measured after each epoch: {did_you_mean(monitor, measured)}")
        gain = math.inf
        if self.best_value is not None:
            gain = (record[monitor] - self.best_value) * (-1 if lower_is_better(monitor) else 1)
        self.stale_epochs = 0 if gain > min_delta else self.stale_epochs + 1
        if gain > 0:
            self.best_value, self.best_epoch = record[monitor], self.epoch
        return gain > 0

    def wants_more(self, config: TrainConfig) -> bool:
        """Say whether another epoch is due."""
        patient = config.patience is None or self.stale_epochs < config.patience
        return self.epoch < config.epochs and patient
