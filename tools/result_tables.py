"""Write the tables of measured results in README.md and docs/results from the archives that stand beside the pages.

python tools/result_tables.py            write them
python tools/result_tables.py --check    fail if one is out of date (a test does this)

A table stands between `<!-- table of FILE.zip -->` and `<!-- end of table -->`; the file lies in docs/results. Between
`<!-- what reports said -->` and the same end stands what published reports say beside what the archives hold.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from what_reports_said import published_tagger, said_table

from normlab.report.numbers import DASH
from normlab.report.palette import name_of
from normlab.report.view import StudyView, Variant
from normlab.studies import Study

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
TABLE = re.compile(r"(<!-- table of (?P<file>[\w.-]+) -->\n).*?(\n<!-- end of table -->)", re.DOTALL)
SAID = re.compile(r"(<!-- what reports said -->\n).*?(\n<!-- end of table -->)", re.DOTALL)
ACCURACIES = {"test accuracy %": "test/accuracy", "validation %": "val/accuracy", "training %": "train/accuracy"}
TAG_SCORES = {
    "micro F1": "val/micro_f1",
    "macro F1": "val/macro_f1",
    "entity F1": "val/entity_f1",
    "strict F1": "val/strict_f1",
    "counted as published: micro": "val/course_f1",
    "macro": "val/course_macro",
}
RATE = "lr"


def table(archive: Path) -> str:
    """Return a study's table as Markdown: what its task and its axes ask for."""
    view = StudyView.read(Study.open(archive))
    if view.study.search and RATE in view.study.axes:
        return rates_table(view)
    return taggers_table(view) if view.study.task == "ner" else images_table(view)


def images_table(view: StudyView) -> str:
    """Return a row per scheme: accuracies in percent, best epoch, hours, seeds."""
    lines = _head(["scheme", *ACCURACIES, "best epoch", "hours", "seeds finished"])
    for variant in view.variants:
        done = _results(variant)
        epochs = ", ".join(str(result["best_epoch"]) for result in done) or DASH
        hours = f"{fmean(result['seconds'] for result in done) / 3600:.2f}" if done else DASH
        seeds = f"{len(done)} of {len(variant.cells)}"
        lines.append(_row([variant.label, *(_percent(variant, m) for m in ACCURACIES.values()), epochs, hours, seeds]))
    return "\n".join(lines)


def taggers_table(view: StudyView) -> str:
    """Return a row per tagger: F1 in percent, best epoch of all, minutes, seeds, and what was published."""
    lines = _head(["row", *TAG_SCORES, "published: micro", "macro", "best epoch", "minutes", "seeds finished"])
    for variant in view.variants:
        done = _results(variant)
        epochs = ", ".join(f"{result['best_epoch']} of {result['epochs']}" for result in done) or DASH
        minutes = ", ".join(f"{result['seconds'] / 60:.0f}" for result in done) or DASH
        seeds = f"{len(done)} of {len(variant.cells)}"
        published = published_tagger(str(variant.values["variant"])) or {}
        printed = [f"{100 * value:.1f}" if (value := published.get(f"{m}_f1")) else DASH for m in ("micro", "macro")]
        scores = [_percent(variant, metric) for metric in TAG_SCORES.values()]
        lines.append(_row([str(variant.values["variant"]), *scores, *printed, epochs, minutes, seeds]))
    return "\n".join(lines)


def rates_table(view: StudyView) -> str:
    """Return a row per scheme and a column per learning rate: validation accuracies in percent, the best in bold."""
    rates = view.study.axes[RATE]
    lines = _head(["scheme", *(f"rate {rate:g}" for rate in rates)])
    schemes: dict[str, dict[float, float | None]] = {}
    names: dict[str, str] = {}
    for variant in view.variants:
        norm = str(variant.values["norm"])
        interval = variant.interval("val/accuracy")
        schemes.setdefault(norm, {})[variant.values[RATE]] = interval and interval.mean
        names[norm] = name_of(norm)
    for norm, found in schemes.items():
        best = max((value for value in found.values() if value is not None), default=None)
        cells = [_cell(found.get(rate), best) for rate in rates]
        lines.append(_row([names[norm], *cells]))
    return "\n".join(lines)


def _head(names: list[str]) -> list[str]:
    return [_row(names), f"|---|{'---:|' * (len(names) - 1)}"]


def _row(texts: list[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _results(variant: Variant) -> list[dict[str, Any]]:
    return [cell.result for cell in variant.cells if cell.result]


def _cell(value: float | None, best: float | None) -> str:
    if value is None:
        return DASH
    return f"**{100 * value:.1f}**" if value == best else f"{100 * value:.1f}"


def _percent(variant: Variant, metric: str) -> str:
    """Return the mean in percent, with half the 95 % interval where there are two seeds or more."""
    interval = variant.interval(metric)
    if interval is None:
        return DASH
    mean = f"{100 * interval.mean:.2f}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} ± {100 * (interval.high - interval.low) / 2:.2f}"


def main() -> int:
    """Write the tables, or compare them with `--check`."""
    stale = 0
    for page in [ROOT / "README.md", *sorted(RESULTS.glob("*.md"))]:
        old = page.read_text(encoding="utf-8")
        new = TABLE.sub(lambda match: match[1] + table(RESULTS / match["file"]) + match[3], old)
        new = SAID.sub(lambda match: match[1] + said_table(RESULTS) + match[2], new)
        if new == old:
            continue
        stale += 1
        if "--check" in sys.argv[1:]:
            print(f"{page}: out of date: run `python tools/result_tables.py`", file=sys.stderr)
        else:
            page.write_text(new, encoding="utf-8")
    return int(bool(stale) and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
