"""Rows of a table -> trainings: the rows of one variant and seed are one training, over steps if there are any.

A table may have ten million rows, so all of them are grouped at once, in arrays: `_Numbers` has an entry for each
number of a column of metrics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from normlab.errors import UserError, shortened
from normlab.studies.foreign import names
from normlab.studies.foreign.columns import Roles
from normlab.studies.foreign.curves import Curves, no_curves, whole
from normlab.studies.foreign.table_file import Table, as_number
from normlab.studies.foreign.text_column import combined
from normlab.studies.foreign.training import Training

Key = tuple[tuple[Any, ...], int]  # values of the settings that make variants, and seed
Coded = tuple[np.ndarray, Sequence[Any]]  # of a column: the number of each row's value, and the different values


def trainings_of(table: Table, roles: Roles, headline: str, *, unpaired: bool = False) -> list[Training]:
    """Return the trainings of a table, in the order of their first rows.

    Args:
        headline: what the numbers are where no column names a metric.
    Raises: UserError naming file and line of a seed or number that is none, or of a second value of one cell.
    """
    keys = _Keys.of(_coded(table, roles, unpaired=unpaired), len(table.lines))
    times = _times(table, roles)
    numbers = _numbers(table, roles, headline, keys)
    return _with_empty(table, roles, _measured_trainings(table, roles, numbers, keys, times), keys)


def over_time(records: Mapping[float, Mapping[str, float]]) -> tuple[Curves, dict[str, float]]:
    """Return the records in order of time, as a run folder has them, and each metric's last value.

    One record is no curve: it is only the end.
    """
    curves = Curves.of(records)
    return curves if len(curves) > 1 else no_curves(), curves.finals()


def typed(text: str) -> Any:
    """Return a setting as a number if it is one."""
    number = as_number(text)
    if number is None or not math.isfinite(number):
        return text.strip()
    return int(number) if number == int(number) and "." not in text and "e" not in text.lower() else number


def _typed(cells: Sequence[str]) -> list[Any]:
    values = [typed(cell) for cell in cells]
    numbers = all(isinstance(value, int | float) for value in values)
    return values if numbers else [cell.strip() for cell in cells]


def _axes(roles: Roles) -> tuple[str, ...]:
    return ("variant",) if roles.name_seed else roles.variant


@dataclass
class _Keys:
    """The variant and the seed of each row.

    Attributes:
        keys: each different one.
        of_row: index in `keys` (int32).
        first: key -> its first row.
        columns: of each setting, and at last of the seed: the number of each row's value, and the different values.
    """

    keys: list[Key]
    of_row: np.ndarray
    first: dict[Key, int]
    columns: list[Coded]

    @classmethod
    def of(cls, columns: list[Coded], rows: int) -> _Keys:
        """Put the columns of the settings and of the seed together."""
        alike = combined(((codes, len(values)) for codes, values in columns), rows)
        _, firsts, of_row = np.unique(alike, return_index=True, return_inverse=True)
        first: dict[Key, int] = {}
        index: dict[Key, int] = {}
        numbers = []
        for row in firsts.tolist():
            *values, seed = _at(columns, row)
            key = (tuple(values), seed)  # 1 and 1.0 are one key
            numbers.append(index.setdefault(key, len(index)))
            first[key] = min(row, first.get(key, row))
        return cls(list(index), np.array(numbers, np.int32)[of_row], first, columns)

    def values(self, row: int) -> tuple[Any, ...]:
        """Return a row's settings."""
        return tuple(_at(self.columns[:-1], row))


def _at(columns: Sequence[Coded], row: int) -> list[Any]:
    return [values[codes[row]] for codes, values in columns]


