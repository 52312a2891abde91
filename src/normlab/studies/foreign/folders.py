"""What the formats of one folder per run share: the seed of a run, its variant, and the sentence on how it was read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from normlab.errors import UserError, did_you_mean, shortened
from normlab.plurals import plural
from normlab.studies.foreign import names
from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.training import Training


def named_trainings(trainings: Sequence[Training], asked: Asked) -> None:
    """Give each training its seed, from its settings or else from its name, and a variant where settings tell none.

    Raises: UserError naming the first run without a seed.
    """
    split = names.split_names([training.name for training in trainings])
    with_seed = _seed_setting(trainings, asked)
    for training, (_, seed) in zip(trainings, split, strict=True):
        training.seed = seed if with_seed is None else _whole(training, with_seed)
    settings = list(dict.fromkeys(name for training in trainings for name in training.values if name != with_seed))
    told = [name for name in settings if len({repr(each.values.get(name)) for each in trainings}) > 1]
    for index, (training, (variant, _)) in enumerate(zip(trainings, split, strict=True)):
        training.values.pop(with_seed or "", None)
        if asked.unpaired:
            training.seed = index
        if training.seed is None:
            raise UserError(
                f"{training.where}: nothing says the seed: log it as the setting 'seed', or write it into the run's "
                f"name, as in {variant.strip('/')}-seed0"
            )
        if not told:
            training.values["variant"] = variant


def axes_asked(trainings: Sequence[Training], asked: Asked) -> tuple[str, ...] | None:
    """Return the settings that the user named as variants, None if they named none.

    Raises: UserError for one that no run has.
    """
    if not asked.variant:
        return None
    known = list(dict.fromkeys(name for training in trainings for name in training.values))
    for name in asked.variant:
        if name not in known:
            raise UserError(f"--variant: no run has a setting '{name}': {did_you_mean(name, known)}")
    return asked.variant


def said_of_folders(path: Path, what: str, trainings: Sequence[Training], clock: str) -> str:
    """Return how a folder of runs was read, in a line."""
    metrics = ", ".join(dict.fromkeys(name for training in trainings for name in training.finals))
    return (
        f"{path.name}: {plural(len(trainings), 'run')} of {what}; curves over '{clock}', of which the last value "
        f"counts; metrics: {metrics}"
    )


def _seed_setting(trainings: Sequence[Training], asked: Asked) -> str | None:
    settings = list(dict.fromkeys(name for training in trainings for name in training.values))
    if asked.seed and asked.seed not in settings:
        raise UserError(f"--seed: no run has a setting '{asked.seed}': {did_you_mean(asked.seed, settings)}")
    return asked.seed or names.first_of(settings, names.SEED_NAMES)


def _whole(training: Training, setting: str) -> int | None:
    value = training.values.get(setting)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{training.where}: setting '{setting}' is {shortened(value)}: a seed is a whole number")
    return value
