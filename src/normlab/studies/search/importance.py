"""How much of the differences between trials each setting explains by itself.

A grid's share is the variance of the means over a setting's values, divided by the variance of all scores (the main
effect in an analysis of variance). Points drawn from a space lie nowhere twice, so a random forest fills the space
first and its predictions are decomposed in the same way (functional ANOVA: Hutter, Hoos & Leyton-Brown 2014,
section 3). What the shares leave open is interaction between settings, and noise.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from normlab.studies.search.findings import Trial, position
from normlab.studies.search_settings import Search

FEWEST_DRAWN = 8  # scored trials below which a forest would only repeat noise
_LEVELS, _OTHERS = 16, 128  # values of one setting, and random points of the others, in the decomposition


def importance(search: Search, trials: Sequence[Trial]) -> dict[str, float] | None:
    """Return setting -> share of the scores' variance that it explains alone, in [0, 1].

    None if too few trials have a score, or all have the same one. Diverged, pruned and failed trials have none.
    """
    scored = [trial for trial in trials if trial.score is not None]
    fewest = FEWEST_DRAWN if search.space else 2
    scores = [trial.score for trial in scored if trial.score is not None]
    if len(scored) < fewest or max(scores) == min(scores):
        return None
    if search.grid:
        return {name: _main_effect([trial.settings[name] for trial in scored], scores) for name in search.settings}
    return _forest_effects(search, scored, scores)


def _main_effect(values: Sequence[Any], scores: Sequence[float]) -> float:
    """Return Var(E[score | value]) / Var(score); values that occur more often weigh more."""
    by_value: dict[str, list[float]] = {}
    for value, score in zip(values, scores, strict=True):
        by_value.setdefault(repr(value), []).append(score)
    mean = statistics.fmean(scores)
    between = sum(len(scores) * (statistics.fmean(scores) - mean) ** 2 for scores in by_value.values())
    return between / sum((score - mean) ** 2 for score in scores)


def _forest_effects(search: Search, trials: Sequence[Trial], scores: Sequence[float]) -> dict[str, float] | None:
    from sklearn.ensemble import RandomForestRegressor

    names = search.settings
    points = np.array([[position(search, name, trial.settings[name]) for name in names] for trial in trials])
    forest = RandomForestRegressor(n_estimators=128, random_state=0).fit(points, scores)
    rng = np.random.default_rng(0)
    others = rng.random((_OTHERS, len(names)))
    for column, name in enumerate(names):
        others[:, column] = rng.choice(_levels(search, name), _OTHERS)
    total = float(forest.predict(others).var())
    if total == 0:
        return None
    shares = [
        float(np.var(_marginal(forest, others, column, _levels(search, name)))) / total
        for column, name in enumerate(names)
    ]
    excess = max(1.0, sum(shares))  # both variances are estimated, so the shares can add up to a little over 1
    return {name: share / excess for name, share in zip(names, shares, strict=True)}


def _levels(search: Search, name: str) -> np.ndarray:
    """Return positions that cover a setting evenly: those of its choices, or the middles of equal parts."""
    choices = search.space[name].choices
    if choices is not None:
        return np.array([position(search, name, value) for value in choices])
    return (np.arange(_LEVELS) + 0.5) / _LEVELS


def _marginal(forest: Any, others: np.ndarray, column: int, levels: np.ndarray) -> list[float]:
    """Return the mean prediction at each level of one setting, over random values of the others."""
    means = []
    for level in levels:
        points = others.copy()
        points[:, column] = level
        means.append(float(forest.predict(points).mean()))
    return means
