"""The counters of a run beside weights and optimiser: finished epochs and steps, and the best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from normlab.errors import UserError, did_you_mean
from normlab.metrics import sign
from normlab.plurals import plural
from normlab.train_config import TrainConfig


@dataclass
class Counters:
    """Plain numbers, saved as JSON in the checkpoint."""

    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps
    best_epoch: int = 0
    best_value: float | None = None
    stale_epochs: int = 0  # since the monitored value last rose above the reference by more than `min_delta`
    reference: float | None = None  # what patience measures progress from
    reference_epoch: int = 0
    processes: int = 1  # that train together; batch norms may depend on it
    seconds: float = 0.0  # over all processes that worked on the run

    @classmethod
    def restored(cls, values: Mapping[str, Any], where: str) -> Counters:
        """Return the counters of a checkpoint; what an older checkpoint lacks has its initial value.

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

        The best epoch is the strictly best one. Patience has its own reference, as in Keras' and Lightning's early
        stopping: it is replaced only by a value that is better by more than `min_delta`, and then patience restarts. So
        small gains add up until they count as progress, and slow but steady gains do not stop a run.
        Raises: UserError if the record does not hold the monitored metric, or it has no better side.
        """
        if monitor not in record:
            measured = sorted(name for name in record if name.startswith(("val/", "train/")))
            raise UserError(f"monitor: '{monitor}' is not measured after each epoch: {did_you_mean(monitor, measured)}")
        value, direction = record[monitor], sign(monitor)
        if self.reference is None:  # the first epoch, or an older checkpoint, without a reference
            self.reference, self.reference_epoch = self.best_value, self.best_epoch
        if self.reference is None or direction * (value - self.reference) > min_delta:
            self.reference, self.reference_epoch, self.stale_epochs = value, self.epoch, 0
        else:
            self.stale_epochs += 1
        improved = self.best_value is None or direction * (value - self.best_value) > 0
        if improved:
            self.best_value, self.best_epoch = value, self.epoch
        return improved

    def wants_more(self, config: TrainConfig) -> bool:
        """Return whether another epoch is due."""
        return self.epoch < config.epochs and not self.out_of_patience(config)

    def out_of_patience(self, config: TrainConfig) -> bool:
        """Return whether `patience` epochs in a row brought no progress; of an extended run since then."""
        ended = config.extended_at[-1] if config.extended_at else 0
        return config.patience is not None and min(self.stale_epochs, self.epoch - ended) >= config.patience

    def reason_to_stop(self, config: TrainConfig, monitor: str) -> str:
        """Return why a run ends before its last epoch, for the log; empty if it does not."""
        if self.epoch >= config.epochs or not self.out_of_patience(config):
            return ""
        by_more = f" by more than {config.min_delta:g}" if config.min_delta else ""
        return (
            f"stopped early after epoch {self.epoch} of {config.epochs}: {monitor} did not improve on "
            f"{self.reference:.6g} of epoch {self.reference_epoch}{by_more} for "
            f"{plural(self.stale_epochs, 'epoch')} (patience {config.patience}); best epoch {self.best_epoch}"
        )
