"""Two studies side by side: what both trained, with paired differences, and what only one of them has."""

from __future__ import annotations

from typing import Any, NamedTuple

from normlab.metrics import heading, is_fraction
from normlab.plurals import plural
from normlab.report.blocks import Block, Bullets, Cell, Column, Section, Table, Text
from normlab.report.cells import interval_cell
from normlab.report.comparing import compare_all, missing
from normlab.report.numbers import DASH, difference_text, listing, p_text
from normlab.report.view import StudyView, Variant, variant_label

_HELP = (
    "Variants are common if they agree in every setting that is an axis of either study. Their difference is "
    "taken seed by seed, second minus first, where both studies trained a seed; its interval and p-value are "
    "Holm-corrected for the number of rows. Other settings in which the two studies differ "
    "are listed above the table: the difference is the effect of all of them together."
)


class Common(NamedTuple):
    """A variant that both studies have."""

    label: str
    first: Variant
    second: Variant


def section(first: StudyView, second: StudyView) -> Section:
    """Compare two studies of one task."""
    names = _names(first, second)
    common, only_first, only_second = matched(first, second)
    blocks: list[Block] = [Text(_settings(first, second, names))]
    if common:
        blocks.append(_table(common, first.headline, names))
    else:
        blocks.append(Text("The two have no variant in common.", tone="note"))
    only = [
        f"Only in {name}: {listing([variant.label for variant in variants])}."
        for name, variants in zip(names, (only_first, only_second), strict=True)
        if variants
    ]
    blocks += [Bullets(only)] if only else []
    return Section("side-by-side", f"{names[0]} beside {names[1]}", blocks, help=_HELP)


def matched(first: StudyView, second: StudyView) -> tuple[list[Common], list[Variant], list[Variant]]:
    """Return the variants of both, and those of the first and the second alone."""
    axes = list(dict.fromkeys(axis for view in (first, second) for variant in view.variants for axis in variant.values))
    named = all("variant" in variant.values for view in (first, second) for variant in view.variants)
    axes = [axis for axis in axes if axis != "run" and (axis != "variant" or named)]
    of_first = {_identity(variant, axes): variant for variant in first.variants}
    of_second = {_identity(variant, axes): variant for variant in second.variants}
    common = [
        Common(variant_label({axis: _setting(of_first[key], axis) for axis in axes}), of_first[key], of_second[key])
        for key in of_first
        if key in of_second
    ]
    in_both = {id(variant) for each in common for variant in (each.first, each.second)}
    alone = [[variant for variant in view.variants if id(variant) not in in_both] for view in (first, second)]
    return common, alone[0], alone[1]


def _identity(variant: Variant, axes: list[str]) -> str:
    return repr([_setting(variant, axis) for axis in axes])


def _setting(variant: Variant, axis: str) -> Any:
    """Return a variant's value on an axis of either study: its own, or what its cells were configured with."""
    if axis in variant.values:
        return variant.values[axis]
    return next((cell.config[axis] for cell in variant.cells if axis in cell.config), None)


def _table(common: list[Common], metric: str, names: list[str]) -> Table:
    differences = compare_all([(each.second, each.first) for each in common], metric)
    unit = " %" if is_fraction(metric) else ""
    title = heading(metric)
    columns = [
        Column("Variant", numeric=False),
        Column(title, group=names[0]),
        Column(title, group=names[1]),
        Column("Second − first", group="Paired", hint="percentage points" if unit else "more is better"),
        Column("Holm p", group="Paired"),
        Column("Seeds", group="Paired"),
        Column("Verdict", group="Paired", numeric=False),
    ]
    rows = []
    for each, adjusted in zip(common, differences, strict=True):
        cells = [Cell(each.label, style=each.first.style)]
        cells += [interval_cell(variant.interval(metric), metric) for variant in (each.first, each.second)]
        if adjusted is None:
            rows.append([*cells, Cell(DASH), Cell(DASH), Cell("0"), Cell("no common seed")])
            continue
        interval = adjusted.interval
        text, _, detail = difference_text(interval).partition(" ") if unit else (f"{interval.mean:+.4g}", "", "")
        verdict = "better" if interval.mean > 0 else "worse"
        rows.append(
            [
                *cells,
                Cell(text, detail, sort=f"{interval.mean:.8g}"),
                Cell(p_text(adjusted.p_value), sort=f"{adjusted.p_value:.6g}") if interval.n > 1 else Cell(DASH),
                Cell(str(interval.n)),
                Cell(verdict) if adjusted.decided else Cell("undecided", missing(adjusted).removesuffix(" would")),
            ]
        )
    return Table("side_by_side", columns, rows)


def _settings(first: StudyView, second: StudyView, names: list[str]) -> str:
    """Say in which settings the two differ beside their axes."""
    shared = [_shared(view) for view in (first, second)]
    keys = [key for key in shared[0] if key in shared[1] and shared[0][key] != shared[1][key]]
    sizes = f"{plural(len(first.cells), 'run')} and {plural(len(second.cells), 'run')}"
    if not keys:
        return f"{sizes}; what all cells of each share is set alike in both."
    differing = "; ".join(f"{key.replace('_', ' ')} {shared[0][key]} against {shared[1][key]}" for key in keys)
    return f"{sizes}. {names[0]} against {names[1]}: {differing}."


def _shared(view: StudyView) -> dict[str, Any]:
    """Return the settings that all cells of a study share and that change a result."""
    configs = [cell.config for cell in view.cells if cell.config]
    first = configs[0] if configs else {}
    return {
        key: value
        for key, value in first.items()
        if key not in {"seed", "task", "device", "threads"} and all(config.get(key) == value for config in configs)
    }


def _names(first: StudyView, second: StudyView) -> list[str]:
    """Return how the two are told apart: by title, or by scale and data, or by their order on the command line."""
    for options in (
        [view.study.title for view in (first, second)],
        [f"{view.study.title} ({view.study.scale}, {view.data_name})" for view in (first, second)],
        [f"{view.study.title} ({view.study.path.name})" for view in (first, second)],
    ):
        if options[0] != options[1]:
            return options
    return [f"{first.study.title} (first)", f"{second.study.title} (second)"]
