"""Execution on a suite of databases: a wrong query that agrees on one database by accident differs on a copy of it.

After Zhong, Yu and Klein 2020, "Semantic Evaluation for Text-to-SQL with Distilled Test Suites": results must agree on
the database and on mutated copies of it. Their script drops DISTINCT from both queries unless given --keep_distinct;
both scores are given. Here the copies are made by rules (`normlab.data.sql.copies`), not the published ones: the scores
are of the same kind, not the same numbers. Results are compared by `execution.order_insensitive_match`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.data.sql.copies.constants import constants_of
from normlab.data.sql.copies.contents import Key
from normlab.data.sql.copies.making import Copy, mutated_copies
from normlab.data.sql.pieces import pieces
from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import QueryError, QueryResult, run_query
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.text2sql.evaluation.execution import order_insensitive_match, sorts
from normlab.tasks.text2sql.evaluation.scores import RowScore

_MOST_ROWS = 200_000
_SECONDS = 2.0  # of one query on a copy, which has a few hundred rows


def on_copies(
    rows: Sequence[RowScore],
    files: Mapping[str, Path],
    schemas: Mapping[str, Schema],
    *,
    copies: int,
    seed: int,
    seconds: float,
) -> dict[str, Any]:
    """Fill in the test suite's verdicts of scored rows.

    Only rows that are right on the database itself, and not gold's own text, are run. A copy judges nothing where gold
    does not run in time, or has no defined result (its rows in another order give another one).

    Args:
        rows: after scoring on the databases; `suite`, `suite_kept` and the counts of copies are filled in.
        files: db_id -> database.
        copies: how many of each database.
        seed: of the copies.
        seconds: deadline of a query; on a copy 2 s at most.
    Returns: plain JSON: `number`, `seed`; `keep_distinct` and `drop_distinct`, each with the rows
        `right_on_one_database`, how many of these are `wrong_on_a_copy`, and their `share`; `left_out`, copies that
        judged nothing, of `gold_runs`; `never_judged`, rows for which this was all of their copies; `problems`,
        databases without copies and why.
    """
    problems: dict[str, str] = {}
    for db_id, path in files.items():
        asked = [row for row in rows if row.db_id == db_id and row.executed_sound is not None]
        if not asked:
            continue
        judge = _Judge(path, min(seconds, _SECONDS))
        constants = constants_of(row.gold for row in asked)
        try:
            made = list(mutated_copies(path, copies, seed=seed, constants=constants, keys=_keys(schemas[db_id])))
            for row in asked:
                judge.judge(row, made)
        except (UserError, OSError, MemoryError) as error:
            problems[db_id] = str(error) or "its copies do not fit into memory"
    return _summary(rows, copies, seed, problems)


def without_distinct(sql: str) -> str:
    """Return a query without the word DISTINCT, as the test suite's script drops it; quoted texts keep theirs."""
    return "".join(piece for piece in pieces(sql) if piece.lower() != "distinct")


@dataclass
class _Judge:
    """Runs queries on one database and its copies."""

    database: Path
    seconds: float

    def judge(self, row: RowScore, copies: Sequence[Copy]) -> None:
        ordered = sorts(row.gold)
        gold, guess = without_distinct(row.gold), without_distinct(row.predicted)
        row.suite_kept = bool(row.executed_sound) and self._agree(row, row.gold, row.predicted, ordered, copies)
        if (gold, guess) == (row.gold, row.predicted):
            row.without_distinct, row.suite = row.executed_sound, row.suite_kept
            return
        row.without_distinct = gold == guess or _same(
            self._run(self.database, gold), self._run(self.database, guess), ordered
        )
        row.suite = row.without_distinct and self._agree(row, gold, guess, ordered, copies)

    def _agree(self, row: RowScore, gold: str, guess: str, ordered: bool, copies: Sequence[Copy]) -> bool:
        if gold == guess:
            return True
        for copy in copies:
            row.copies += 1
            wanted = self._run(copy.path, gold)
            if not _same(wanted, self._run(copy.reversed, gold), ordered):
                row.copies_left_out += 1
            elif not all(_same(wanted, self._run(path, guess), ordered) for path in copy):
                return False
        return True

    def _run(self, database: Path, sql: str) -> QueryResult | None:
        try:
            return run_query(database, sql, seconds=self.seconds, max_rows=_MOST_ROWS)
        except QueryError:
            return None


def _same(wanted: QueryResult | None, answer: QueryResult | None, ordered: bool) -> bool:
    if wanted is None or answer is None or wanted.truncated or answer.truncated:
        return False
    return order_insensitive_match(wanted.rows, answer.rows, ordered=ordered)


def _keys(schema: Schema) -> list[Key]:
    """The foreign keys of `tables.json`, which a file need not declare."""
    keys = []
    for pair in schema.foreign_keys:
        child, parent = (schema.columns[number] for number in pair)
        keys.append(
            Key(
                schema.tables[child.table].name.lower(),
                (child.name.lower(),),
                schema.tables[parent.table].name.lower(),
                (parent.name.lower(),),
            )
        )
    return keys


def _summary(rows: Sequence[RowScore], copies: int, seed: int, problems: dict[str, str]) -> dict[str, Any]:
    judged = [row for row in rows if row.suite is not None]
    kept = _fall([(row.executed_sound, row.suite_kept) for row in judged])
    dropped = _fall([(row.without_distinct, row.suite) for row in judged])
    return {
        "number": copies,
        "seed": seed,
        "keep_distinct": kept,
        "drop_distinct": dropped,
        "gold_runs": sum(row.copies for row in judged),
        "left_out": sum(row.copies_left_out for row in judged),
        "never_judged": sum(0 < row.copies == row.copies_left_out for row in judged),
        "problems": problems,
    }


def _fall(verdicts: Sequence[tuple[bool | None, bool | None]]) -> dict[str, float]:
    right = [suite for one, suite in verdicts if one]
    wrong = sum(not suite for suite in right)
    return {"right_on_one_database": len(right), "wrong_on_a_copy": wrong, "share": wrong / max(len(right), 1)}


def lines(copies: Mapping[str, Any]) -> list[str]:
    """Return what `on_copies` says as lines for people."""
    described = []
    for title, key in (("DISTINCT dropped", "drop_distinct"), ("DISTINCT kept", "keep_distinct")):
        part = copies[key]
        described.append(
            f"{title}: {part['wrong_on_a_copy']} of {part['right_on_one_database']} "
            f"rows right on one database are wrong on a copy ({100 * part['share']:.1f} %)"
        )
    described.append(
        f"{plural(copies['number'], 'copy', 'copies')} of each database, seed {copies['seed']}: {copies['left_out']} "
        f"of {copies['gold_runs']} looks left out, because gold has no defined result there; of "
        f"{copies['never_judged']} rows all"
    )
    return described + [f"{db_id}: no copies: {why}" for db_id, why in copies["problems"].items()]
