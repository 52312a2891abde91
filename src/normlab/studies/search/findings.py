"""A search's folder read for people: trials by scheme, the best of each, and what the search leaves open.

A trial is one point of the grid or of the space, under all its seeds; its score is the mean of the objective over
them. Only trials whose every seed finished have a score, so nothing half trained can win.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normlab.errors import UserError
from normlab.metrics import higher_is_better, sign
from normlab.runs import RunState
from normlab.studies.search_settings import TRIAL, Search
from normlab.studies.study import Study, StudyCell
from normlab.studies.tables import final_value, label_of


@dataclass(frozen=True)
class Trial:
    """One point that was tried.

    Attributes:
        settings: what was searched, name -> value; empty while a space has not drawn them yet.
        score: mean objective over the seeds; None unless all finished.
        last: for a pruned trial, the best objective of its epochs; None otherwise.
        epochs: trained in all its seeds together; `seconds` likewise.
    """

    name: str
    settings: dict[str, Any]
    cells: list[StudyCell]
    state: RunState
    score: float | None
    last: float | None
    epochs: int
    seconds: float


@dataclass(frozen=True)
class SchemeSearch:
    """The search of one combination of the study's axes."""

    values: dict[str, Any]
    label: str
    trials: list[Trial]
    best: Trial | None

    @property
    def over(self) -> bool:
        """True if no trial waits or runs; failed ones are over until they are run again."""
        return all(trial.state.is_over for trial in self.trials)

    def count(self, state: str) -> int:
        """Return how many trials ended, or stand, in a state."""
        return sum(trial.state == state for trial in self.trials)


def search_of(study: Study) -> Search:
    """Return what the study searched; `UserError` if it is no search."""
    if study.search is None:
        raise UserError(f"{study.path}: a study that searches nothing: give what `normlab tune --out` made")
    return Search.parse(study.search, str(study.path / "study.json"))


def read_schemes(study: Study) -> list[SchemeSearch]:
    """Return the search of each scheme, in the order of the plan."""
    search = search_of(study)
    searched = {TRIAL, *search.settings}
    by_scheme: dict[str, tuple[dict[str, Any], list[Trial]]] = {}
    for values, cells in study.groups():
        compared = {axis: value for axis, value in values.items() if axis not in searched}
        by_scheme.setdefault(json.dumps(compared), (compared, []))[1].append(_read_trial(search, values, cells))
    return [
        SchemeSearch(values, label_of(values), trials, best_trial(trials, search.objective))
        for values, trials in by_scheme.values()
    ]


def best_trial(trials: Sequence[Trial], objective: str) -> Trial | None:
    """Return the trial with the best score, the earliest of equals; None if no trial has a score."""
    turned = sign(objective)
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda trial: turned * (trial.score or 0.0), default=None)


def at_edge(search: Search, best: Trial) -> list[str]:
    """Return the settings whose best value is the first or last that could be tried: better ones may lie beyond."""
    return [name for name in search.settings if name in best.settings and _is_edge(search, name, best.settings[name])]


def within(trials: Sequence[Trial], best: Trial, margin: float, objective: str) -> int:
    """Return how many trials score at most `margin` below the best, itself included."""
    turned = sign(objective)
    return sum(turned * ((best.score or 0.0) - t.score) <= margin + 1e-12 for t in trials if t.score is not None)


def _is_edge(search: Search, name: str, value: Any) -> bool:
    values = search.grid.get(name)
    if values is not None:
        numbers = sorted(v for v in values if _is_number(v))
        return len(numbers) == len(values) > 2 and value in (numbers[0], numbers[-1])
    interval = search.space[name]
    if interval.choices is not None or interval.low is None or interval.high is None:
        return False
    if interval.integer or interval.step is not None:
        return value in (interval.low, interval.high)
    share = position(search, name, value)
    return share < 0.05 or share > 0.95


def position(search: Search, name: str, value: Any) -> float:
    """Return where a value lies in its range or list, from 0 to 1; on the logarithm's scale where it was drawn so."""
    values = search.grid.get(name) or (search.space[name].choices if name in search.space else None)
    if values is not None:
        return values.index(value) / max(1, len(values) - 1)
    interval = search.space[name]
    assert interval.low is not None
    assert interval.high is not None
    scale = math.log if interval.log else float
    return (scale(value) - scale(interval.low)) / (scale(interval.high) - scale(interval.low))


# A trial of several seeds is in the first of these states in which one of its cells is.
_PRECEDENCE = (
    RunState.WAITING,
    RunState.CREATED,
    RunState.RUNNING,
    RunState.INTERRUPTED,
    RunState.FAILED,
    RunState.DIVERGED,
    RunState.PRUNED,
    RunState.FINISHED,
)


def _read_trial(search: Search, values: Mapping[str, Any], cells: list[StudyCell]) -> Trial:
    states = [cell.state for cell in cells]
    state = next(state for state in _PRECEDENCE if state in states)
    scores = [value for cell in cells if (value := final_value(cell, search.objective)) is not None]
    records = [cell.folder.metrics() if cell.state is not RunState.WAITING else [] for cell in cells]
    name = str(values[TRIAL]) if TRIAL in values else ", ".join(str(values[name]) for name in search.settings)
    return Trial(
        name,
        _settings(search, values, cells),
        cells,
        state,
        statistics.fmean(scores) if state is RunState.FINISHED and len(scores) == len(cells) else None,
        _last(records, search.objective) if state is RunState.PRUNED else None,
        sum(len(epochs) for epochs in records),
        sum(record.get("seconds", 0.0) for epochs in records for record in epochs),
    )


def _settings(search: Search, values: Mapping[str, Any], cells: list[StudyCell]) -> dict[str, Any]:
    if search.grid:
        return {name: values[name] for name in search.settings}
    begun = [cell for cell in cells if cell.state is not RunState.WAITING]
    config = begun[0].folder.config() if begun else {}
    return {name: config[name] for name in search.settings if name in config}


def _last(records: Sequence[Sequence[Mapping[str, Any]]], objective: str) -> float | None:
    values = [float(record[objective]) for epochs in records for record in epochs if _is_number(record.get(objective))]
    if not values:
        return None
    return max(values) if higher_is_better(objective) else min(values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
