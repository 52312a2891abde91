"""What the tagging sections share: which split they show, which variant leads, and sentences as marked pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from normlab.data.tagging.scheme import Span, spans
from normlab.report.blocks import Piece
from normlab.report.palette import CATEGORY_COLORS
from normlab.report.view import StudyView, Variant

SPLIT_NAMES = {"test": "test split", "val": "validation split", "train": "training split"}


def measured_split(view: StudyView) -> str:
    """Return "test", or "val" where no run had a test file."""
    return "test" if any("test" in cell.result.get("tables", {}) for cell in view.cells) else "val"


def tables_of(variant: Variant, split: str, name: str) -> list[Any]:
    """Return one of the tables that its finished runs measured on a split."""
    tables = (cell.result.get("tables", {}).get(split, {}).get(name) for cell in variant.trained)
    return [table for table in tables if table is not None]


def entity_types(view: StudyView, split: str) -> list[str]:
    """Return the types of entities, most frequent first, so that rare ones stand together at the end."""
    for variant in view.variants:
        for table in tables_of(variant, split, "entities"):
            rows = table["default"]
            names = [name for name in rows if name not in {"all", "macro"}]
            return sorted(names, key=lambda name: -rows[name]["support"])
    return []


def type_colors(types: Sequence[str]) -> dict[str, str]:
    """Return a colour for each type; beyond twelve types colours repeat, and the printed type tells them apart."""
    return {name: CATEGORY_COLORS[index % len(CATEGORY_COLORS)] for index, name in enumerate(types)}


def marked_pieces(
    words: Sequence[str], tags: Sequence[str], others: Sequence[str], colors: dict[str, str]
) -> list[Piece]:
    """Return a sentence as pieces: text between entities, and entities, marked where `others` spell them otherwise."""
    shared = set(spans(others))
    pieces: list[Piece] = []
    position = 0
    for span in [*spans(tags), Span(len(words), len(words), "")]:
        if between := " ".join(words[position : span.start]):
            pieces.append(Piece(between))
        if span.type:
            text = " ".join(words[span.start : span.end])
            pieces.append(Piece(text, span.type, colors.get(span.type, CATEGORY_COLORS[0]), span not in shared))
        position = span.end
    return pieces
