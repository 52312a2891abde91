"""What comes back for a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


def plain_rows(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return rows as JSON and CSV have them: bytes as hexadecimal text."""
    return [[cell.hex() if isinstance(cell, bytes) else cell for cell in row] for row in rows]


@dataclass(frozen=True)
class Reading:
    """One way to understand a question.

    Attributes:
        sql: the query.
        probability: the model's own, of this query among all that it could write; not calibrated.
        confidence: how often such answers are right (`confidence.py`); None for a model without calibration. For the
            best reading; the others' are upper bounds, since it was measured on best ones.
        by_rule: rules wrote it by the question's words; the probability is that of the model's own reading, which
            follows. The confidence was measured with the rules, but not of periods as conditions on dates and of
            joins by another key, which have none.
        by_example: number of the user's example that it is, from 1; 0 for a reading of the model. The probability is
            the model's of this query, 0 where it has not found it.
    """

    sql: str
    probability: float
    confidence: float | None = None
    by_rule: bool = False
    by_example: int = 0


@dataclass(frozen=True)
class Link:
    """A word of the question and what it names: "table", "column" or "cell", and its name ("student.age")."""

    word: str
    kind: str
    name: str


@dataclass(frozen=True)
class Answer:
    """A question's answer.

    Attributes:
        question: as asked.
        sql: the query that was run, or would be.
        probability, confidence: see `Reading`.
        withheld: the confidence is too low: nothing was run, `notes` says it, and `readings` are offered.
        columns: names of the result's columns; empty where nothing was run.
        rows: tuples of values.
        truncated: whether there are more rows than the limit.
        readings: all that the search found and that may be run, best first; `sql` is one of them.
        links: what the words name.
        notes: what a reader should know, one line each: a better-ranked reading that failed, columns left out, ...
        agreement: the share of all readings' probability whose rows are these; None where they were not compared.
        refused: the other queries that the search found, one line each, with the reason why none of them is run.
    """

    question: str
    sql: str
    probability: float
    confidence: float | None
    withheld: bool
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool
    readings: tuple[Reading, ...]
    links: tuple[Link, ...]
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    agreement: float | None = None

    def as_values(self) -> dict[str, Any]:
        """Return plain values for JSON; bytes become hexadecimal text."""
        return {**asdict(self), "rows": plain_rows(self.rows)}

    def to_pandas(self) -> Any:
        """Return the rows as a pandas DataFrame. Raises: ImportError without pandas."""
        import pandas

        return pandas.DataFrame(self.rows, columns=list(self.columns))
