"""Rows of a table -> trainings: the rows of one variant and seed are one training, over steps if there are any."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from normlab.errors import UserError, shortened
from normlab.studies.foreign import names
from normlab.studies.foreign.columns import Roles
from normlab.studies.foreign.table_file import Table, as_number
from normlab.studies.foreign.training import Training

Number = float | None


def trainings_of(table: Table, roles: Roles, headline: str, *, unpaired: bool = False) -> list[Training]:
    """Return the trainings of a table, in the order of their first rows.

    Args:
        headline: what the numbers are where no column names a metric.
    Raises: UserError naming file and line of a seed or number that is none, or of a second value of one cell.
    """
    variants, seeds = _cells(table, roles, unpaired=unpaired)
    times = _times(table, roles)
    trainings: dict[Any, Training] = {}
    rows_of: dict[Any, dict[float, dict[str, float]]] = {}
    for metric, values, of_seed in _measured(table, roles, headline):
        for row, value in enumerate(values):
            if value is None:
                continue
            seed = seeds[row] if of_seed is None else of_seed
            key = (variants[row], seed)
            if key not in trainings:
                chosen = dict(zip(_axes(roles), variants[row], strict=True))
                trainings[key], rows_of[key] = Training(table.where(row), values=chosen, seed=seed), {}
            record = rows_of[key].setdefault(times[row], {})
            name = metric[row] if isinstance(metric, list) else metric
            if name in record:
                _refuse_second(table, roles, row, key, name)
            record[name] = value
    for key, training in trainings.items():
        training.records, training.finals = over_time(rows_of[key])
    if not trainings:
        raise UserError(f"{table.path}: no number in any column of metrics: name these columns with --metrics")
    return _with_empty(table, roles, trainings, variants, seeds)


def over_time(records: Mapping[float, Mapping[str, float]]) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Return the records in order of time, as a run folder has them, and each metric's last value.

    One record is no curve: it is only the end.
    """
    ordered = sorted(records)
    finals: dict[str, float] = {}
    for when in ordered:
        finals |= records[when]
    if len(ordered) < 2:
        return [], finals
    finite = [
        {"epoch": when, **{name: value if math.isfinite(value) else None for name, value in records[when].items()}}
        for when in ordered
    ]
    return finite, finals


def typed(text: str) -> Any:
    """Return a setting as a number if it is one."""
    number = as_number(text)
    if number is None or not math.isfinite(number):
        return text.strip()
    return int(number) if number == int(number) and "." not in text and "e" not in text.lower() else number


def _typed(cells: Sequence[str]) -> list[Any]:
    known: dict[str, Any] = {}
    for cell in cells:
        if cell not in known:
            known[cell] = typed(cell)
    numbers = all(isinstance(value, int | float) for value in known.values())
    return [known[cell] if numbers else cell.strip() for cell in cells]


def _axes(roles: Roles) -> tuple[str, ...]:
    return ("variant",) if roles.name_seed else roles.variant


def _cells(table: Table, roles: Roles, *, unpaired: bool) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Return the variant and the seed of each row."""
    rows = len(table.lines)
    seeds = [_seed(table, roles.seed, row) for row in range(rows)] if roles.seed else [0] * rows
    variants: list[tuple[Any, ...]]
    if roles.name_seed:
        texts = table.columns[roles.variant[0]]
        distinct = sorted(set(texts))
        split = dict(zip(distinct, names.split_names(distinct), strict=True))
        variants = [(split[text][0],) for text in texts]
        if not roles.seed:
            seeds = [split[text][1] or 0 for text in texts]
    else:
        columns = [_typed(table.columns[name]) for name in roles.variant]
        variants = list(zip(*columns, strict=True)) if columns else [()] * rows
    if unpaired and not roles.step and not roles.long:
        seeds = list(range(rows))
    return variants, seeds


def _times(table: Table, roles: Roles) -> list[float]:
    if not roles.step:
        return [0] * len(table.lines)
    times: list[float] = []
    for row, number in enumerate(table.numbers(roles.step)):
        if number is None or not math.isfinite(number):
            raise UserError(
                f"{table.where(row)}: column '{roles.step}' is empty: fill it, or name another one with --step"
            )
        times.append(int(number) if number == int(number) else number)
    return times


def _measured(table: Table, roles: Roles, headline: str) -> Iterator[tuple[Any, list[Number], int | None]]:
    """Yield (metric, or that of each row, values by row, seed of a column that has one of its own)."""
    if roles.seed_columns:
        for column, seed in roles.seed_columns.items():
            yield headline, table.numbers(column), seed
    elif roles.long:
        texts = table.columns[roles.long[0]]
        renamed = {text: names.metric_name(text) for text in set(texts)}
        yield [renamed[text] for text in texts], table.numbers(roles.long[1]), None
    else:
        for column in roles.metrics:
            yield names.metric_name(column), table.numbers(column), None


def _seed(table: Table, column: str, row: int) -> int:
    text = table.columns[column][row].strip()
    try:
        return int(text)
    except ValueError:
        number = as_number(text)  # pandas writes 3.0 where another seed is missing
    if number is None or not math.isfinite(number) or number != int(number):
        problem = "the seed is missing" if not text else f"{shortened(text)} is no seed"
        raise UserError(f"{table.where(row)}: column '{column}': {problem}: give the whole number of the repetition")
    return int(number)


def _refuse_second(table: Table, roles: Roles, row: int, key: Any, metric: str) -> None:
    variants, seeds = _cells(table, roles, unpaired=False)
    times = _times(table, roles)
    alike = [
        each
        for each in range(row)
        if (variants[each], seeds[each], times[each]) == (*key, times[row])
        and (not roles.long or names.metric_name(table.columns[roles.long[0]][each]) == metric)
    ]
    said = [f"{name} {value}" for name, value in zip(_axes(roles), key[0], strict=True)]
    said += [f"seed {key[1]}", *([f"{roles.step} {times[row]}"] if roles.step else [])]
    after = f", after line {table.lines[alike[0]]}" if alike else ""
    raise UserError(
        f"{table.where(row)}: a second {metric} of {', '.join(said)}{after}: delete one, or name with --variant the "
        "columns that tell the two apart"
    )


def _with_empty(
    table: Table, roles: Roles, trainings: dict[Any, Training], variants: list[tuple[Any, ...]], seeds: list[int]
) -> list[Training]:
    """Add the rows without any number as trainings without a result, which a reader is told of."""
    if not roles.seed_columns:
        for row, key in enumerate(zip(variants, seeds, strict=True)):
            if key not in trainings:
                chosen = dict(zip(_axes(roles), key[0], strict=True))
                trainings[key] = Training(table.where(row), values=chosen, seed=key[1])
    order = {key: row for row, key in reversed(list(enumerate(zip(variants, seeds, strict=True))))}
    return [trainings[key] for key in sorted(trainings, key=lambda key: order.get(key, 0))]
