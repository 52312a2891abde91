"""Scores by type of entity: precision, recall and F1 of each, read leniently and strictly."""

from __future__ import annotations

from typing import Any

from normlab.report.blocks import Block, Cell, Column, Folded, Section, Table, Text
from normlab.report.cells import interval_cell
from normlab.report.comparing import leading
from normlab.report.numbers import DASH, count
from normlab.report.tagged import SPLIT_NAMES, entity_types, measured_split, tables_of
from normlab.report.view import StudyView, Variant
from normlab.studies.statistics import mean_interval

_READINGS = {"default": "As conlleval reads", "strict": "Strict"}
_SCORES = {"precision": "Precision %", "recall": "Recall %", "f1": "F1 %"}
_HELP = (
    "Means over the finished seeds. Types stand in order of their number of gold entities (support). As conlleval "
    "reads: a tag that continues nothing opens an entity. Strict: of those, only entities that are spelled as the "
    "scheme asks count, predicted and gold. Legal tag sequences, which a constrained CRF guarantees, make both equal. "
    "Types with few entities swing widely between seeds, and the macro mean with them."
)


def section(view: StudyView) -> Section | None:
    """Show F1 by type of every variant, and all scores of each."""
    split = measured_split(view)
    types = entity_types(view, split)
    best = leading(view)
    if not types or best is None:
        return None
    measured = [variant for variant in view.variants if tables_of(variant, split, "entities")]
    blocks: list[Block] = []
    if len(measured) > 1:
        blocks.append(types_by_variant(measured, split, types))
    blocks.append(Text(f"In full, for the leading variant ({best.label}):"))
    blocks.append(type_table(best, split, types, "types"))
    others = [variant for variant in measured if variant is not best]
    if others:
        tables: list[Block] = [
            type_table(variant, split, types, f"types_{index}", caption=variant.label)
            for index, variant in enumerate(others)
        ]
        blocks.append(Folded("The same for the other variants", tables))
    return Section("types", f"Types of entities, {SPLIT_NAMES[split]}", blocks, help=_HELP)


def types_by_variant(variants: list[Variant], split: str, types: list[str]) -> Table:
    """Return the F1 of each type, read leniently, one row per variant; the best of a type is bold."""
    first = tables_of(variants[0], split, "entities")[0]["default"]
    columns = [Column("Variant", numeric=False)]
    columns += [Column(name, hint=f"{count(first[name]['support'])} entities") for name in types]
    grid = [[_mean(variant, split, "default", name, "f1") for name in types] for variant in variants]
    best = [max((row[i].mean for row in grid if row[i]), default=None) for i in range(len(types))]
    rows = [
        [
            Cell(variant.label, style=variant.style),
            *(
                interval_cell(value, "f1", strong=len(variants) > 1 and value is not None and value.mean == top)
                for value, top in zip(row, best, strict=True)
            ),
        ]
        for variant, row in zip(variants, grid, strict=True)
    ]
    caption = "Entity F1 in percent by type, most frequent type first; hover a type for its number of entities."
    return Table("f1_by_type", columns, rows, caption=caption)


def type_table(variant: Variant, split: str, types: list[str], name: str, caption: str = "") -> Table:
    """Return precision, recall, F1 and support of each type, of all together and of their mean, in both readings."""
    columns = [Column("Type", numeric=False), Column("Entities")]
    columns += [Column(title, group=group) for group in _READINGS.values() for title in _SCORES.values()]
    tables = tables_of(variant, split, "entities")
    rows = []
    for kind, title in [*((kind, kind) for kind in types), ("all", "all (micro)"), ("macro", "mean of types (macro)")]:
        support = tables[0]["default"].get(kind, {}).get("support") if tables else None
        cells = [
            interval_cell(_mean(variant, split, reading, kind, score), score)
            for reading in _READINGS
            for score in _SCORES
        ]
        rows.append([Cell(title), Cell(DASH if kind == "macro" else count(support)), *cells])
    return Table(name, columns, rows, caption=caption)


def _mean(variant: Variant, split: str, reading: str, kind: str, score: str) -> Any:
    tables = tables_of(variant, split, "entities")
    values = [table[reading][kind][score] for table in tables if kind in table.get(reading, {})]
    return mean_interval(values) if values else None
