"""One training of another program, and how it answers what a run folder answers: from memory, nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from normlab.errors import UserError
from normlab.runs import RunFolder, RunState
from normlab.studies.foreign.curves import Curves, no_curves


@dataclass
class Training:
    """What was read of one training.

    Attributes:
        where: file and line, or folder, for messages.
        name: its own name, if it has one.
        values: settings by name: those in which trainings differ make the variants.
        seed: None where only the name may tell it.
        records: what was measured over time, each {"epoch": when, metric: value} (`curves.py`); empty without curves.
        finals: metric -> value at the end.
        state: finished, diverged, or failed.
    """

    where: str
    name: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    records: Curves = field(default_factory=no_curves)
    finals: dict[str, float] = field(default_factory=dict)
    state: RunState = RunState.FINISHED

    def measured(self) -> list[str]:
        """Return the metrics that it has anywhere."""
        return list(dict.fromkeys([*self.finals, *self.records.names]))

    def numbers(self, metric: str) -> np.ndarray:
        """Return all that is known of a metric: its values over time, and at the end."""
        return np.append(self.records.of_metric(metric), self.finals.get(metric, np.nan))

    def divide(self, metric: str, by: float) -> None:
        """Divide all that is known of a metric."""
        self.records.divide(metric, by)
        if metric in self.finals:
            self.finals[metric] /= by


class ReadRun(RunFolder):
    """A training of another program, read like the run folder of one of ours."""

    def __init__(self, path: Path, training: Training, headline: str) -> None:
        self.path = path  # what it was read from; there is no folder to lock, and there may be 100,000 of these
        self._training = training
        self._headline = headline

    @property
    def exists(self) -> bool:
        """True: it was read from a file that is there."""
        return True

    @property
    def done(self) -> bool:
        """True unless it failed, so that there is no result."""
        return self._training.state.has_result

    def config(self) -> dict[str, Any]:
        """Return its settings and its seed."""
        return {**self._training.values, "seed": self._training.seed}

    def environment(self) -> dict[str, Any]:
        """Return nothing: it is not known."""
        return {}

    def card(self) -> dict[str, Any]:
        """Return nothing: there is no model."""
        return {}

    def status(self) -> dict[str, Any]:
        """Return {"state": ...}."""
        return {"state": self._training.state}

    def metrics(self) -> Curves:
        """Return the records of its curves."""
        return self._training.records

    def layers(self) -> list[dict[str, Any]]:
        """Return nothing: layers are not read."""
        return []

    def result(self) -> dict[str, Any]:
        """Return headline, metrics and state."""
        if not self.done:
            raise UserError(f"{self._training.where}: the run failed: it has no result")
        diverged = self._training.state is RunState.DIVERGED
        last = self._training.records[-1]["epoch"] if self._training.records else "?"
        return {
            "state": self._training.state,
            "headline": self._headline,
            "metrics": self._training.finals,
            "diverged": {"epoch": last, "reason": f"{self._headline} is not finite"} if diverged else None,
        }
