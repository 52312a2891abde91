"""Whether two queries return the same: by the rules of the official script, and order-insensitive.

Official: each SELECT item names a list of values, and the two mappings must be equal. So column order is
free but row order always counts, a column named twice collapses, and the same values under another column's
name are wrong.
Order-insensitive: equal bags of rows under some order of the columns; row order counts only where the gold query sorts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from normlab.data.sql.pieces import is_code, pieces
from normlab.tasks.text2sql.evaluation.tree import OfficialAbortError, Query

Rows = Sequence[tuple[Any, ...]]


def official_match(gold_rows: Rows, predicted_rows: Rows, gold: Query, predicted: Query) -> bool:
    """Compare results the official way; the queries are normalised.

    Raises: `OfficialAbortError` if a result has rows with fewer columns than the parsed SELECT has items.
    """
    return _columns_by_item(predicted_rows, predicted) == _columns_by_item(gold_rows, gold)


def order_insensitive_match(gold_rows: Rows, predicted_rows: Rows, *, ordered: bool) -> bool:
    """Compare results as bags of rows, or as lists if `ordered`, under any order of the columns.

    Floats agree to ten significant digits, because sums depend on the order of their terms.
    """
    if len(gold_rows) != len(predicted_rows):
        return False
    if not gold_rows:
        return True
    if len(gold_rows[0]) != len(predicted_rows[0]):
        return False
    gold = [tuple(map(_rounded, row)) for row in gold_rows]
    predicted = [tuple(map(_rounded, row)) for row in predicted_rows]
    collect = tuple if ordered else _bag
    aim = collect(gold)
    return any(
        collect([tuple(row[i] for i in order) for row in predicted]) == aim for order in _orders(gold, predicted)
    )


def is_ordered(query: Query) -> bool:
    """Tell whether the whole result is ordered: the parser puts its ORDER BY into the last branch."""
    branch = query.intersect or query.union or query.except_
    return is_ordered(branch) if branch else query.direction is not None


def sorts(sql: str) -> bool:
    """Tell whether a query that the official parser cannot read sorts its result: ORDER BY outside all parentheses."""
    outside, deep = [], 0
    for piece in filter(is_code, pieces(sql)):
        deep += (piece == "(") - (piece == ")")
        if deep == 0 and piece[0] not in "'\"`[)":
            outside.append(piece.lower())
    return any(pair == ("order", "by") for pair in pairwise(outside))


def _columns_by_item(rows: Rows, query: Query) -> dict[Hashable, list[Any]]:
    columns: dict[Hashable, list[Any]] = {}
    for index, (_, unit) in enumerate(query.select):
        if rows and index >= len(rows[0]):
            raise OfficialAbortError("the result has fewer columns than the script parsed")
        columns[unit.left if unit.right is None else unit] = [row[index] for row in rows]
    return columns


def _orders(gold: Rows, predicted: Rows) -> Iterator[tuple[int, ...]]:
    """Orders of the predicted columns in which each holds the same bag of values as its gold column."""
    bags = [_bag(column) for column in zip(*predicted, strict=True)]
    fitting = [[i for i, bag in enumerate(bags) if bag == wanted] for wanted in map(_bag, zip(*gold, strict=True))]

    def extend(chosen: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(chosen) == len(fitting):
            yield chosen
            return
        for column in fitting[len(chosen)]:
            if column not in chosen:
                yield from extend((*chosen, column))

    columns = list(zip(*predicted, strict=True))
    seen: set[tuple[Hashable, ...]] = set()
    for order in extend(()):
        image = tuple(columns.index(columns[i]) for i in order)  # equal columns are interchangeable
        if image not in seen:
            seen.add(image)
            yield order


def _bag(items: Sequence[Hashable]) -> Counter[Hashable]:
    return Counter(items)


def _rounded(cell: Any) -> Any:
    return float(f"{cell:.10g}") if isinstance(cell, float) else cell
