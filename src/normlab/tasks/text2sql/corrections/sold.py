"""What is sold and what is left: "the best selling product", "how many units of Robot were sold", "out of stock"."""

from __future__ import annotations

import re
from dataclasses import replace

from normlab.data.text.word_forms import words_of
from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, Condition, Unit, column_unit
from normlab.tasks.text2sql.corrections.evidence import EACH, Evidence
from normlab.tasks.text2sql.corrections.superlatives import is_number
from normlab.tasks.text2sql.grammar.automaton import word

_BEST = re.compile(r"\b(?:best|most|top) (?:- )?(?:selling|sold)\b|\bsold (?:the )?(?:most|best)\b")
_WORST = re.compile(r"\b(?:worst|least) (?:- )?(?:selling|sold)\b|\bsold (?:the )?(?:least|worst)\b")
_UNITS = re.compile(r"^how many (?:units|pieces|copies|items)\b.*\b(?:sold|ordered|bought|purchased)\b")
_GONE = re.compile(r"\b(?:out of stock|sold out)\W*$")
_THERE = re.compile(r"\b(?:is|are|still|currently) in stock\W*$")
_AMOUNTS = frozenset(("quantity", "qty", "units", "amount"))
_STOCKS = frozenset(("stock", "inventory", "stocks"))


def as_sold(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Count things by the quantities of the one table that sells them, or by what is left of them."""
    text = " ".join(evidence.words)
    if _BEST.search(text) or _WORST.search(text):
        return _best_selling(clauses, evidence, downward=_WORST.search(text) is None)
    if _UNITS.search(text):
        return _units(evidence)
    if (gone := _GONE.search(text)) or _THERE.search(text):
        return _in_stock(clauses, evidence, "<=" if gone else ">")
    return None


def _best_selling(clauses: Clauses, evidence: Evidence, *, downward: bool) -> Clauses | None:
    named = evidence.tables_at(range(len(evidence.words)))
    if len(named) != 1 or evidence.says(*EACH) or clauses.nests or not clauses.only_and:
        return None
    [things] = named
    label, sale = evidence.label(things), _sale_of(things, evidence)
    if not label or sale is None or any(_table(one, evidence) not in (things, sale[0]) for one in clauses.where):
        return None
    table, child, amount = sale
    limit = next((number for at, number in evidence.numbers.items() if number.isdigit() and number != "1"), "1")
    return Clauses(
        (table, things),
        tuple(map(column_unit, label)),
        group=(column_unit(child),),
        order=(_sum(amount),),
        direction="desc" if downward else "asc",
        limit=limit,
    ).with_where(clauses.where)


def _units(evidence: Evidence) -> Clauses | None:
    """The sum of the quantities of the one thing that the question names."""
    cells = {(c, v.sql) for v in evidence.linked.values if v.kind == "cell" and v.end for c in v.columns}
    if len(cells) != 1:
        return None
    column, sql = cells.pop()
    things = evidence.schema.columns[column].table
    sale = _sale_of(things, evidence)
    if sale is None or column not in evidence.label(things):
        return None
    is_thing = Condition(column_unit(column), "=", ((("value", sql),),))
    return Clauses((sale[0], things), (_sum(sale[2]),)).with_where((is_thing,))


def _in_stock(clauses: Clauses, evidence: Evidence, sign: str) -> Clauses | None:
    wanted = evidence.wanted
    if wanted is None or len(wanted.tables) != 1 or not clauses.only_and:
        return None
    [table] = wanted.tables
    columns = [c for c in evidence.schema.columns_of(table) if is_number(evidence, c) and _named(c, _STOCKS, evidence)]
    if len(columns) != 1 or clauses.tables != (table,) or clauses.group not in ((), (column_unit(columns[0]),)):
        return None
    rest = tuple(one for one in clauses.where if one.column != columns[0])
    left = Condition(column_unit(columns[0]), sign, ((("value", "0"),),))
    kept = () if clauses.limit or clauses.order == (column_unit(columns[0]),) else clauses.order
    shown = (COUNT,) if wanted.by == "how many" else clauses.select
    listed = replace(clauses, select=shown, group=(), order=kept, direction=clauses.direction if kept else "", limit="")
    return listed.with_where((*rest, left))


def _sale_of(things: int, evidence: Evidence) -> tuple[int, int, int] | None:
    """The one table that refers to some things and has a quantity: itself, its key to them, the quantity."""
    columns = evidence.schema.columns
    found = []
    for child, parent in evidence.schema.foreign_keys:
        if columns[parent].table == things and columns[child].table != things:
            own = evidence.schema.columns_of(columns[child].table)
            amounts = [c for c in own if is_number(evidence, c) and _named(c, _AMOUNTS, evidence)]
            if len(amounts) == 1:
                found.append((columns[child].table, child, amounts[0]))
    return found[0] if len(found) == 1 else None


def _named(column: int, words: frozenset[str], evidence: Evidence) -> bool:
    return bool({*words_of(evidence.schema.columns[column].natural)} & words)


def _table(condition: Condition, evidence: Evidence) -> int | None:
    return None if condition.column is None else evidence.schema.columns[condition.column].table


def _sum(column: int) -> Unit:
    return (word("sum"), ("column", column))
