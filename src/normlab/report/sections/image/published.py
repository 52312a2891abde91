"""Ours beside what others published for the same networks, with the source of every figure."""

from __future__ import annotations

from typing import Any

from normlab.metrics import heading
from normlab.report.blocks import Block, Cell, Column, Folded, Section, Table, Text
from normlab.report.cells import interval_cell
from normlab.report.numbers import DASH, value_text
from normlab.report.palette import NAMES, name_of
from normlab.report.published import Published, short_source
from normlab.report.view import StudyView, Variant
from normlab.studies.published import load_published, published_for

_PUBLISHED_BATCH_SIZE = 128
_PUBLISHED_DATA = "cifar10"  # as a run's card names it, where the pixels are CIFAR-10's
_PUBLISHED_DEPTH = 2  # n of the 6n + 2 layers
_SPLITS = {"test": "Test", "val": "Validation", "train": "Training"}

_HELP = (
    "Results that others published for a 14-layer ResNet on CIFAR-10, most of them of single runs. Protocols differ "
    "(epochs, augmentation, learning rate), so a published result is a point of reference. Hover a number for macro "
    "F1, the number of groups and remarks. The overview shows the same test accuracies as rings."
)


def section(view: StudyView) -> Section | None:
    """Show figure and tables if the study asks for published image results; say why where there is no comparison."""
    if "image" not in view.study.published or not any(variant.norm in NAMES for variant in view.variants):
        return None
    if reason := _incomparable(view):
        return Section("published", "Beside published results", [Text(reason, tone="warning")])
    blocks: list[Block] = [source_table(view, "test"), _sources(view)]
    for split in ("val", "train"):
        blocks.append(Folded(f"{_SPLITS[split]} split", [source_table(view, split)]))
    blocks.append(Folded("Every published figure, with protocol and remarks", [all_published_table()]))
    return Section("published", "Beside published results", blocks, help=_HELP)


def published_values(view: StudyView, metric: str) -> Published:
    """Return, for the overview, the published test accuracies of each variant; empty where nothing compares."""
    if metric != "test/accuracy" or "image" not in view.study.published or _incomparable(view):
        return {}
    return {
        variant.label: [(row["source"], row["accuracy"]) for row in published_rows(variant, "test") if row["accuracy"]]
        for variant in view.variants
    }


def published_rows(variant: Variant, split: str) -> list[dict[str, Any]]:
    """Return the published rows of a variant's scheme, at its batch size if that is an axis, else at 128."""
    if not _is_published_network(variant):
        return []
    size = variant.values.get("batch_size", _PUBLISHED_BATCH_SIZE)
    return published_for(variant.norm, size, split) if variant.norm else []


def source_table(view: StudyView, split: str) -> Table:
    """Return variants by sources: accuracy and, where published, macro F1."""
    per_variant = [(variant, published_rows(variant, split)) for variant in view.variants]
    sources = list(dict.fromkeys(row["source"] for _, rows in per_variant for row in rows))
    columns = [Column("Variant", numeric=False), Column("This study")]
    columns += [Column(short_source(source), hint=source) for source in sorted(sources)]
    rows = []
    for variant, published in per_variant:
        ours = interval_cell(variant.interval(f"{split}/accuracy"), "accuracy", strong=True)
        cells = [_published_cell([row for row in published if row["source"] == source]) for source in sorted(sources)]
        rows.append([Cell(variant.label, style=variant.style), ours, *cells])
    return Table(
        f"published_{split}",
        columns,
        rows,
        caption=f"{_SPLITS[split]} accuracy in percent; hover for macro F1, groups and remarks.",
    )


def all_published_table() -> Table:
    """Return every row of the published image results."""
    names = ["source", "norm", "groups", "batch_size", "epochs", "optimizer", "lr", "split"]
    columns = [Column(name.replace("_", " "), numeric=name in {"batch_size", "lr"}) for name in names]
    metrics = ["accuracy", "micro_f1", "macro_f1", "loss"]
    columns += [Column(heading(metric)) for metric in metrics] + [Column("note", numeric=False)]
    rows = [
        [
            *(Cell(_plain(row[name])) for name in names),
            *(Cell(value_text(row[metric], metric)) for metric in metrics),
            Cell(row["note"] or ""),
        ]
        for row in load_published("image")
    ]
    return Table("published_all", columns, rows)


def _sources(view: StudyView) -> Text:
    sources = sorted({row["source"] for variant in view.variants for row in published_rows(variant, "test")})
    return Text(f"Sources: {'; '.join(sources)}. Names with a slash are public repositories.", tone="note")


def _incomparable(view: StudyView) -> str:
    """Say why no run of the study can stand beside the published ones; "" if some can."""
    if view.data_name and view.data_name != _PUBLISHED_DATA:
        return f"This study ran on {view.data_name}; the published figures are for CIFAR-10: no comparison."
    if not any(_is_published_network(variant) for variant in view.variants):
        return "The published figures are for the network of 14 layers (n = 2): no comparison."
    return ""


def _is_published_network(variant: Variant) -> bool:
    return all(cell.config.get("n", _PUBLISHED_DEPTH) == _PUBLISHED_DEPTH for cell in variant.cells)


def _published_cell(rows: list[dict[str, Any]]) -> Cell:
    if not rows:
        return Cell(DASH)
    best = rows[0]
    hints = [_hint(row) for row in rows]
    return Cell(
        " / ".join(value_text(row["accuracy"], "accuracy") for row in rows),
        sort=str(best["accuracy"]),
        hint="\n".join(hints),
    )


def _hint(row: dict[str, Any]) -> str:
    parts = [name_of(row["norm"])]
    if row["groups"]:
        parts.append(f"{row['groups']} groups")
    if row["macro_f1"] is not None:
        parts.append(f"macro F1 {value_text(row['macro_f1'], 'macro_f1')}")
    if row["note"]:
        parts.append(row["note"])
    return "; ".join(parts)


def _plain(value: Any) -> str:
    return DASH if value is None else str(value)
