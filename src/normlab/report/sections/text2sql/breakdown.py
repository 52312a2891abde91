"""Scores by level of hardness, by component of the query, by database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from normlab.report.blocks import Block, Cell, Column, Figure, Folded, Key, Section, Table, Text
from normlab.report.cells import interval_cell
from normlab.report.comparing import leading
from normlab.report.figures.levels import levels_figure
from normlab.report.numbers import count
from normlab.report.tagged import SPLIT_NAMES, measured_split, tables_of
from normlab.report.view import StudyView, Variant
from normlab.studies.statistics import Interval, mean_interval

LEVELS = ("easy", "medium", "hard", "extra", "all")
SCORES = {"exact_match": "Exact match", "execution": "Execution, official", "execution_sound": "Execution, any order"}
_PARTS = {"accuracy": "Accuracy %", "recall": "Recall %", "f1": "F1 %"}
_FIGURE = {"exact_match": "Exact match, %", "execution_sound": "Execution, any order, %"}
_HELP = (
    "Execution, any order, is order-insensitive execution accuracy. Levels are Spider's, from the number of clauses "
    "and nested queries of gold. Components are compared one by one: accuracy over the predictions that have the "
    "component, recall over the gold queries that have it. Where both are 0 the official script prints an F1 of 1; "
    "here stands a dash. Databases with few questions swing widely. Means are over the finished seeds."
)


def section(view: StudyView) -> Section | None:
    """Show the three breakdowns once a run has measured them."""
    split = measured_split(view)
    measured = [variant for variant in view.variants if tables_of(variant, split, "scores")]
    best = leading(view)
    if not measured or best is None:
        return None
    blocks: list[Block] = []
    figure = levels_figure([(v.label, v.style, _by_level(v, split)) for v in measured], LEVELS, list(_FIGURE.values()))
    keys = [Key(variant.label, variant.style) for variant in measured]
    blocks.append(Figure("levels", "Right answers by level", figure, keys))
    blocks.append(levels_table(measured, split))
    blocks.append(Text(f"By component, for the leading variant ({best.label}):"))
    blocks.append(components_table(best, split, "components"))
    others = [variant for variant in measured if variant is not best]
    if others:
        tables: list[Block] = [
            components_table(variant, split, f"components_{index}", variant.label)
            for index, variant in enumerate(others)
        ]
        blocks.append(Folded("Components of the other variants", tables))
    blocks.append(Folded("By database", [databases_table(measured, split)]))
    return Section("breakdown", f"By level, component and database, {SPLIT_NAMES[split]}", blocks, help=_HELP)


def levels_table(variants: list[Variant], split: str) -> Table:
    """Return variants by scores and levels."""
    first = tables_of(variants[0], split, "scores")[0]["levels"]
    columns = [Column("Variant", numeric=False)]
    columns += [
        Column(level, group=f"{title} %", hint=f"{count(first[level]['count'])} questions")
        for title in SCORES.values()
        for level in LEVELS
    ]
    rows = [
        [
            Cell(variant.label, style=variant.style),
            *(interval_cell(_level(variant, split, level, score), score) for score in SCORES for level in LEVELS),
        ]
        for variant in variants
    ]
    sizes = ", ".join(f"{level} {count(first[level]['count'])}" for level in LEVELS)
    return Table("levels", columns, rows, caption=f"Shares by level; number of questions: {sizes}.")


def components_table(variant: Variant, split: str, name: str, caption: str = "") -> Table:
    """Return accuracy, recall and F1 of each component, over all levels."""
    tables = [table["levels"]["all"]["partial"] for table in tables_of(variant, split, "scores")]
    columns = [Column("Component", numeric=False), *(Column(title) for title in _PARTS.values())]
    rows = []
    for component in tables[0]:
        values = [table[component] for table in tables if table[component]["accuracy"] or table[component]["recall"]]
        cells = [interval_cell(_mean(value[part] for value in values), "f1") for part in _PARTS]
        rows.append([Cell(component), *cells])
    return Table(name, columns, rows, caption=caption)


def databases_table(variants: list[Variant], split: str) -> Table:
    """Return a row per database, most questions first, with exact match and order-insensitive execution."""
    per_variant = [(variant, [t["databases"] for t in tables_of(variant, split, "scores")]) for variant in variants]
    sizes = {name: row["count"] for _, tables in per_variant for table in tables for name, row in table.items()}
    columns = [Column("Database", numeric=False), Column("Questions")]
    for variant in variants:
        columns += [Column(SCORES[score] + " %", group=variant.label) for score in ("exact_match", "execution_sound")]
    rows = []
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        cells = [
            interval_cell(_mean(table[name][score] for table in tables if name in table), score)
            for _, tables in per_variant
            for score in ("exact_match", "execution_sound")
        ]
        rows.append([Cell(name), Cell(count(sizes[name])), *cells])
    return Table("databases", columns, rows)


def _by_level(variant: Variant, split: str) -> list[list[Interval | None]]:
    return [[_level(variant, split, level, score) for level in LEVELS] for score in _FIGURE]


def _level(variant: Variant, split: str, level: str, score: str) -> Interval | None:
    """None where no question has the level: its share of nothing would read as 0 %."""
    rows = [table["levels"][level] for table in tables_of(variant, split, "scores")]
    return _mean(row[score] for row in rows if row["count"])


def _mean(values: Iterable[Any]) -> Interval | None:
    known = [value for value in values if value is not None]
    return mean_interval(known) if known else None
