"""A study's table for a terminal: one row per combination of axis values, seeds together.

Plain texts, for lines that read the same in a pipe as on a screen: rich's tables fold or cut cells at 80 columns.
"""

from __future__ import annotations

from normlab.metrics import SPLITS, is_fraction
from normlab.runs import RunState
from normlab.studies.statistics import Interval
from normlab.studies.study import Study
from normlab.studies.tables import Row, headline_of, study_table


def as_rows(study: Study) -> list[dict[str, str]]:
    """Return the table's rows, title -> text: headline metric on each split, macro F1, time."""
    headline = headline_of(study)
    columns = {split: f"{split}/{headline}" for split in SPLITS}
    columns |= {"val macro F1": "val/macro_f1", "test macro F1": "test/macro_f1"}
    rows = study_table(study, [*columns.values(), "seconds"])
    columns = {title: metric for title, metric in columns.items() if any(row.metrics[metric] for row in rows)}
    if "test" in columns:  # validation was for choosing: of macro F1 the test value is enough
        columns.pop("val macro F1", None)
    titles = [headline, *columns, "seconds", "runs"]
    return [dict(zip(titles, _line(row, list(columns.values())), strict=True)) for row in rows]


def _line(row: Row, metrics: list[str]) -> list[str]:
    seconds = row.metrics["seconds"]
    return [
        row.label,
        *(_mean(row.metrics[metric], metric) for metric in metrics),
        f"{seconds.mean:.0f}" if seconds else "-",
        _runs(row),
    ]


def _runs(row: Row) -> str:
    parts = [f"{row.finished}/{row.n}"]
    counts = {RunState.DIVERGED: row.diverged, RunState.FAILED: row.failed}
    parts += [f"{count} {state}" for state, count in counts.items() if count]
    return ", ".join(parts)


def _mean(interval: Interval | None, metric: str) -> str:
    """Mean and, from two seeds on, half the 95 % interval: fractions in percent, the rest as it is."""
    if interval is None:
        return "-"
    half = None if interval.high is None else interval.high - interval.mean
    if is_fraction(metric):
        return f"{100 * interval.mean:.2f}{'' if half is None else f' ±{100 * half:.2f}'} %"
    return f"{interval.mean:.4g}{'' if half is None else f' ±{half:.2g}'}"
