"""Tables of results are grouped in arrays; what comes out is what a plain loop over their rows gives."""

from __future__ import annotations

import csv
import math
import random
import re
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from normlab.errors import UserError
from normlab.report.view import StudyView
from normlab.studies.foreign import Asked, curves, names, open_results, table_file, text_column
from normlab.studies.foreign.columns import Roles, roles_of
from normlab.studies.foreign.rows import trainings_of, typed
from normlab.studies.foreign.table_file import BLANKS, as_number, read_table
from normlab.studies.foreign.training import Training

CELLS = ("0.5", "0.25", "1e-3", "nan", "inf", "", "n/a", "91.5", "12 %", "-0.0", "7")
Plain = tuple[str, dict[str, Any], int | None, list[dict[str, Any]], dict[str, float]]


class SecondError(Exception):
    """A second value of one cell, in a row."""


def plain_trainings(path: Path, roles: Roles, headline: str) -> list[Plain]:
    """Return (where, settings, seed, records, last values) of each training, from one loop over rows and metrics."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = [(reader.line_num, row) for row in reader]
    settings = {name: plain_values([row[name] for _, row in rows]) for name in roles.variant}
    split = dict(
        zip(texts := sorted({row[roles.variant[0]] for _, row in rows}), names.split_names(texts), strict=True)
    )
    found: dict[Any, dict[float, dict[str, float]]] = {}
    first: dict[Any, int] = {}
    order: dict[Any, int] = {}
    for metric, column, of_seed in plain_columns(roles, headline):
        for index, (line, row) in enumerate(rows):
            if roles.name_seed:
                values, seed = (split[row[roles.variant[0]]][0],), split[row[roles.variant[0]]][1]
            else:
                values = tuple(settings[name][index] for name in roles.variant)
                seed = int(float(row[roles.seed])) if roles.seed else 0
            order.setdefault((values, seed), index)
            key = (values, seed if of_seed is None else of_seed)
            cell = row[column].strip()
            value = as_number(cell)
            assert value is not None or cell.lower() in BLANKS
            if value is None:
                continue
            first.setdefault(key, line)
            when = float(row[roles.step]) if roles.step else 0
            record = found.setdefault(key, {}).setdefault(when, {})
            name = names.metric_name(row[metric]) if roles.long else metric
            if name in record:
                raise SecondError(f"{path}:{line}: a second {name} of")
            record[name] = value
    for key, index in order.items():
        if key not in found and not roles.seed_columns:
            found[key], first[key] = {}, rows[index][0]
    axes = ("variant",) if roles.name_seed else roles.variant
    return [
        (f"{path}:{first[key]}", dict(zip(axes, key[0], strict=True)), key[1], *plain_over_time(found[key]))
        for key in sorted(found, key=lambda key: order.get(key, 0))
    ]


def plain_values(cells: list[str]) -> list[Any]:
    values = [typed(cell) for cell in cells]
    return values if all(isinstance(value, int | float) for value in values) else [cell.strip() for cell in cells]


def plain_columns(roles: Roles, headline: str) -> list[tuple[str, str, int | None]]:
    if roles.seed_columns:
        return [(headline, column, seed) for column, seed in roles.seed_columns.items()]
    if roles.long:
        return [(*roles.long, None)]
    return [(names.metric_name(column), column, None) for column in roles.metrics]


def plain_over_time(records: Mapping[float, Mapping[str, float]]) -> tuple[list[dict[str, Any]], dict[str, float]]:
    finals: dict[str, float] = {}
    for when in sorted(records):
        finals |= records[when]
    finite = [
        {
            "epoch": int(when) if when == int(when) else when,
            **{name: value if math.isfinite(value) else None for name, value in records[when].items()},
        }
        for when in sorted(records)
    ]
    return finite if len(finite) > 1 else [], finals


def outcome(path: Path, roles: Roles) -> tuple[list[Plain], str]:
    """Return what the plain loop reads, or the beginning of its complaint."""
    try:
        return plain_trainings(path, roles, "accuracy"), ""
    except SecondError as error:
        return [], str(error)


def seen(training: Training) -> str:
    """Return all that was read of a training as text: that keeps NaN, the order of names, and 1 apart from 1.0."""
    about = (training.where, training.values, training.seed)
    return repr((*about, list(training.records), training.finals))


def wide(draw: random.Random) -> tuple[str, list[list[str]]]:
    rows = [
        [norm, size, str(seed), step, draw.choice(CELLS), draw.choice(CELLS)]
        for norm in ("batch", "group", " group")
        for size in ("8", "32")
        for seed in range(2)
        for step in draw.sample(("0", "1", "2", "2.5", "10", "3"), draw.randint(1, 6))
    ]
    draw.shuffle(rows)
    return "norm,batch_size,seed,step,test/accuracy,val_loss", rows


def without_steps(draw: random.Random) -> tuple[str, list[list[str]]]:
    rows = [[f"m{m}", f"{seed}.0", draw.choice(CELLS), draw.choice(CELLS)] for m in range(5) for seed in range(3)]
    return "model,seed,accuracy,seconds", rows


def long(draw: random.Random) -> tuple[str, list[list[str]]]:
    rows = [
        [norm, str(seed), str(epoch), metric, draw.choice(CELLS)]
        for norm in ("a", "b")
        for seed in range(2)
        for epoch in range(4)
        for metric in draw.sample(("val acc", "Loss", "speed"), 2)
    ]
    draw.shuffle(rows)
    return "norm,seed,epoch,metric,value", rows


def seed_columns(draw: random.Random) -> tuple[str, list[list[str]]]:
    rows = [[f"m{m}", *(draw.choice(CELLS) for _ in range(3))] for m in range(4)]
    return "method,seed_0,seed_1,seed_2", rows


def named_seeds(draw: random.Random) -> tuple[str, list[list[str]]]:
    rows = [[f"n{n}-seed{s}", str(e), draw.choice(CELLS)] for n in range(3) for s in range(2) for e in range(3)]
    draw.shuffle(rows)
    return "run,epoch,accuracy", rows


@pytest.fixture(params=[False, True], ids=["small", "in parts"])
def in_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide even a small table into parts."""
    if request.param:
        for module in (text_column, table_file):
            monkeypatch.setattr(module, "ROWS", 4)
        monkeypatch.setattr(table_file, "_PIECE", 16)
        monkeypatch.setattr(curves, "_AT_ONCE", 3)


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("shape", [wide, without_steps, long, seed_columns, named_seeds])
def test_trainings_are_those_of_a_plain_loop(tmp_path: Path, shape: Any) -> None:
    seconds = 0
    for number in range(30):
        draw = random.Random(number)
        header, rows = shape(draw)
        if draw.random() < 0.2:
            rows.append(draw.choice(rows))
        path = tmp_path / "table.csv"
        path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
        table = read_table(path)
        roles = roles_of(table, Asked())
        expected, second = outcome(path, roles)
        if second:
            seconds += 1
            with pytest.raises(UserError, match=re.escape(second)):
                trainings_of(table, roles, "accuracy")
        elif any(finals for *_, finals in expected):
            assert [seen(training) for training in trainings_of(table, roles, "accuracy")] == list(map(repr, expected))
    assert seconds or shape is seed_columns or shape is named_seeds


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_cells_and_lines_are_those_of_the_csv_module(tmp_path: Path, end: str) -> None:
    draw = random.Random(end)
    cells = ("a", "", "ü", "𝒳", 'quo"te', "two\nlines", "with,comma", "cr\rin it", "long" * 20)
    rows = [[draw.choice(cells), str(row)] for row in range(50)]
    path = tmp_path / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["text", "number"], *rows])
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        expected = [(reader.line_num, *row) for row in reader][1:]
    table = read_table(path)
    assert list(zip(table.lines, table.columns["text"], table.columns["number"], strict=True)) == expected
    assert [table.columns["text"][row] for row in range(-50, 50)] == [row[1] for row in expected] * 2
    assert table.columns["text"][3:20:5] == [row[1] for row in expected[3:20:5]]
    with pytest.raises(IndexError):
        table.columns["text"][50]


