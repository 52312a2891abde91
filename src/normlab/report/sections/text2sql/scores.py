"""The main table of a text-to-SQL study: exact match and execution on every split, with the baseline to beat."""

from __future__ import annotations

from typing import Any

from normlab.metrics import heading
from normlab.plurals import plural
from normlab.report.blocks import Block, Bullets, Cell, Column, Folded, Section, Table
from normlab.report.cells import SPLITS, interval_cell, metric_cells, seeds_cell
from normlab.report.numbers import count
from normlab.report.view import CellView, StudyView
from normlab.studies.statistics import mean_interval

METRICS = ("exact_match", "execution", "execution_sound", "valid", "loss")
_NOVEL = "Of these, SQL that training lacks"
_HELP = (
    "Means over the finished seeds, ± half the width of the 95 % interval where there are at least two. Exact match: "
    "all components of the two queries are equal, constants aside, as Spider's script judges it. Execution, official:"
    " the same script's comparison of results, in which the order of rows always counts and columns are compared by "
    "name. Order-insensitive execution accuracy: the same rows in any order, under any order of the columns; the "
    "order counts only where the gold query sorts. The nearest question is no model: it copies the SQL of the most "
    "similar training question over the same database, so its score says how much of the split copying alone answers."
    " The training split is measured on a sample of it."
)


def section(view: StudyView) -> Section | None:
    """Show the splits, test open, once any run has finished."""
    splits = [split for split in ("test", "val", "train") if view.metrics(split)]
    if not splits:
        return None
    blocks: list[Block] = [scores_table(view, splits[0])]
    if remarks := _remarks(view):
        blocks.append(Bullets(remarks))
    blocks += [Folded(f"{SPLITS[split]} split", [scores_table(view, split)]) for split in splits[1:]]
    return Section("results", f"Results on the {SPLITS[splits[0]].lower()} split", blocks, help=_HELP)


def scores_table(view: StudyView, split: str) -> Table:
    """Return variants by metrics, on all rows and on those whose SQL training lacks, the baseline last."""
    present = set(view.metrics(split))
    chosen = [(f"{split}/{name}", heading(name, short=True), "") for name in METRICS]
    chosen += [(f"{split}/novel_{name}", heading(name, short=True), _NOVEL) for name in METRICS]
    chosen = [entry for entry in chosen if entry[0] in present]
    if any(group for *_, group in chosen):
        chosen = [(metric, title, group or "All questions") for metric, title, group in chosen]
    columns = [Column("Variant", numeric=False), Column("Seeds")]
    columns += [Column(title, group=group) for _, title, group in chosen]
    entries = metric_cells(view.variants, [metric for metric, _, _ in chosen])
    rows = [
        [Cell(variant.label, style=variant.style), seeds_cell(variant), *cells]
        for variant, cells in zip(view.variants, entries, strict=True)
    ]
    baseline = baseline_cells(view, split, [metric for metric, _, _ in chosen])
    return Table(f"scores_{split}", columns, [*rows, *([baseline] if baseline else [])])


def baseline_cells(view: StudyView, split: str, metrics: list[str]) -> list[Cell]:
    """Return the row of the nearest training question, empty if no run measured it there."""
    tables = [table for cell in view.cells if (table := _tables(cell, split).get("nearest"))]
    if not tables:
        return []
    cells = []
    for metric in metrics:
        values = [table[name] for table in tables if (name := metric.partition("/")[2]) in table]
        measured = values if len(set(values)) > 1 else values[:1]  # it draws nothing: no spread where all cells agree
        cells.append(interval_cell(mean_interval(measured) if measured else None, metric))
    return [Cell("Nearest question, copied"), Cell("", sort="0"), *cells]


def _tables(cell: CellView, split: str) -> dict[str, Any]:
    tables: dict[str, Any] = cell.result.get("tables", {}).get(split, {})
    return tables


def _remarks(view: StudyView) -> list[str]:
    """Return what a reader must know of the data, from the first finished run: the others share them."""
    cell = next((cell for cell in view.cells if "test" in cell.result.get("tables", {})), None)
    if cell is None:
        return []
    tables = cell.result["tables"]["test"]
    scores, remarks = tables.get("scores", {}), []
    if tables.get("leakage"):
        remarks.append(f"What training shows of the test questions: {tables['leakage'].removeprefix('leakage: ')}.")
    if outside := (tables.get("skipped") or {}).get("count"):
        remarks.append(
            f"{plural(outside, 'gold query', 'gold queries')} of the test split cannot be written by the decoder's "
            "grammar; the questions are scored all the same."
        )
    if unknown := (tables.get("unknown_values") or {}).get("questions"):
        remarks.append(f"{plural(unknown, 'test question')} want a constant that is not among its candidates.")
    if missing := cell.card.get("without_cells"):
        remarks.append(f"Without a database file, so linked by names alone: {', '.join(missing[:8])}{_more(missing)}.")
    if empty := scores.get("empty_matches"):
        remarks.append(
            f"{plural(empty, 'prediction counts', 'predictions count')} as right because both queries return no rows."
        )
    if late := scores.get("timeouts"):
        remarks.append(f"{plural(late, 'prediction')} did not end before the deadline.")
    return remarks + [f"{line[0].upper()}{line[1:]}." for line in scores.get("notes", [])]


def _more(names: list[str]) -> str:
    return f" and {count(len(names) - 8)} more" if len(names) > 8 else ""
