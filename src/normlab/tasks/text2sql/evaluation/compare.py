"""Our numbers beside those of the user's copy of Spider's script, on exactly the same rows.

The script stops at the first row that it cannot handle. So rows that no script run could count are left out on both
sides and named, and predictions at which it would stop are written as no prediction, which is wrong on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.data.sql.schema import read_tables
from normlab.data.sql.spider import find_database
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.text2sql.evaluation.files import evaluate_rows
from normlab.tasks.text2sql.evaluation.official import NO_PREDICTION, OfficialScores, run_official, write_official_files
from normlab.tasks.text2sql.evaluation.scores import LEVELS, RowScore, Scores

_PRINTED = 0.0005 + 1e-9  # the script prints three decimals


@dataclass(frozen=True)
class Comparison:
    """Both evaluations of the same rows, the rows left out and why, and where the numbers differ, one line each."""

    ours: Scores
    official: OfficialScores
    left_out: list[str]
    replaced: list[str]
    differences: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, ready for JSON."""
        return {
            "same": not self.differences,
            "differences": self.differences,
            "count": self.official.count,
            "exact_match": self.official.exact_match,
            "execution": self.official.execution,
            "ours": {
                "count": self.ours.count,
                "exact_match": self.ours.exact_match,
                "execution": self.ours.execution,
            },
            "left_out": self.left_out,
            "replaced": self.replaced,
        }


def compare_with_official(
    script: Path | str,
    gold: Sequence[tuple[str, str]],
    predicted: Sequence[str],
    *,
    tables: Path | str,
    databases: Path | str,
    folder: Path | str,
    **options: Any,
) -> Comparison:
    """Write both files in the official form into a folder, run the script on them, and compare.

    Args:
        script: the user's `evaluation.py`.
        gold: (SQL, db_id) in the order of `predicted`.
        options: python, seconds of `run_official`.
    Raises: `UserError` if no row is left, a file is missing, or the script fails or prints no table.
    """
    schemas = read_tables(tables)
    first = evaluate_rows(gold, predicted, schemas=schemas, databases=databases)
    scored, left_out, replaced = [], [], []
    for pair, row in zip(gold, first.rows, strict=True):
        if why := _unusable(row, databases):
            left_out.append(f"{row.place}: {why}")
            continue
        if row.aborted:
            replaced.append(f"{row.place}: {row.aborted}")
        scored.append((pair, NO_PREDICTION if row.aborted else row.predicted))
    if not scored:
        raise UserError(f"no row is left for {script}: first {left_out[0] if left_out else 'nothing was given'}")
    rows = [pair for pair, _ in scored]
    answers = [answer for _, answer in scored]
    ours = evaluate_rows(rows, answers, schemas=schemas, databases=databases)
    files = write_official_files(folder, rows, answers)
    official = run_official(script, *files, tables=tables, databases=databases, **options)
    return Comparison(ours, official, left_out, replaced, _differences(ours, official))


def as_columns(comparison: Comparison) -> str:
    """Return the two evaluations under one another, level by level, and whether they agree."""
    lines = [_line("", LEVELS), _line("count", [comparison.official.count.get(level, 0) for level in LEVELS])]
    for name, script in (
        ("exact match", comparison.official.exact_match),
        ("execution", comparison.official.execution),
    ):
        lines.append(_line(f"{name}, normlab", [_ours(comparison.ours, level, name) for level in LEVELS]))
        lines.append(_line(f"{name}, script", [script.get(level) for level in LEVELS]))
    for title, places in (("left out", comparison.left_out), ("written as no prediction", comparison.replaced)):
        if places:
            lines.append(f"{plural(len(places), 'row')} {title}, first {places[0]}")
    lines += [f"differs: {line}" for line in comparison.differences] or [
        "the script's numbers and normlab's are the same"
    ]
    return "\n".join(lines)


def _unusable(row: RowScore, databases: Path | str) -> str:
    """Say why the script could not count a row at all, whatever is predicted."""
    if row.skipped:
        return row.skipped
    if row.unread:
        return f"gold does not parse: {row.unread}"
    if find_database(databases, row.db_id) is None:
        return f"no database {row.db_id}.sqlite, from which the script reads the schema"
    return row.aborted if row.aborted.startswith("gold ") else ""


def _differences(ours: Scores, official: OfficialScores) -> list[str]:
    lines = []
    for level in LEVELS:
        count = ours.levels[level].count
        if official.count.get(level, count) != count:
            lines.append(f"{level}: {plural(count, 'row')} here, {official.count[level]} by the script")
        for name, script in (("exact match", official.exact_match), ("execution", official.execution)):
            our_value = _ours(ours, level, name)
            # Of a level without rows the script prints 0.
            if count and our_value is not None and level in script and abs(our_value - script[level]) > _PRINTED:
                lines.append(f"{name}, {level}: {our_value:.3f} here, {script[level]:.3f} by the script")
    return lines


def _ours(scores: Scores, level: str, name: str) -> float | None:
    level_scores = scores.levels[level]
    return level_scores.exact_match if name == "exact match" else level_scores.execution


def _line(name: str, cells: Sequence[Any]) -> str:
    shown = ["-" if c is None else f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells]
    return name.ljust(22) + "".join(cell.rjust(9) for cell in shown)
