"""Ours beside published results on the same split: the course's validation file, or databases unseen in training."""

from __future__ import annotations

from typing import Any

from normlab.metrics import heading
from normlab.report.blocks import Block, Cell, Column, Folded, Section, Table, Text
from normlab.report.cells import interval_cell
from normlab.report.numbers import DASH, value_text
from normlab.report.published import Published, short_source
from normlab.report.sections.text2sql.scores import baseline_cells
from normlab.report.view import StudyView, Variant
from normlab.studies.published import load_published

SPLITS = {"course": "col775_val", "unseen": "spider_dev"}
"""View of the data -> the published split with the same questions."""
_NAMES = {
    "col775_val": "the course's validation file, whose databases training shows",
    "spider_dev": "Spider's dev split, whose databases training never shows",
}
# How others name the four kinds of model, by the start of the name.
_MODELS = {
    "lstm": ("lstm_lstm", "Seq2Seq"),
    "lstm_attention": ("lstm_lstm_attn", "Seq2Seq+Attention"),
    "bert_frozen": ("bert_lstm_attn_frozen",),
    "bert_finetuned": ("bert_lstm_attn_tuned",),
}
_METRICS = ("exact_match", "execution")
_HELP = (
    "Published figures are single runs with other settings, most on other machines and for longer: points of "
    "reference. The two splits must not be compared: where training shows the "
    "databases, and most of the SQL, scores are far higher. Execution is the official script's. Hover a figure for "
    "the remark on its row; a triangle at the left edge lies below the axis."
)


def section(view: StudyView) -> Section | None:
    """Show figure and tables where the study asks for published results and the split is one that others measured."""
    split = published_split(view)
    if not {"text_to_sql", "text2sql"} & set(view.study.published) or split is None:
        return None
    caution = "" if _is_spider(view) else f" This study ran on {view.data_name}: no comparison."
    tone = "warning" if caution else "note"
    blocks: list[Block] = [Text(f"Beside figures on {_NAMES[split]}.{caution}", tone=tone)]
    blocks.append(like_table(view, split))
    blocks.append(Folded("Every published figure on this split", [all_table(split, "published_split")]))
    blocks.append(Folded("Every published figure, all splits", [all_table(None, "published_all")]))
    return Section("published", "Beside published results", blocks, help=_HELP)


def published_values(view: StudyView, metric: str) -> Published:
    """Return, for the overview, the published exact match of each variant's kind of model on the same questions."""
    split = published_split(view)
    asked = {"text_to_sql", "text2sql"} & set(view.study.published)
    if metric != "test/exact_match" or not asked or split is None or not _is_spider(view):
        return {}
    return {
        variant.label: [
            (f"{row['source']}, {row['model']}", row["exact_match"])
            for row in published_like(variant, split)
            if row["exact_match"] is not None
        ]
        for variant in view.variants
    }


def _is_spider(view: StudyView) -> bool:
    return "spider" in view.data_name.lower()


def published_split(view: StudyView) -> str | None:
    """Return the published split of the study's view of the data; None if runs differ in it or none is published."""
    views = {str(cell.config.get("view")) for cell in view.cells if cell.config}
    return SPLITS.get(views.pop()) if len(views) == 1 else None


def published_like(variant: Variant, split: str) -> list[dict[str, Any]]:
    """Return the published rows of the same kind of model."""
    model = next((cell.config["model"] for cell in variant.cells if "model" in cell.config), "")
    longer = [name for names in _MODELS.values() for name in names]
    return [
        row
        for row in load_published("text_to_sql")
        if row["split"] == split and _kind(row["model"], longer) in _MODELS.get(model, ())
    ]


def _kind(model: str, starts: list[str]) -> str:
    """Return the longest start that fits: `lstm_lstm_attn` is not `lstm_lstm`."""
    fitting = [start for start in starts if model.startswith(start)]
    name = max(fitting, key=len, default="")
    return "" if model == "Seq2Seq+Copying" else name


def like_table(view: StudyView, split: str) -> Table:
    """Return variants by sources: exact match and execution of the same kind of model, and the baseline."""
    published_of = [(variant, published_like(variant, split)) for variant in view.variants]
    sources = sorted({row["source"] for _, rows in published_of for row in rows})
    columns = [Column("Variant", numeric=False)]
    columns += [Column(heading(metric), group="This study, test") for metric in _METRICS]
    columns += [
        Column(heading(metric), group=short_source(source), hint=source) for source in sources for metric in _METRICS
    ]
    rows = []
    for variant, published in published_of:
        cells = [interval_cell(variant.interval(f"test/{metric}"), metric) for metric in _METRICS]
        for source in sources:
            of_source = [row for row in published if row["source"] == source]
            cells += [_published(of_source, metric) for metric in _METRICS]
        rows.append([Cell(variant.label, style=variant.style), *cells])
    if baseline := baseline_cells(view, "test", [f"test/{metric}" for metric in _METRICS]):
        rows.append([baseline[0], *baseline[2:], *([Cell(DASH)] * (2 * len(sources)))])
    return Table("published_like", columns, rows, caption="The same kind of model; hover a figure for its settings.")


def all_table(split: str | None, name: str) -> Table:
    """Return every published row, of one split or of all, best exact match first."""
    rows = [row for row in load_published("text_to_sql") if split in (None, row["split"])]
    rows.sort(key=lambda row: -(row["exact_match"] or 0.0))
    texts = ["model", "source", "encoder", *([] if split else ["split"])]
    columns = [Column(text, numeric=False) for text in texts]
    columns += [*(Column(heading(metric)) for metric in _METRICS), Column("note", numeric=False)]
    return Table(
        name,
        columns,
        [
            [
                *(Cell(row[text] or DASH) for text in texts),
                *(Cell(value_text(row[metric], metric)) for metric in _METRICS),
                Cell(row["note"] or ""),
            ]
            for row in rows
        ],
    )


def _published(rows: list[dict[str, Any]], metric: str) -> Cell:
    """Return the best figure of a source, with all of its rows in the hint."""
    known = [row for row in rows if row[metric] is not None]
    if not known:
        return Cell(DASH)
    best = max(known, key=lambda row: row[metric])
    hint = "\n".join(f"{row['model']}: {value_text(row[metric], metric)}. {row['note'] or ''}" for row in known)
    return Cell(value_text(best[metric], metric), sort=str(best[metric]), hint=hint)
