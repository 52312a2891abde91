"""Three ways to cut the same questions, because one cut hides what the others show.

`course`: train.csv against val.csv, every database on both sides and most validation SQL seen in training.
`unseen`: the 20 databases of Spider's dev split against the others, whichever file a row came from.
`novel`: the course's validation rows whose SQL does not occur in training for the same database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from normlab.data.sql.spider import DEV_DATABASES, Example
from normlab.errors import UserError, did_you_mean

VIEWS = ("course", "unseen", "novel")


@dataclass(frozen=True)
class Leakage:
    """What training already shows of the evaluation rows.

    Attributes:
        rows: evaluation rows.
        same_database: of these, rows whose database has training rows.
        same_sql: rows whose SQL stands in training for the same database, but for case and spaces.
        same_question: rows whose question stands there too.
    """

    rows: int
    same_database: int
    same_sql: int
    same_question: int

    def __str__(self) -> str:
        def share(count: int) -> str:
            return f"{count} of {self.rows} ({count / max(self.rows, 1):.1%})"

        return (
            f"leakage: database seen in training for {share(self.same_database)}, "
            f"SQL for {share(self.same_sql)}, question for {share(self.same_question)}"
        )


@dataclass(frozen=True)
class View:
    """Training and evaluation rows of one cut, with the databases kept out of training."""

    name: str
    train: list[Example]
    evaluation: list[Example]
    held_out: frozenset[str]
    leakage: Leakage


def make_view(
    name: str, train: Sequence[Example], val: Sequence[Example], held_out: Collection[str] = DEV_DATABASES
) -> View:
    """Cut the rows of the two files into a view.

    Args:
        name: one of `VIEWS`.
        train, val: rows of the two files.
        held_out: the databases of `unseen`.
    Raises: `UserError` for an unknown view, or if `unseen` leaves nothing to train or evaluate on.
    """
    if name not in VIEWS:
        raise UserError(f"unknown view '{name}': {did_you_mean(name, VIEWS)}")
    kept_out = frozenset(held_out) if name == "unseen" else frozenset()
    if name == "unseen":
        everything = [*train, *val]
        training = [row for row in everything if row.db_id not in kept_out]
        evaluation = [row for row in everything if row.db_id in kept_out]
    else:
        training, evaluation = list(train), list(val)
    if name == "novel":
        known = {_sql_key(row) for row in training}
        evaluation = [row for row in evaluation if _sql_key(row) not in known]
    if not training or not evaluation:
        side = "training" if not training else "evaluation"
        raise UserError(f"the view '{name}' leaves no {side} rows: check the question files")
    return View(name, training, evaluation, kept_out, leakage(training, evaluation))


def refuse_held_out(rows: Iterable[Example], held_out: Collection[str]) -> None:
    """Raise `UserError`, naming the row, if training touches a database that is kept for evaluation."""
    for row in rows:
        if row.db_id in held_out:
            raise UserError(
                f"{row.source or 'a training row'} is of database '{row.db_id}', which is held out for "
                "evaluation: train on the rows of make_view('unseen', ...).train"
            )


def leakage(train: Iterable[Example], evaluation: Sequence[Example]) -> Leakage:
    """Count evaluation rows whose database, or whose SQL or question for that database, training has seen."""
    databases, queries, questions = set(), set(), set()
    for row in train:
        databases.add(row.db_id)
        queries.add(_sql_key(row))
        questions.add(_question_key(row))
    return Leakage(
        rows=len(evaluation),
        same_database=sum(row.db_id in databases for row in evaluation),
        same_sql=sum(_sql_key(row) in queries for row in evaluation),
        same_question=sum(_question_key(row) in questions for row in evaluation),
    )


def _sql_key(row: Example) -> tuple[str, str]:
    return row.db_id, " ".join(row.query.lower().split())


def _question_key(row: Example) -> tuple[str, str]:
    return row.db_id, " ".join(row.question.lower().split())
