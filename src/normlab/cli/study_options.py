"""Options that `study` and `tune` share: a task's settings, axes, and the size of what is planned."""

from __future__ import annotations

import argparse
from typing import Any

from normlab.cli.parser import at_least, given_option, wants_help
from normlab.errors import UserError
from normlab.yaml_file import parse_yaml

MOST_SEEDS = 1000


def study_config_class(words: list[str]) -> Any:
    """Return the configuration class of the study named on the command line; the image task's for `--help`."""
    from normlab.studies.plan import StudyFile, find_study
    from normlab.tasks import task_settings

    named = [word for word in words[:1] if not word.startswith("-")]
    task = StudyFile.from_yaml(find_study(named[0])).task if named else "image"
    return task_settings(task).config_class


def study_values(words: list[str]) -> tuple[dict[str, Any], str]:
    """Return the settings of the cells of the named study and where they come from, for its help."""
    from normlab.studies.plan import make_plan

    named = [word for word in words[:1] if not word.startswith("-")]
    if not named or not wants_help(words):
        return {}, ""
    scale = given_option(words, "--scale") or "demo"
    configs = [cell.config.model_dump() for cell in make_plan(named[0], scale=scale).cells]
    values: dict[str, Any] = {}
    for name in configs[0]:
        different = list({repr(config[name]): config[name] for config in configs}.values())
        values[name] = different[0] if len(different) == 1 else f"compared: {', '.join(map(str, different))}"
    return values, f"in {named[0]} at the scale {scale}"


def add_axis(parser: argparse.ArgumentParser) -> None:
    """Add the flag that compares other values than the study's file does."""
    parser.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="NAME=V,V",
        help="compare these values of a setting, instead of the study's or besides; may be repeated",
    )


def given_axes(options: argparse.Namespace) -> dict[str, list[Any]]:
    """Return the axes given with `--axis`, their values read as YAML reads them."""
    axes: dict[str, list[Any]] = {}
    for word in options.axis:
        name, _, values = word.partition("=")
        try:
            read = parse_yaml(f"[{values}]", "--axis")
        except UserError:
            read = None
        if not name or not read:
            raise UserError(f"--axis {word[:80]}: give a setting and its values, e.g. --axis norm=batch,group")
        if name.replace("-", "_") in axes:
            raise UserError(f"--axis {name}: is given twice: give all its values at once, --axis {name}=V,V")
        axes[name.replace("-", "_")] = read
    return axes


def refuse_small(options: argparse.Namespace) -> None:
    """Refuse numbers of seeds, workers and the like that are too small, and more seeds than MOST_SEEDS."""
    names = ("seeds", "workers", "concurrent", "trials")
    at_least(1, **{name: getattr(options, name, None) for name in names})
    at_least(0, gpus_per_cell=getattr(options, "gpus_per_cell", None))
    if (options.seeds or 0) > MOST_SEEDS:
        raise UserError(f"--seeds {options.seeds}: give {MOST_SEEDS} or fewer")
    cpus = getattr(options, "cpus_per_cell", None)
    if cpus is not None and not cpus > 0:
        raise UserError(f"--cpus-per-cell {cpus:g}: a cell needs a part of a processor")
