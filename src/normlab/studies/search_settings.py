"""What the `search` block of a study file may say, and the refusal of what would make a search unfair.

    search:
      objective: val/accuracy
      grid: {lr: [0.01, 0.03, 0.1, 0.3]}              every combination is a trial; needs nothing but normlab
    search:
      objective: val/accuracy
      space: {lr: {low: 1e-3, high: 1, log: true}}    trials are drawn; needs Optuna
      trials: 20

A trial is judged by a validation metric. The seed, the number of epochs and what defines the validation split are no
settings to search: a lucky seed is luck, more epochs are more budget, and another split is another measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from normlab.config import Config, affects_result, field_kinds, option
from normlab.errors import UserError, did_you_mean
from normlab.metrics import higher_is_better
from normlab.train_config import TrainConfig

TRIAL = "trial"  # the axis that a space's trials make

_FIXED = {
    "seed": "a seed that does well is luck, not a setting; give `seeds` to repeat every trial",
    "epochs": "every trial has the same budget; set it in `base`",
    "limit_train": "every trial has the same data; set it in `base`",
    "validation": "trials would be measured on different images; set it in `base`",
    "monitor": "the objective picks the best epoch",
    "select": "trials would be measured in different ways; set it in `base`",
}


class Range(Config):
    """The values that a setting may take in a space: an interval, or a list of choices."""

    low: int | float | None = option(None, "smallest value")
    high: int | float | None = option(None, "largest value")
    log: bool = option(False, "draw the logarithm evenly, as learning rates want it")
    step: int | float | None = option(None, "distance between values; none: all of them")
    choices: list[Any] | None = option(None, "values in no order, instead of an interval")

    @property
    def integer(self) -> bool:
        """True if whole numbers are drawn."""
        return isinstance(self.low, int)


class Search(Config):
    """A search as a study file states it."""

    objective: str = option(help="the validation metric that trials are judged by, e.g. val/accuracy")
    grid: dict[str, list[Any]] = option({}, "setting -> values; every combination is a trial")
    space: dict[str, Range] = option({}, "setting -> range; trials are drawn from it")
    trials: int | None = option(None, "space: number of trials of each scheme", ge=1)
    proposals: Literal["tpe", "random"] = option("tpe", "space: how trials are drawn; tpe learns from those before")
    pruner: Literal["median", "none"] = option("median", "space: stop trials below the median of those before")
    startup_trials: int = option(5, "space: so many trials are drawn at random and not pruned", ge=1)
    warmup_epochs: int = option(1, "space: no trial is pruned before so many epochs are over", ge=0)
    draw: int = option(0, "space: seed of the proposals; the training's seeds are the study's `seeds`", ge=0)

    @property
    def settings(self) -> list[str]:
        """The names of what is searched."""
        return list(self.grid or self.space)

    @property
    def budget(self) -> int:
        """The number of trials of each scheme."""
        return self.trials or math.prod(len(values) for values in self.grid.values())

    def axes(self) -> dict[str, list[Any]]:
        """Return the axes that the search adds to a study's: a grid's lists, or the numbers of the trials."""
        return dict(self.grid) if self.grid else {TRIAL: list(range(self.budget))}

    def fixed(self) -> dict[str, Any]:
        """Return the settings that every trial shares: judged by the objective, the test split unseen."""
        return {"monitor": self.objective, "measure_test": False}


def read_search(
    raw: Mapping[str, Any],
    config_class: type[TrainConfig],
    base: Mapping[str, Any],
    where: str,
    *,
    axes: Iterable[str],
    variants: Mapping[str, Mapping[str, Any]],
    claims: Iterable[Mapping[str, Any]] = (),
    seeds: int = 1,
    most: int = 10_000,
) -> Search:
    """Check a `search` block against the task's settings and the rest of its file; `where` is that file.

    Args:
        most: trials of a scheme.
    Raises: UserError in one line for an unknown setting, a wrong bound, a grid mixed with a space, an objective that
        is no validation metric, or a setting that the comparison itself fixes.
    """
    place = f"{where}: search"
    search = Search.parse(_with_ranges(raw, place), place)
    _refuse_mixture(search, seeds, place)
    if search.budget > most:
        raise UserError(f"{place}: {search.budget:,} trials of each scheme are more than {most:,}: try fewer at a time")
    _refuse_test("objective", search.objective, place)
    _refuse_without_direction(search.objective, place)
    for claim in claims:
        _refuse_test("a claim's metric", str(claim.get("metric", "test/accuracy")), where)
    if search.space and list(claims):
        raise UserError(f"{where}: claims need the same points for every scheme: use a grid, or drop the claims")
    if base.get("monitor") not in (None, "", search.objective):
        raise UserError(f"{where}: monitor: the objective picks the best epoch: drop monitor, or make it the objective")
    for name in search.settings:
        _refuse_unsearchable(name, config_class, list(axes), variants, place)

    def canonical(name: str, value: Any) -> Any:
        return getattr(config_class.parse({**base, name: value}, f"{place}: {name}"), name)

    grid = {name: _listed(name, values, canonical, place) for name, values in search.grid.items()}
    space = {name: _resolved(name, bounds, config_class, canonical, place) for name, bounds in search.space.items()}
    return search.model_copy(update={"grid": grid, "space": space})


def _with_ranges(raw: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Read each range by itself, so that an error names its setting."""
    values = dict(raw)
    if isinstance(space := values.get("space"), Mapping):
        for name, bounds in space.items():
            if not isinstance(bounds, Mapping):
                raise UserError(
                    f"{place}: {name}: expected {{low: ..., high: ...}} or {{choices: [...]}}, got {bounds!r}"
                )
        values["space"] = {name: Range.parse(bounds, f"{place}: {name}") for name, bounds in space.items()}
    return values


