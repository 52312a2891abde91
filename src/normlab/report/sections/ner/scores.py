"""The main table of a tagging study: scores of words and of entities on every split that was measured."""

from __future__ import annotations

from normlab.metrics import heading
from normlab.report.blocks import Block, Cell, Column, Folded, Section, Table
from normlab.report.cells import SPLITS, metric_cells, seeds_cell
from normlab.report.view import StudyView

WORDS = ("micro_f1", "macro_f1", "accuracy")
ENTITIES = ("entity_f1", "strict_f1", "entity_macro")
_OTHERS = ("token_accuracy", "ece", "loss")

_HELP = (
    "Means over the finished seeds, ± half the width of the 95 % interval where there are at least two; the best of a "
    "column is bold. Words: F1 over all tags but O, and the share of entity words with the right tag, the level of the "
    "published ablation. Entities: a hit is a whole entity, first to last word and type; strict counts only entities "
    "spelled as the scheme asks. A long name with one wrong word is mostly right for the first level and wrong for the "
    "second, so the levels must not be compared with each other. Where there is no test file, validation picked the "
    "epoch too, which makes its scores slightly too high."
)


def section(view: StudyView) -> Section | None:
    """Show the splits, the decisive one open, once any run has finished."""
    splits = [split for split in ("test", "val", "train") if view.metrics(split)]
    if not splits:
        return None
    blocks: list[Block] = [scores_table(view, splits[0])]
    blocks += [Folded(f"{SPLITS[split]} split", [scores_table(view, split)]) for split in splits[1:]]
    return Section("results", f"Results on the {SPLITS[splits[0]].lower()} split", blocks, help=_HELP)


def scores_table(view: StudyView, split: str) -> Table:
    """Return variants by the scores of words and of entities."""
    present = set(view.metrics(split))
    chosen = [
        (group, heading(name, short=True), f"{split}/{name}")
        for group, metrics in (("Words", WORDS), ("Entities", ENTITIES), ("", _OTHERS))
        for name in metrics
        if f"{split}/{name}" in present
    ]
    columns = [Column("Variant", numeric=False), Column("Seeds")]
    columns += [Column(title, group=group) for group, title, _ in chosen]
    entries = metric_cells(view.variants, [metric for _, _, metric in chosen])
    rows = [
        [Cell(variant.label, style=variant.style), seeds_cell(variant), *cells]
        for variant, cells in zip(view.variants, entries, strict=True)
    ]
    return Table(f"scores_{split}", columns, rows)
