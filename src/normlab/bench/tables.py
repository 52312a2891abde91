"""A benchmark's record as lines for a terminal and as Markdown tables. Pure functions; no torch."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from normlab.bench.timing import SLOWEST

Values = Mapping[str, Any]


def line(row: Values) -> str:
    """Return a row for a terminal: what was measured, below it the figures, no line wider than 80 columns."""
    return "\n".join(
        (*wrap(row["what"], 80), *wrap(_figures(row), 80, initial_indent="    ", subsequent_indent="    "))
    )


def _figures(row: Values) -> str:
    if row["value"] is None:
        return f"not measured: {row['note']}"
    text = f"{figure(row)} {row['unit']}"
    if row["against"]:
        text += f" of {row['against']}" if row["unit"].endswith("time") else f" as {row['against']}"
    return f"{text}; goal {row['goal']}: {verdict(row)}" if row["goal"] else text


def markdown(record: Values) -> str:
    """Return the tables of all benchmarks in a record, each with its machine."""
    parts = []
    for name, bench in record["benches"].items():
        parts += [f"## {name}", "", _machine(bench), ""]
        grouped = [row for row in bench["rows"] if row["group"]]
        single = [row for row in bench["rows"] if not row["group"]]
        parts += _grouped_table(grouped) if grouped else []
        parts += _table(single) if single else []
    return "\n".join(parts).rstrip() + "\n"


def goals(record: Values) -> list[str]:
    """Return a line a goal: the worst row of each group, and every row that stands alone."""
    lines = ["| what | against | goal | measured | met |", "|---|---|---:|---:|---|"]
    for bench in record["benches"].values():
        rows = [row for row in bench["rows"] if row["goal"]]
        for row in (row for row in rows if not row["group"]):
            lines.append(_cells(row["what"], row["against"] or "-", row["goal"], figure(row), verdict(row)))
        for name, members in _by_group(rows).items():
            met = sum(bool(row["met"]) for row in members)
            word = "yes" if met == len(members) else f"{met} of {len(members)}"
            lowest = min(row["value"] for row in members)
            median = statistics.median(row["value"] for row in members)
            lines.append(
                _cells(name, members[0]["against"], members[0]["goal"], f"{median:.2f}, lowest {lowest:.2f}", word)
            )
    return [*lines, ""]


def goals_side_by_side(records: Sequence[Values]) -> list[str]:
    """Return a line a goal, a column a record: its measured value, bold where the goal is missed.

    Args:
        records: each with "processor". A network's number type is what is fastest there, so its rows are one line.
    """
    columns = [dict(_goal_cells(record)) for record in records]
    keys = dict.fromkeys(key for column in columns for key in column)
    lines = [_cells("what", "against", "goal", *(record["processor"] for record in records))]
    lines += [f"|---|---|---:|{'---:|' * len(records)}"]
    return [*lines, *(_cells(*key, *(column.get(key, "-") for column in columns)) for key in keys), ""]


def _goal_cells(record: Values) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Yield ((what, against, goal), text) for each goal of a record that was measured."""
    for name, bench in record["benches"].items():
        rows = [row for row in bench["rows"] if row["goal"] and row["value"] is not None]
        for row in (row for row in rows if not row["group"]):
            what, type_ = _without_type(row["what"]) if name == "image" else (row["what"], "")
            text = f"{_short(row['value'])} ({type_})" if type_ else _short(row["value"])
            yield (what, row["against"] or "-", row["goal"]), text if row["met"] else f"**{text}**"
        for group, members in _by_group(rows).items():
            values, met = [row["value"] for row in members], sum(bool(row["met"]) for row in members)
            text = f"{statistics.median(values):.2f}, lowest {min(values):.2f}"
            text += f" ({met} of {len(members)})" if met < len(members) else ""
            yield (group, members[0]["against"], members[0]["goal"]), text


