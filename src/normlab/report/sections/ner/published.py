"""Ours beside published results for the same combinations of parts, one table for each level of scoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normlab.plurals import plural
from normlab.report.blocks import Block, Cell, Column, Figure, Key, Section, Table, Text
from normlab.report.cells import SPLITS, interval_cell
from normlab.report.figures.comparison import dots_figure
from normlab.report.numbers import DASH, count, listing, value_text
from normlab.report.palette import Style
from normlab.report.published import short_source
from normlab.report.tagged import measured_split
from normlab.report.view import CellView, StudyView, Variant
from normlab.studies.published import load_published

_ENTITY = ("entity_f1", "entity_macro")
_LEVELS = {
    "course": ("entities, counted on words whose gold tag is not O, ours too", "course_f1", "course_macro"),
    "entity": ("entities", *_ENTITY),
}
# For runs that were measured before the course's count was.
_COURSE_NOT_MEASURED = ("entities; the published count drops words whose gold tag is O first, ours does not", *_ENTITY)
_HELP = (
    "The published figures are single runs of the same combination of embeddings, characters, layer normalization, "
    "CRF and dropout, on another split of the same corpus with other settings: they are points of reference. Report A"
    " drops all words whose gold tag is O before it counts entities, so that false alarms there cost nothing and "
    "scores are higher: ours are counted so too where they stand beside it (course_f1), and nowhere else. Hover a "
    "figure for the remark on its row; a triangle at the left edge lies below the axis."
)


def section(view: StudyView) -> Section | None:
    """Show figure and tables if the study asks for published tagging results and a variant has any."""
    if "ner" not in view.study.published:
        return None
    split = measured_split(view)
    tables = [table for level in _LEVELS if (table := level_table(view, level, split)) is not None]
    if not tables:
        return None
    blocks: list[Block] = [Text(_protocols(view, split), tone="note"), _figure(view, split), *tables]
    return Section("published", "Beside published results", blocks, help=_HELP)


def published_rows(variant: Variant, level: str) -> list[dict[str, Any]]:
    """Return the published rows on GMB of a variant's combination of parts, at one level of scoring."""
    parts = next((parts_of(cell.config) for cell in variant.cells if cell.config), None)
    return [
        row
        for row in load_published("ner")
        if row["dataset"] == "gmb" and row["level"] == level and {name: row[name] for name in _PARTS} == parts
    ]


def parts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in the columns of the published table."""
    return {
        "embeddings": config.get("embeddings"),
        "char": "lstm" if config.get("characters") else "none",
        "layer_norm": int(config.get("layer_norm", "none") != "none"),
        "crf": int(bool(config.get("crf"))),
        "dropout": config.get("dropout"),
    }


_PARTS = ("embeddings", "char", "layer_norm", "crf", "dropout")


def level_table(view: StudyView, level: str, split: str) -> Table | None:
    """Return variants by sources and splits at one level: micro and macro F1; None if none are published."""
    name, micro, macro = _level(view, level, split)
    rows_of = {variant.label: published_rows(variant, level) for variant in view.variants}
    references = sorted(
        {(row["source"], row["split"]) for rows in rows_of.values() for row in rows if row["split"] in {"val", "test"}},
        key=lambda reference: (reference[0], reference[1] != split),
    )
    if not references:
        return None
    ours = f"This study, {SPLITS[split].lower()}"
    columns = [Column("Variant", numeric=False), Column("Micro F1 %", group=ours), Column("Macro F1 %", group=ours)]
    for source, where in references:
        group = f"{short_source(source)}, {SPLITS[where].lower()}"
        columns += [Column(f"{kind} F1 %", group=group, hint=source) for kind in ("Micro", "Macro")]
    rows = []
    for variant in view.variants:
        cells = [interval_cell(variant.interval(f"{split}/{metric}"), metric) for metric in (micro, macro)]
        for reference in references:
            row = next((row for row in rows_of[variant.label] if (row["source"], row["split"]) == reference), None)
            cells += [_published(row, metric) for metric in ("micro_f1", "macro_f1")]
        rows.append([Cell(variant.label, style=variant.style), *cells])
    return Table(f"published_{level}", columns, rows, caption=f"F1 over {name}.")


def _level(view: StudyView, level: str, split: str) -> tuple[str, str, str]:
    """Return what a level counts and the metrics for micro and macro F1."""
    if level == "course" and f"{split}/course_f1" not in view.metrics(split):
        return _COURSE_NOT_MEASURED
    return _LEVELS[level]


def _published(row: dict[str, Any] | None, metric: str) -> Cell:
    if row is None or row[metric] is None:
        return Cell(DASH)
    return Cell(value_text(row[metric], metric), sort=str(row[metric]), hint=row["note"] or "")


def _figure(view: StudyView, split: str) -> Figure:
    _, micro, _ = _level(view, "course", split)
    ours = [(variant.label, variant.style, variant.interval(f"{split}/{micro}")) for variant in view.variants]
    published = {
        variant.label: [
            (f"{row['source']}, {row['split']}", row["micro_f1"])
            for row in published_rows(variant, "course")
            if row["split"] == split and row["micro_f1"]
        ]
        for variant in view.variants
    }
    keys = [Key("published", Style("#8a929c", "ring")), Key("ours", Style("#3a6ea5", "dot-mark"))]
    figure = dots_figure(ours, published, "entity F1")
    counted = "as the published program counts" if micro == "course_f1" else "published counted more leniently"
    return Figure("published_f1", f"Entity F1, {SPLITS[split].lower()}, ours and published ({counted})", figure, keys)


def _protocols(view: StudyView, split: str) -> str:
    """Say in what the two protocols differ, in numbers of this study."""
    cell = next((cell for cell in view.cells if cell.result), None)
    if cell is None:
        return ""
    return (
        f"Ours: {_sentences(cell)}; {_settings(view)}; {plural(len(view.seeds), 'seed')}. Report A and the public "
        "repositories: 37,206 training, 12,402 validation and 12,402 test sentences of the same corpus, one run each; "
        "Report A and rishabh-ranjan: Adam at 1e-3 in batches of 128, stopped after 5 epochs without progress."
        + ("" if split == "test" else " Without a test file ours are validation scores, so compare validation columns.")
    )


def _sentences(cell: CellView) -> str:
    sizes = cell.result.get("sizes", {})
    names = {"train": "training", "val": "validation", "test": "test"}
    parts = [f"{count(sizes[split])} {name}" for split, name in names.items() if split in sizes]
    return f"{listing(parts)} sentences"


def _settings(view: StudyView) -> str:
    configs = [cell.config for cell in view.cells if cell.config]
    batches = sorted({config["batch_size"] for config in configs if "batch_size" in config})
    sizes = sorted({cell.card["embedding_dim"] for cell in view.cells if "embedding_dim" in cell.card})
    rules = sorted({f"{config.get('optimizer')} at {config.get('lr'):g}" for config in configs if config.get("lr")})
    parts = [f"batches of {listing(list(map(str, batches)))}", *rules]
    if sizes:
        parts.append(f"word vectors of {listing(list(map(str, sizes)))} numbers")
    return ", ".join(parts)