def _coded(table: Table, roles: Roles, *, unpaired: bool) -> list[Coded]:
    """Return the columns of the settings, and at last that of the seeds; raise `UserError` for a cell that is none."""
    rows = len(table.lines)
    settings: list[Coded] = []
    seeds: Coded = np.zeros(rows, np.int32), [0]
    if roles.name_seed:
        codes, texts = table.columns[roles.variant[0]].codes()
        distinct = sorted(texts)
        split = dict(zip(distinct, names.split_names(distinct), strict=True))
        settings.append((codes, [split[text][0] for text in texts]))
        seeds = codes, [split[text][1] or 0 for text in texts]
    else:
        for name in roles.variant:
            codes, texts = table.columns[name].codes()
            settings.append((codes, _typed(texts)))
    if roles.seed:
        codes, texts = table.columns[roles.seed].codes()
        seeds = codes, [_seed(table, roles.seed, text, codes, code) for code, text in enumerate(texts)]
    if unpaired and not roles.step and not roles.long:
        seeds = np.arange(rows, dtype=np.int32), range(rows)
    return [*settings, seeds]


def _seed(table: Table, column: str, cell: str, codes: np.ndarray, code: int) -> int:
    text = cell.strip()
    try:
        return int(text)
    except ValueError:
        number = as_number(text)  # pandas writes 3.0 where another seed is missing
    if number is None or not math.isfinite(number) or number != int(number):
        problem = "the seed is missing" if not text else f"{shortened(text)} is no seed"
        where = table.where(int(np.argmax(codes == code)))
        raise UserError(f"{where}: column '{column}': {problem}: give the whole number of the repetition")
    return int(number)


def _times(table: Table, roles: Roles) -> np.ndarray:
    """Return the step of each row; an empty array where there are no steps."""
    if not roles.step:
        return np.empty(0)
    times, held = table.numbers(roles.step)
    wrong = ~held | ~np.isfinite(times)
    if wrong.any():
        raise UserError(
            f"{table.where(int(np.argmax(wrong)))}: column '{roles.step}' is empty: fill it, or name another one with "
            "--step"
        )
    return times


@dataclass
class _Numbers:
    """The numbers of all columns of metrics, one column after the other.

    Attributes:
        rows: of the table.
        owners: index in `keys`, of the training.
        codes: index in `names`, of the metric.
    """

    rows: np.ndarray
    owners: np.ndarray
    codes: np.ndarray
    values: np.ndarray
    names: list[str]
    keys: list[Key]


