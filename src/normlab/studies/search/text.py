"""The best trial of each scheme for a terminal and as plain values."""

from __future__ import annotations

import statistics
from typing import Any

from normlab.metrics import is_fraction
from normlab.runs import RunState
from normlab.studies.search.findings import SchemeSearch, at_edge, read_schemes, search_of
from normlab.studies.search.winners import read_tested
from normlab.studies.study import Study

STATES = (RunState.FINISHED, RunState.PRUNED, RunState.DIVERGED, RunState.FAILED)


def search_values(study: Study) -> list[dict[str, Any]]:
    """Return a row per scheme: its best settings, their score, their test metrics, and how its trials ended."""
    search, tested = search_of(study), read_tested(study)
    rows = []
    for scheme in read_schemes(study):
        best = scheme.best
        rows.append(
            {
                "values": scheme.values,
                "label": scheme.label,
                "trials": len(scheme.trials),
                **{state.value: scheme.count(state) for state in STATES},
                "best": None if best is None else best.settings,
                "runs": [] if best is None else [cell.name for cell in best.cells],
                "objective": search.objective,
                "score": None if best is None else best.score,
                "at_edge": [] if best is None else at_edge(search, best),
                "test": metrics_on_test(scheme, tested),
            }
        )
    return rows


def metrics_on_test(scheme: SchemeSearch, tested: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the best trial's metrics on the test split, the mean over its seeds; empty before they are measured."""
    seeds = [tested[cell.name] for cell in scheme.best.cells if cell.name in tested] if scheme.best else []
    if not scheme.best or len(seeds) < len(scheme.best.cells):
        return {}
    return {name: statistics.fmean(metrics[name] for metrics in seeds) for name in seeds[0]}


def search_text(study: Study) -> str:
    """Return a table: scheme, best settings, objective, the same metric on the test split, trials by state."""
    rows = search_values(study)
    objective = rows[0]["objective"]
    on_test = objective.replace("val/", "test/", 1)
    lines = [["scheme", "best settings", objective, on_test, "trials"]]
    for row in rows:
        settings = "-" if row["best"] is None else ", ".join(f"{k} {shown(v)}" for k, v in row["best"].items())
        settings += f" ({', '.join(row['at_edge'])} at the edge)" if row["at_edge"] else ""
        counts = ", ".join(f"{row[state]} {state}" for state in STATES if row[state])
        lines.append(
            [
                row["label"],
                settings,
                _value(row["score"], objective),
                _value(row["test"].get(on_test), on_test),
                f"{row['trials']}: {counts or 'none over'}",
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def shown(value: Any) -> str:
    """Return a setting's value for a person, with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _value(value: float | None, metric: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if is_fraction(metric) else f"{value:.4f}"
