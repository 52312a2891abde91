"""A study's axes: what they may be, the cells that they make, and the names of these.

A mistake in a study's file or after `--axis` is refused here, in one line that names the file or the flag, before any
configuration is built. The number of cells is bounded, and every cell's name is a valid folder name.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from normlab.errors import UserError, did_you_mean, shortened
from normlab.studies.search_settings import TRIAL

VARIANT = "variant"  # the axis that a study's `variants` make
MOST_CELLS = 10_000

ByValue = dict[str, dict[Any, dict[str, Any]]]  # axis -> value -> settings of the cells with that value

_LONGEST_NAME = 200  # bytes; file systems take 255


def read_axes(
    axes: Mapping[str, list[Any]], variants: Mapping[str, Any], asked: Mapping[str, list[Any]], where: str
) -> dict[str, list[Any]]:
    """Return the axes of a study: the file's, with its variants as the first, replaced by what was asked for.

    Raises: UserError for an axis without values, with values that are none, or that a cell would ignore.
    """
    chosen = {VARIANT: list(variants), **axes} if variants else dict(axes)
    chosen |= asked
    if not chosen:
        raise UserError(f"{where}: nothing to compare: give axes or variants")
    for name, values in chosen.items():
        source = f"--axis {name}" if name in asked else f"{where}: axes: {name}"
        _refuse_axis(name, source)
        if not values:
            raise UserError(f"{source}: no values: list what to compare, or drop the axis")
        for value in values:
            _refuse_value(value, source)
    for name in chosen.get(VARIANT, []):
        if not isinstance(name, str) or name not in variants:
            known = did_you_mean(str(name), variants) if variants else "the study has no variants"
            raise UserError(f"{where}: unknown variant {shortened(name)}: {known}")
    return chosen


def _refuse_axis(name: str, where: str) -> None:
    if name == "seed":
        raise UserError(f"{where}: the seeds of a study are 0, 1, 2, ...: give their number as `seeds`, and no axis")
    if name == TRIAL:
        raise UserError(f"{where}: the name of a search's trials: an axis is a setting of the task, or `variants`")


def _refuse_value(value: Any, where: str) -> None:
    """A value is a scalar, or a list of scalars for a setting that takes several numbers."""
    inner = value if isinstance(value, list | tuple) else [value]
    if not all(part is None or isinstance(part, bool | int | float | str) for part in inner):
        hint = "settings that belong together are `variants`: name -> settings"
        raise UserError(f"{where}: {shortened(value)} is no plain value: {hint}")


def refuse_wrong_values(by_value: ByValue, axes: Sequence[Mapping[str, list[Any]]], where: str) -> None:
    """Raise `UserError` for settings of an axis or a value that the study lacks, or that an axis would undo.

    Args:
        axes: those of the file, of the study and of its scale; which of their values a command chooses changes nothing.
    """
    names = {name for block in axes for name, values in block.items() if values}
    for axis, of in by_value.items():
        if axis not in names:
            raise UserError(f"{where}: by_value: unknown axis '{axis}': {did_you_mean(axis, names)}")
        known = {str(value) for block in axes for value in block.get(axis, [])}
        for value, settings in of.items():
            place = f"{where}: by_value: {axis}"
            if str(value) not in known:
                raise UserError(f"{place}: no cell has '{value}': {did_you_mean(str(value), known)}")
            if undone := sorted(set(settings) & names):
                raise UserError(
                    f"{place}: {value}: {undone[0]} is an axis, which sets it in every cell: drop one of the two"
                )


def refuse_undone_variants(
    variants: Mapping[str, Mapping[str, Any]], axes: Mapping[str, list[Any]], where: str
) -> None:
    """Raise `UserError` for a variant's setting that an axis would undo: its cells would be another variant's."""
    for variant, settings in variants.items():
        if undone := sorted(set(settings) & (set(axes) - {VARIANT})):
            place = f"{where}: variants: {variant}"
            raise UserError(f"{place}: {undone[0]} is an axis, which sets it in every cell: drop one of the two")


def refuse_undone_base(key: str, settings: Mapping[str, Any], axes: Iterable[str], where: str) -> None:
    """Raise `UserError` for a setting of all cells, `base` in a file, that an axis of the file sets in each.

    An axis that a command adds replaces such a setting, as a flag does; so does one that a single scale adds.
    """
    if undone := sorted(set(settings) & set(axes)):
        raise UserError(f"{where}: {key}: {undone[0]} is an axis, which sets it in every cell: drop one of the two")


def settings_of(written: Mapping[str, Any], canonical: Mapping[str, Any], by_value: ByValue) -> dict[str, Any]:
    """Return the settings that come with the values of a cell, those of a later axis last.

    Args:
        written: axis -> value as a file or a flag spells it (`bn`).
        canonical: axis -> value as the configuration has it (`batch`); either spelling is found.
    """
    own: dict[str, Any] = {}
    for axis, of in by_value.items():
        spelled = {str(values[axis]) for values in (written, canonical) if axis in values}
        for value, settings in of.items():
            own |= settings if str(value) in spelled else {}
    return own


def refuse_seed(settings: Mapping[str, Any], where: str) -> None:
    """Raise `UserError` if settings of a study fix the seed: each cell has its own."""
    if "seed" in settings:
        raise UserError(f"{where}: seed: the seeds of a study are 0, 1, 2, ...: give their number as `seeds`")


def refuse_undone(
    changes: Mapping[str, Any], axes: Mapping[str, list[Any]], variants: Mapping[str, Mapping[str, Any]], where: str
) -> None:
    """Raise `UserError` for a flag that would do nothing in a cell: an axis, a variant or the seeds set its setting.

    Args:
        changes: settings given for all cells.
        variants: the study's, name -> settings; those that are compared count.
    """
    if "seed" in changes:
        raise UserError("--seed: the seeds of a study are 0, 1, 2, ...: give their number with --seeds")
    for name in changes:
        flag = f"--{name.replace('_', '-')}"
        if name in axes:
            values = ",".join(map(str, axes[name]))
            raise UserError(f"{flag}: {where} compares values of {name}: give all of them, --axis {name}={values}")
        setting = [variant for variant in axes.get(VARIANT, []) if name in variants[variant]]
        if setting:
            others = ",".join(variant for variant in axes[VARIANT] if variant not in setting)
            hint = f"leave it out, --axis {VARIANT}={others}, or drop the flag" if others else "drop the flag"
            raise UserError(f"{flag}: the variant {setting[0]} of {where} sets {name} itself: {hint}")


def combinations(axes: Mapping[str, Sequence[Any]], seeds: int, where: str) -> list[tuple[dict[str, Any], int]]:
    """Return the values and the seed of every cell.

    Raises: UserError if there are more than a study can hold.
    """
    number = math.prod(len(values) for values in axes.values()) * seeds
    if number > MOST_CELLS:
        sizes = " x ".join(
            [
                *(f"{len(values)} {name}" for name, values in axes.items()),
                f"{shortened(seeds)} {'seed' if seeds == 1 else 'seeds'}",
            ]
        )
        raise UserError(f"{where}: {sizes} are more than {MOST_CELLS:,} cells: compare fewer values at a time")
    return [
        (dict(zip(axes, values, strict=True)), seed)
        for values in itertools.product(*axes.values())
        for seed in range(seeds)
    ]


def cell_name(values: Mapping[str, Any], seed: int, where: str) -> str:
    """Return a cell's name, which is also its folder's: axis-value pairs and the seed.

    Raises: UserError if no folder can have it.
    """
    name = "_".join([*(f"{axis}-{value}" for axis, value in values.items()), f"seed-{seed}"]).replace("/", "-")
    if not name.isprintable():
        problem = "has characters that no folder's name should have"
    elif len(name.encode()) > _LONGEST_NAME:
        problem = f"is longer than {_LONGEST_NAME} bytes"
    else:
        return name
    raise UserError(f"{where}: the cell {shortened(name)} {problem}: give such settings a short name as `variants`")