def _numbers(table: Table, roles: Roles, headline: str, keys: _Keys) -> _Numbers:
    metrics: dict[str, int] = {}
    owners = {key: number for number, key in enumerate(keys.keys)}
    parts: list[tuple[np.ndarray, ...]] = []
    for metric, column, seed in measured_columns(table, roles, headline):
        values, held = table.numbers(column)
        rows = np.flatnonzero(held).astype(np.int32)
        owner = keys.of_row[rows]
        if seed is not None:
            owner = np.array([owners.setdefault((key, seed), len(owners)) for key, _ in keys.keys], np.int32)[owner]
        if isinstance(metric, str):
            codes = np.full(len(rows), metrics.setdefault(metric, len(metrics)), np.int32)
        else:
            codes = np.array([metrics.setdefault(name, len(metrics)) for name in metric[1]], np.int32)[metric[0][rows]]
        parts.append((rows, owner, codes, values[rows]))
    joined = [arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    if not joined or not len(joined[0]):
        raise UserError(f"{table.path}: no number in any column of metrics: name these columns with --metrics")
    rows, owner, codes, values = joined
    return _Numbers(rows, owner, codes, values, list(metrics), list(owners))


def measured_columns(table: Table, roles: Roles, headline: str) -> Iterator[tuple[str | Coded, str, int | None]]:
    """Yield (metric, or those of the rows, column of its numbers, seed of a column that has one of its own)."""
    if roles.seed_columns:
        for column, seed in roles.seed_columns.items():
            yield headline, column, seed
    elif roles.long:
        codes, texts = table.columns[roles.long[0]].codes()
        yield (codes, [names.metric_name(text) for text in texts]), roles.long[1], None
    else:
        for column in roles.metrics:
            yield names.metric_name(column), column, None


def _measured_trainings(
    table: Table, roles: Roles, numbers: _Numbers, keys: _Keys, times: np.ndarray
) -> dict[Key, Training]:
    """Return the trainings that have a number, in the order of their first ones.

    Raises: UserError for a second number of a metric at one time.
    """
    when = times[numbers.rows] if len(times) else np.zeros(len(numbers.rows))
    order = np.lexsort((when, numbers.owners))  # stable: at one time in the order of the columns, then of the rows
    owners, codes, when, values = numbers.owners[order], numbers.codes[order], when[order], numbers.values[order]
    new_owner = np.append(True, owners[1:] != owners[:-1])
    new_record = new_owner | np.append(True, when[1:] != when[:-1])
    _refuse_seconds(table, roles, numbers, keys, times, order, new_record)
    starts = np.append(np.flatnonzero(new_record), len(order))  # of the records
    when = when[starts[:-1]]
    begins = np.flatnonzero(new_owner)  # of the trainings
    of_training = np.append(np.searchsorted(starts, begins), len(when)).tolist()  # index in `starts`
    first = np.minimum.reduceat(order, begins)  # number of each training
    trainings: dict[Key, Training] = {}
    for place in np.argsort(first, kind="stable").tolist():
        begin, end = of_training[place], of_training[place + 1]
        row = int(numbers.rows[first[place]])
        key = numbers.keys[owners[begins[place]]]
        training = Training(
            table.where(row), values=dict(zip(_axes(roles), keys.values(row), strict=True)), seed=key[1]
        )
        curves = Curves(when[begin:end], starts[begin : end + 1], codes, values, numbers.names)
        training.records, training.finals = curves if end - begin > 1 else no_curves(), curves.finals()
        trainings[key] = training
    return trainings


def _refuse_seconds(
    table: Table,
    roles: Roles,
    numbers: _Numbers,
    keys: _Keys,
    times: np.ndarray,
    order: np.ndarray,
    new_record: np.ndarray,
) -> None:
    """Raise `UserError` for the first number of a metric that a training has at that time already."""
    if new_record.all():
        return
    cells = np.empty(len(order), np.int64)  # the same number where training, time and metric are the same
    cells[order] = np.cumsum(new_record) * len(numbers.names)
    cells += numbers.codes
    firsts = np.unique(cells, return_index=True)[1]
    if len(firsts) == len(cells):
        return
    seconds = np.ones(len(cells), bool)
    seconds[firsts] = False
    second = int(np.argmax(seconds))
    row, metric, key = (
        int(numbers.rows[second]),
        numbers.names[numbers.codes[second]],
        numbers.keys[numbers.owners[second]],
    )
    alike = keys.of_row[:row] == keys.of_row[row]
    if len(times):
        alike &= times[:row] == times[row]
    lines = [
        table.lines[each]
        for each in np.flatnonzero(alike).tolist()
        if key == keys.keys[keys.of_row[row]]
        and (not roles.long or names.metric_name(table.columns[roles.long[0]][each]) == metric)
    ]
    said = [f"{name} {value}" for name, value in zip(_axes(roles), key[0], strict=True)]
    said += [f"seed {key[1]}", *([f"{roles.step} {whole(float(times[row]))}"] if roles.step else [])]
    after = f", after line {lines[0]}" if lines else ""
    raise UserError(
        f"{table.where(row)}: a second {metric} of {', '.join(said)}{after}: delete one, or name with --variant the "
        "columns that tell the two apart"
    )


def _with_empty(table: Table, roles: Roles, trainings: dict[Key, Training], keys: _Keys) -> list[Training]:
    """Add the rows without any number as trainings without a result, which a reader is told of."""
    if not roles.seed_columns:
        for key, row in sorted(keys.first.items(), key=lambda item: item[1]):
            if key not in trainings:
                values = dict(zip(_axes(roles), keys.values(row), strict=True))
                trainings[key] = Training(table.where(row), values=values, seed=key[1])
    return [trainings[key] for key in sorted(trainings, key=lambda key: keys.first.get(key, 0))]
