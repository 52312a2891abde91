"""Whether other readings of a question return the same rows: the more of them do, the likelier the answer is right.

Spellings of one meaning share the model's probability, and return the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from time import monotonic

from normlab.apps.ask.answer import Reading
from normlab.data.sql.sqlite import QueryError, QueryLimit, QueryResult

COMPARED_ROWS, COMPARED_SECONDS = 200, 1.0
"""How many rows are compared, and how long all other readings may take together."""


def agreement_of(readings: Sequence[Reading], result: QueryResult, run: Callable[..., QueryResult]) -> float | None:
    """Return what share of the probability of all readings has the rows of the first.

    Args:
        readings: best first; those that rules wrote have no probability of their own and are left out.
        result: what the first returned.
        run: runs a query, with `limit` rows and `seconds`, and raises what `run_query` raises.
    Returns: None if the other readings take too long, which says nothing.
    """
    others = [one for one in readings[1:] if not one.by_rule][readings[0].by_rule :]  # without what a rule corrected
    rows, end = [_bag(result)], monotonic() + COMPARED_SECONDS
    for reading in others:
        try:
            rows.append(_bag(run(reading.sql, limit=COMPARED_ROWS, seconds=max(end - monotonic(), 0.001))))
        except QueryLimit:
            return None
        except QueryError as error:
            rows.append(str(error))
    probabilities = [one.probability for one in (readings[0], *others)]
    same = math.fsum(p for row, p in zip(rows, probabilities, strict=True) if row == rows[0])
    return same / max(math.fsum(probabilities), 1e-300)


def _bag(result: QueryResult) -> Hashable:
    """What is equal for results with the same rows in any order."""
    return len(result.columns), tuple(sorted(map(repr, result.rows[:COMPARED_ROWS])))