def _without_type(what: str) -> tuple[str, str]:
    for type_ in ("bfloat16", "float32"):
        if what.endswith(f", {type_}"):
            return what.removesuffix(f", {type_}"), type_
    return what, ""


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value >= 100 else f"{value:.2f}"


def slower_than_torch(record: Values) -> list[str]:
    """Return a line for each operation that torch's own was measured to do faster."""
    rows = (row for bench in record["benches"].values() for row in bench["rows"])
    return [
        f"{row['what']}: {figure(row)} times as fast as torch's own, at least {SLOWEST} are expected"
        for row in rows
        if row.get("torchs") and row["value"] is not None and row["value"] < SLOWEST
    ]


def figure(row: Values) -> str:
    """Return the value with its quartiles: ratios with two places, rates in whole numbers."""
    if row["value"] is None:
        return f"not measured: {row['note']}"
    digits = "{:,.0f}" if row["value"] >= 1000 else "{:.3g}" if row["value"] >= 100 else "{:.2f}"
    value, low, high = (digits.format(row[key]) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def verdict(row: Values) -> str:
    """Return yes, no, or a dash where nothing was measured or asked."""
    return "-" if row["met"] is None else "yes" if row["met"] else "**no**"


def _table(rows: Sequence[Values]) -> list[str]:
    lines = [
        "| what | against | median [quartiles] | unit | baseline, ms | normlab, ms | share of the limit | goal | met |",
        "|---|---|---:|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        cells = (row["what"], row["against"] or "-", figure(row), row["unit"])
        times = (_milliseconds(row["baseline_ms"]), _milliseconds(row["own_ms"]))
        lines.append(_cells(*cells, *times, _share([row]), row["goal"] or "-", verdict(row)))
    return [*lines, ""]


def _grouped_table(rows: Sequence[Values]) -> list[str]:
    lines = [
        "| what | rows | median | lowest | highest | quartiles' width, median | share of the limit | goal | met |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, members in _by_group(rows).items():
        values = [row["value"] for row in members]
        width = statistics.median((row["high"] - row["low"]) / row["value"] for row in members)
        met = sum(bool(row["met"]) for row in members)
        numbers = (f"{number:.2f}" for number in (statistics.median(values), min(values), max(values)))
        cells = (name, str(len(members)), *numbers, f"{100 * width:.0f} %", _share(members))
        lines.append(_cells(*cells, members[0]["goal"] or "-", f"{met} of {len(members)}"))
    return [*lines, ""]


def _by_group(rows: Iterable[Values]) -> dict[str, list[Values]]:
    groups: dict[str, list[Values]] = {}
    for row in rows:
        if row["group"]:
            groups.setdefault(row["group"], []).append(row)
    return groups


def _machine(bench: Values) -> str:
    machine, limits = bench["machine"], bench["limits"]
    clock = "CPU seconds of the process" if machine["clock"] == "cpu" else "wall-clock"
    return (
        f"{machine['cpu']} ({machine['instructions']}), "
        f"{machine['threads']} of {machine['cores']} core(s), torch {machine['torch']}, {clock}, "
        f"{machine['rounds']} rounds, load average {machine['load_average']} at the start, idle threads: "
        f"{machine['idle_threads']}, freed memory {machine['freed_memory']}. "
        f"Limits measured in the same run: copies {limits['copy_gb_per_s']:.1f} GB/s, "
        f"products {limits['float32_tflop_per_s']:.3f} (float32) and {limits['bfloat16_tflop_per_s']:.3f} (bfloat16) "
        f"TFLOP/s. {bench['seconds']:.0f} s."
    )


def _share(rows: Sequence[Values]) -> str:
    """Return the median share of the limit, and which limit it is."""
    limited = [row for row in rows if row["share_of_limit"] is not None]
    if not limited:
        return "-"
    share = statistics.median(row["share_of_limit"] for row in limited)
    bounds = " or ".join(sorted({row["limit"]["bound"] for row in limited}))
    return f"{100 * share:.0f} % ({bounds})"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
