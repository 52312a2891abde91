"""How likely an answer is right, from the model's own probability of its query.

A probability is shared among spellings of the same meaning, so an answer of probability 0.3 is right three times out of
four. A logistic curve over the probability's log-odds (Platt 1999) maps it to how often such answers were right on
databases that training never shows. Its numbers belong to one model and stand in `calibration.json` beside its
file; `tools/calibrate_ask.py` measures and writes them.

Where the query has run, the other readings say more: those that return the same rows speak for it. The share of all
readings' probability that returns the answer's rows (`agreement.py`) is a second number of a second curve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.engine.api import Run
from normlab.errors import UserError
from normlab.json_file import read_json

FILE = "calibration.json"
MIN_CONFIDENCE = 0.1
"""Below it nothing is run, unless the user says otherwise: of 1,026 questions 44, of which 2 would have been right."""
NOT_CALIBRATED = "confidence not calibrated for this model: every answer is run"
_LEAST = 1e-12


@dataclass(frozen=True)
class Curve:
    """confidence = 1 / (1 + exp(-(intercept + slope * log(p / (1 - p)) + agreement * share of the readings)))."""

    intercept: float
    slope: float
    agreement: float = 0.0

    def confidence(self, probability: float, agreement: float = 0.0) -> float:
        """Return the share of such answers that are right, in [0, 1]; it grows with both."""
        p = min(max(probability, _LEAST), 1 - _LEAST)
        log_odds = self.intercept + self.slope * math.log(p / (1 - p)) + self.agreement * agreement
        return 1 / (1 + math.exp(-log_odds))


@dataclass(frozen=True)
class Calibration(Curve):
    """The curve of a query that has not run; `compared`: that of one whose rows are compared with other readings'."""

    compared: Curve | None = None


def calibration_of(run: Run) -> Calibration | None:
    """Return a model's calibration, None if it was never calibrated.

    Raises: UserError if its file is damaged.
    """
    folder = run.path if run.path.is_dir() else run.path.parent
    path = folder / FILE
    return _read(path) if path.is_file() else None


def _read(path: Path) -> Calibration:
    values = read_json(path)
    intercept, slope = _numbers(path, values, "intercept", "slope")
    compared = values.get("compared")
    if compared is None:
        return Calibration(intercept, slope)
    return Calibration(intercept, slope, compared=Curve(*_numbers(path, compared, "intercept", "slope", "agreement")))


def _numbers(path: Path, values: Any, *names: str) -> list[float]:
    """The numbers of those names; all but the first must be above 0, so that confidence grows."""
    found = [values.get(name) if isinstance(values, dict) else None for name in names]
    numbers = [float(number) for number in found if isinstance(number, int | float) and math.isfinite(number)]
    if len(numbers) < len(names) or min(numbers[1:]) <= 0:
        listed = " and ".join(f"'{name}'" for name in names)
        raise UserError(f"{path}: needs numbers {listed}, all but the intercept above 0: remove it, or make it anew")
    return numbers
