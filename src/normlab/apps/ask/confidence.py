"""How likely an answer is right, from the model's own probability of its query.

A probability is shared among spellings of the same meaning, so an answer of probability 0.3 is right three times out of
four. A logistic curve over the probability's log-odds (Platt 1999) maps it to how often such answers were right on
databases that training never shows. Its two numbers belong to one model and stand in `calibration.json` beside its
file; `tools/calibrate_ask.py` measures and writes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from normlab.engine.api import Run
from normlab.errors import UserError
from normlab.json_file import read_json

FILE = "calibration.json"
MIN_CONFIDENCE = 0.1
"""Below it nothing is run, unless the user says otherwise: of 1,026 questions 44, of which 2 would have been right."""
NOT_CALIBRATED = "confidence not calibrated for this model: every answer is run"
_LEAST = 1e-12


@dataclass(frozen=True)
class Calibration:
    """confidence = 1 / (1 + exp(-(intercept + slope * log(p / (1 - p))))) for an answer of probability p."""

    intercept: float
    slope: float

    def confidence(self, probability: float) -> float:
        """Return the share of such answers that are right, in [0, 1]; it grows with the probability."""
        p = min(max(probability, _LEAST), 1 - _LEAST)
        return 1 / (1 + math.exp(-(self.intercept + self.slope * math.log(p / (1 - p)))))


def calibration_of(run: Run) -> Calibration | None:
    """Return a model's calibration, None if it was never calibrated.

    Raises: UserError if its file is damaged.
    """
    folder = run.path if run.path.is_dir() else run.path.parent
    path = folder / FILE
    return _read(path) if path.is_file() else None


def _read(path: Path) -> Calibration:
    values = read_json(path)
    found = [values.get(name) if isinstance(values, dict) else None for name in ("intercept", "slope")]
    numbers = [float(number) for number in found if isinstance(number, int | float) and math.isfinite(number)]
    if len(numbers) < 2 or numbers[1] <= 0:
        raise UserError(f"{path}: needs numbers 'intercept' and 'slope', the slope above 0: remove it, or make it anew")
    return Calibration(numbers[0], numbers[1])
