"""Which column of a table of results is what: variants, seed, steps, metrics.

What a user names is taken; the rest is told by names that the field uses, and by what a column holds: text makes
variants, numbers are metrics unless they are settings, or are needed to tell rows apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from normlab.errors import UserError, did_you_mean
from normlab.studies.foreign import names
from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.table_file import BLANKS, Table, as_number
from normlab.studies.foreign.text_column import combined
from normlab.tasks import TASKS, task_settings


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are.

    Attributes:
        long: (column of metrics' names, column of values) of a long form; None: a column per metric.
        seed_columns: column -> seed, where each seed has a column of its own.
        name_seed: the column whose texts name variant and seed together; it is the only one in `variant` then.
        unused: columns that are nothing of these.
    """

    variant: tuple[str, ...]
    seed: str = ""
    step: str = ""
    metrics: tuple[str, ...] = ()
    long: tuple[str, str] | None = None
    seed_columns: dict[str, int] = field(default_factory=dict)
    name_seed: bool = False
    unused: tuple[str, ...] = ()


def roles_of(table: Table, asked: Asked) -> Roles:
    """Return what the columns are.

    Raises: UserError naming the file and the flag that helps, where that cannot be told.
    """
    _refuse_unknown(table, asked)
    columns = list(table.columns)
    seed = asked.seed or names.first_of(columns, names.SEED_NAMES) or names.first_of(columns, names.REPEAT_NAMES) or ""
    seed_columns = {} if seed else _seed_columns(columns)
    long = None if asked.metrics or seed_columns else _long_form(table, asked)
    step = asked.step or next((name for name in clocks(columns) if name not in asked.variant), "")
    taken = {seed, step, *(long or ()), *seed_columns} - {""}
    rest = [name for name in columns if name not in taken]
    metrics = list(asked.metrics) or (
        [] if long or seed_columns else [name for name in rest if _is_metric(table, name)]
    )
    known = {name for name in metrics if asked.metrics or names.is_known_metric(name)}
    candidates = [name for name in rest if name not in known and names.plain(name) not in names.BOOKKEEPING]
    roles = Roles((), seed, step, tuple(metrics), long, seed_columns)
    if asked.variant:
        chosen = roles if seed or seed_columns or asked.unpaired else _named(table, roles, asked.variant, asked)
        chosen = replace(chosen, variant=asked.variant)
    else:
        chosen = _choose(table, roles, candidates, asked)
    used = {*chosen.variant, *chosen.metrics, *taken}
    return replace(chosen, unused=tuple(name for name in columns if name and name not in used))


def distinct(table: Table, column: str) -> set[str]:
    """Return the different texts of a column."""
    return {text for text, _ in table.columns[column].counts()}


def _choose(table: Table, roles: Roles, candidates: list[str], asked: Asked) -> Roles:
    texts = [name for name in candidates if not _is_numeric(table, name) or _is_setting(name)]
    same = [name for name in texts if len(distinct(table, name)) == 1]
    texts = [name for name in texts if name not in same]
    if not roles.seed and not roles.seed_columns and not asked.unpaired:
        return _named(table, roles, texts, asked)
    chosen = _without_copies(table, [name for name in texts if not _is_label(table, roles, name)])
    if not chosen and texts:
        return _of_labels(table, roles, texts)
    for name in candidates:  # numbers that are needed to tell rows apart
        if name not in texts and roles.seed and _ambiguous(table, roles, chosen) and _repeats(table, name):
            chosen.append(name)
    if not chosen:  # one variant, which a column may name
        chosen = [name for name in same if names.first_of([name], names.MAIN_AXES)]
    freed = tuple(name for name in roles.metrics if name not in chosen)
    return replace(roles, variant=tuple(chosen), metrics=freed)


def _named(table: Table, roles: Roles, texts: Sequence[str], asked: Asked) -> Roles:
    """Return the column whose names hold the seeds ("batch-seed0"); there is no column of seeds."""
    for name in texts:
        values = sorted(distinct(table, name))
        if all(seed is not None for _, seed in names.split_names(values)):
            return replace(roles, variant=(name,), name_seed=True)
    raise UserError(
        f"{table.path}:1: no column of seeds among {', '.join(table.columns)}: name it with --seed COLUMN, or add one "
        "(a seed is the number of a repetition)"
    )


