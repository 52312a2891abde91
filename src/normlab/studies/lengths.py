"""Runs that were trained for different times: a comparison of them is one of lengths, too.

Stopping early makes such runs on purpose, so this is said and not refused. Diverged and failed runs end when they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from normlab.plurals import plural
from normlab.runs import RunState
from normlab.studies.study import Study, StudyCell
from normlab.studies.tables import label_of

_NAMED = 5

Ends = Mapping[str, set[float]]  # label -> the times of the last values of its runs


def uneven_lengths(study: Study, metric: str) -> list[str]:
    """Return a line if the curves of a metric end at different times, and one if a run's last cells are blank."""
    ends: dict[str, set[float]] = {}
    blank: list[str] = []
    for values, cells in study.groups():
        for cell in cells:
            if (found := _last(cell, metric)) is not None:
                last, end = found
                ends.setdefault(label_of(values), set()).add(last)
                if last < end:
                    blank.append(f"{label_of(values)}, seed {cell.seed}, {study.clock} {last} of {end}")
    if len(set().union(*ends.values())) < 2:  # every run evaluated at the same times, perhaps not at the very last
        return []
    lines = [said_of_ends(metric, ends, study.clock)]
    if blank:
        runs = plural(len(blank), "run")
        lines.append(f"in {runs} the last {metric} is blank, and an earlier one counts: {_listed(blank)}")
    return lines


def uneven_settings(sides: Mapping[str, Study]) -> list[str]:
    """Return a line if two studies, each even in itself, were trained for different times.

    Args:
        sides: name -> study, of which the finished runs count.
    """
    ends: dict[str, set[float]] = {name: _lengths(study) for name, study in sides.items()}
    clocks = {study.clock for study in sides.values()}
    if len(clocks) > 1 or not all(ends.values()) or len({frozenset(times) for times in ends.values()}) < 2:
        return []
    return [said_of_ends("the runs", ends, clocks.pop())]


def said_of_ends(what: str, ends: Ends, clock: str) -> str:
    """Return the line that says where curves end."""
    verb = "end" if what == "the runs" else "ends"
    each = _listed([f"{label} at {_span(times)}" for label, times in ends.items()])
    return f"{what} {verb} at different {clock}s, so trainings of different length are compared: {each}"


def _last(cell: StudyCell, metric: str) -> tuple[float, float] | None:
    """Return the time of a finished run's last value of a metric, and that of its last record; None without either."""
    records: Sequence[Mapping[str, float]] = cell.folder.metrics() if cell.state is RunState.FINISHED else ()
    last = next((record["epoch"] for record in reversed(records) if record.get(metric) is not None), None)
    return None if last is None else (last, records[-1]["epoch"])


def _lengths(study: Study) -> set[float]:
    """Return the epochs that its finished runs were to take, or the times at which those of other programs end."""
    if study.task:
        return {cell.folder.config().get("epochs", 0) for cell in study.finished()}
    return {records[-1]["epoch"] for cell in study.finished() if (records := cell.folder.metrics())}


def _span(times: Iterable[float]) -> str:
    first, last = min(times), max(times)
    return f"{first}" if first == last else f"{first} to {last}"


def _listed(parts: Sequence[str]) -> str:
    more = len(parts) - _NAMED
    return "; ".join(parts[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