def _refuse_mixture(search: Search, seeds: int, place: str) -> None:
    if search.grid and search.space:
        raise UserError(f"{place}: a grid and a space at once: give one of the two")
    if not search.grid and not search.space:
        raise UserError(f"{place}: nothing to search: give `grid` (setting -> list) or `space` (setting -> range)")
    if search.space and search.trials is None:
        raise UserError(f"{place}: key 'trials' is missing: the number of trials of each scheme")
    if search.space and seeds > 1:
        raise UserError(f"{place}: a space trains each trial once, {seeds} seeds are asked for: seeds: 1, or a grid")
    if search.grid:
        drawn = sorted(search.model_fields_set & {"trials", "proposals", "pruner", "startup_trials", "warmup_epochs"})
        if drawn:
            raise UserError(f"{place}: {drawn[0]}: a grid trains every combination to its end: drop {drawn[0]}")


def _refuse_without_direction(objective: str, place: str) -> None:
    """Trials are judged: which of two values is better must be known before any is trained."""
    try:
        higher_is_better(objective)
    except UserError as mistake:
        raise UserError(f"{place}: objective: {mistake}") from None


def _refuse_test(what: str, metric: str, place: str) -> None:
    if not metric.startswith("val/"):
        shown = metric.rpartition("/")[2] or "accuracy"
        reason = "is measured once, after the search" if metric.startswith("test/") else "is no validation metric"
        raise UserError(f"{place}: {what}: '{metric}' {reason}: use val/{shown}")


def _refuse_unsearchable(
    name: str,
    config_class: type[TrainConfig],
    axes: list[str],
    variants: Mapping[str, Mapping[str, Any]],
    place: str,
) -> None:
    known = [
        field for field in config_class.model_fields if field not in _FIXED and affects_result(config_class, field)
    ]
    if name in _FIXED:
        raise UserError(f"{place}: {name} is no setting to search: {_FIXED[name]}")
    if name not in config_class.model_fields:
        raise UserError(f"{place}: unknown setting '{name}': {did_you_mean(name, known)}")
    if name not in known:
        raise UserError(f"{place}: {name} does not change a result: drop it")
    if name in axes:
        raise UserError(f"{place}: {name} is an axis, which is compared, not searched: give it in one place")
    for variant, settings in variants.items():
        if name in settings:
            raise UserError(f"{place}: {name} is fixed by the variant '{variant}': drop it there, or from the search")


def _listed(name: str, values: list[Any], canonical: Callable[[str, Any], Any], place: str) -> list[Any]:
    if not values:
        raise UserError(f"{place}: {name}: an empty list: give the values to try")
    canonical_values = [canonical(name, value) for value in values]
    for index, value in enumerate(canonical_values):
        if value in canonical_values[:index]:
            raise UserError(f"{place}: {name}: {value!r} stands twice: drop one")
    return canonical_values


def _resolved(
    name: str, bounds: Range, config_class: type[TrainConfig], canonical: Callable[[str, Any], Any], place: str
) -> Range:
    """Check a range and give its bounds the setting's own type."""
    at = f"{place}: {name}"
    if bounds.choices is not None:
        if bounds.low is not None or bounds.high is not None or bounds.log or bounds.step is not None:
            raise UserError(f"{at}: choices and an interval at once: give one of the two")
        values = _listed(name, bounds.choices, canonical, place)
        if not all(value is None or isinstance(value, bool | int | float | str) for value in values):
            raise UserError(f"{at}: choices must be plain values: a list as a value can stand in a grid")
        return bounds.model_copy(update={"choices": values})
    kinds = field_kinds(config_class, name)
    if not kinds & {int, float}:
        raise UserError(f"{at}: is no number: give choices: [...]")
    if bounds.low is None or bounds.high is None:
        missing = "low" if bounds.low is None else "high"
        raise UserError(f"{at}: key '{missing}' is missing: an interval has low and high")
    low, high = (canonical(name, bound) for bound in (bounds.low, bounds.high))
    if not low < high:
        raise UserError(f"{at}: low {low:g} is not below high {high:g}: exchange them, or give choices")
    if bounds.log and low <= 0:
        raise UserError(f"{at}: low {low:g} has no logarithm: start above zero, or drop log")
    if bounds.log and bounds.step is not None:
        raise UserError(f"{at}: log and step at once: give one of the two")
    if bounds.step is not None and not 0 < bounds.step <= high - low:
        raise UserError(f"{at}: step {bounds.step:g} does not fit between {low:g} and {high:g}: give a smaller one")
    step = bounds.step
    if float not in kinds and step is not None:
        if step != int(step):
            raise UserError(f"{at}: step {step:g} is no whole number, as {name} is: give one")
        step = int(step)
    return bounds.model_copy(update={"low": low, "high": high, "step": step})