def test_percentages_become_fractions_over_time_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [f"{norm},{seed},{step},{50 + step}\n" for norm in "ab" for seed in (0, 1) for step in (1, 2)]
    path.write_text("norm,seed,step,accuracy\n" + "".join(rows), encoding="utf-8")
    study = open_results(path)
    for cell in study.cells:
        assert list(cell.folder.metrics()) == [{"epoch": 1, "accuracy": 0.51}, {"epoch": 2, "accuracy": 0.52}]
        assert (cell.result or {})["metrics"] == {"accuracy": 0.52}


def test_a_mean_curve_is_that_of_the_seeds_at_each_step(tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [
        (norm, seed, step, draw.random())
        for norm in "ab"
        for seed in range(3)
        for step in range(20)
        if draw.random() > 0.3
    ]
    path = tmp_path / "table.csv"
    text = "".join(f"{norm},{seed},{step},{value!r}\n" for norm, seed, step, value in rows)
    path.write_text("norm,seed,step,accuracy\n" + text, encoding="utf-8")
    for variant, norm in zip(StudyView.read(open_results(path)).variants, "ab", strict=True):
        steps, means, lows, highs = variant.mean_curve("accuracy")
        at = {step: [value for n, _, s, value in rows if (n, s) == (norm, step)] for step in range(20)}
        assert steps == [step for step in range(20) if at[step]]
        assert means == [sum(at[step]) / len(at[step]) for step in steps]
        assert (lows, highs) == ([min(at[step]) for step in steps], [max(at[step]) for step in steps])


def test_a_long_table_is_read_in_some_hundred_bytes_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, path = 120_000, tmp_path / "table.csv"
    monkeypatch.setattr(table_file, "read_text", lambda path: path.read_text())  # not a buffer for the largest file
    with path.open("w", encoding="utf-8") as file:
        file.write("norm,seed,step,test/accuracy\n")
        file.writelines(f"{'ab'[row % 2]},{row // 2 % 3},{row // 6},{row / rows}\n" for row in range(rows))
    tracemalloc.start()
    try:
        study = open_results(path)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(len(cell.folder.metrics()) for cell in study.cells) == rows
    assert most < 250 * rows + 8 * 2**20  # some numbers are held for a part of 65,536 rows
    assert held < 60 * rows + 4 * 2**20