def _of_labels(table: Table, roles: Roles, texts: list[str]) -> Roles:
    """Every text names one run: without the seeds in them they may name variants ("batch-0", "batch-1")."""
    for name in texts:
        values = sorted(distinct(table, name))
        split = names.split_names(values)
        if all(seed is not None for _, seed in split) and len({variant for variant, _ in split}) < len(values):
            return replace(roles, variant=(name,), name_seed=True)
    return replace(roles, variant=tuple(texts[:1]))


def _is_label(table: Table, roles: Roles, name: str) -> bool:
    """Say whether each of many texts stands with one seed only, though there are several seeds: a run's own name."""
    if not roles.seed or len(distinct(table, roles.seed)) < 2:
        return False
    size = len(distinct(table, name))
    return size > 2 and _combinations(table, [name, roles.seed]) == size


def _without_copies(table: Table, columns: Iterable[str]) -> list[str]:
    """Leave out columns that say the same as one before them in other words."""
    kept: list[str] = []
    for name in columns:
        size = len(distinct(table, name))
        if not any(len(distinct(table, other)) == size == _combinations(table, [name, other]) for other in kept):
            kept.append(name)
    return kept


def _ambiguous(table: Table, roles: Roles, variant: Sequence[str]) -> bool:
    keys = [name for name in (*variant, roles.seed, roles.step, roles.long[0] if roles.long else "") if name]
    return _combinations(table, keys) < len(table.lines)


def _combinations(table: Table, columns: Iterable[str]) -> int:
    """Return how many different rows there are if only these columns count."""
    coded = (table.columns[name].codes() for name in columns)
    return len(np.unique(combined(((codes, len(texts)) for codes, texts in coded), len(table.lines))))


def _repeats(table: Table, name: str) -> bool:
    return 1 < len(distinct(table, name)) <= len(table.lines) // 2


def _long_form(table: Table, asked: Asked) -> tuple[str, str] | None:
    metric = asked.metric_column or names.first_of(table.columns, names.METRIC_COLUMNS)
    value = asked.value_column or names.first_of(table.columns, names.VALUE_COLUMNS)
    if metric and value and (asked.metric_column or not _is_numeric(table, metric)):
        return metric, value
    if asked.metric_column or asked.value_column:
        flag = "--value-column" if asked.metric_column else "--metric-column"
        raise UserError(f"{table.path}: a long form has a column of metrics' names and one of values: give {flag} too")
    return None


def _seed_columns(columns: Sequence[str]) -> dict[str, int]:
    """Return column -> seed of columns such as "seed_0" and "seed_1"."""
    found = {name: names.plain(name).removeprefix("seed").strip("_") for name in columns}
    return {name: int(rest) for name, rest in found.items() if rest.isdigit() and names.plain(name).startswith("seed")}


def clocks(columns: Sequence[str]) -> list[str]:
    """Return the columns that curves may run over, epochs before steps."""
    return [name for wanted in names.CLOCK_NAMES if (name := names.first_of(columns, (wanted,)))]


def _is_metric(table: Table, name: str) -> bool:
    if names.is_known_metric(name):
        return True
    other = _is_setting(name) or names.plain(name) in names.BOOKKEEPING or names.plain(name) in names.CLOCK_NAMES
    return not other and not _is_text(table, name)


def _is_setting(name: str) -> bool:
    return names.plain(name) in names.SETTINGS or names.plain(name) in _task_settings()


@cache
def _task_settings() -> frozenset[str]:
    """Return the names of all settings of our own tasks."""
    return frozenset(field for task in TASKS for field in task_settings(task).config_class.model_fields)


def _is_text(table: Table, name: str) -> bool:
    """Say whether most of a column's cells are text; a single one in a column of numbers is a mistake in it."""
    cells = numbers = 0
    for cell, count in table.columns[name].counts():
        if cell.strip().lower() not in BLANKS:
            cells += count
            numbers += count * (as_number(cell, decimal_comma=table.decimal_comma) is not None)
    return 2 * numbers < cells or not cells


def _is_numeric(table: Table, name: str) -> bool:
    return not _is_text(table, name)


def _refuse_unknown(table: Table, asked: Asked) -> None:
    flags = {"--variant": asked.variant, "--seed": (asked.seed,), "--step": (asked.step,), "--metrics": asked.metrics}
    flags |= {"--metric-column": (asked.metric_column,), "--value-column": (asked.value_column,)}
    for flag, given in flags.items():
        for name in given:
            if name and name not in table.columns:
                raise UserError(f"{table.path}:1: {flag}: no column '{name}': {did_you_mean(name, table.columns)}")
