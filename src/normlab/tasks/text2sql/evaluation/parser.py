"""SQL tokens to a `Query`, accepting exactly what the official script accepts and reading it the same way.

Its ways, all kept: FROM is looked up first, anywhere ahead; clauses stand in one order and what follows the
last one is ignored; aliases hold for the whole text; commas and connectors may be missing; a bare column
belongs to the first table of its own FROM that has it; after a column on the right of a comparison
everything up to the next comma, parenthesis, AND or clause is skipped. Whatever raises there raises
`ParseError` here.
"""

from __future__ import annotations

from collections.abc import Mapping

from normlab.tasks.text2sql.evaluation.tokens import tokenize
from normlab.tasks.text2sql.evaluation.tree import (
    AGGREGATES,
    CLAUSES,
    COMPARISONS,
    JOIN_WORDS,
    OPERATORS,
    SET_OPERATIONS,
    STAR,
    ColumnUnit,
    Condition,
    Conditions,
    ParseError,
    Query,
    Value,
    ValueUnit,
)

Names = Mapping[str, tuple[str, ...]]
"""Lower-case table name -> its lower-case column names."""


def parse(sql: str, names: Names) -> Query:
    """Parse one query over the tables in `names`.

    Raises: `ParseError` where the official script fails.
    """
    try:
        tokens = tokenize(sql)
        return _Parser(tokens, _Scope(tokens, names)).query()
    except ParseError:
        raise
    except (LookupError, ValueError, RecursionError) as error:
        raise ParseError(f"cannot be parsed: {error}") from None


class _Scope:
    """What the words of one text name: tables by name or alias, columns by identifier."""

    def __init__(self, tokens: list[str], names: Names) -> None:
        self.names = names
        self.tables = {tokens[i + 1]: tokens[i - 1] for i, token in enumerate(tokens) if token == "as"}
        for table in names:
            if table in self.tables:
                raise ParseError(f"the alias '{table}' is also the name of a table")
            self.tables[table] = table

    def column(self, word: str, tables: list[str]) -> str:
        if word == "*":
            return STAR
        if "." in word:
            alias, name = word.split(".")
            return self.identifier(f"{self.tables[alias]}.{name}")
        for table in (self.tables[name] for name in tables):
            if word in self.names[table]:
                return self.identifier(f"{table}.{word}")
        raise ParseError(f"no column '{word}' in the tables of its FROM")

    def identifier(self, key: str) -> str:
        """`*`, a table, or `table.column`; an alias may stand for any of them."""
        table, _, column = key.rpartition(".")
        if key == "*":
            return STAR
        if key in self.names or (table in self.names and column in self.names[table]):
            return f"__{key}__"
        raise ParseError(f"no table or column '{key}'")


class _Parser:
    """A cursor over the tokens; past the end it sees empty words, which nothing accepts."""

    def __init__(self, tokens: list[str], scope: _Scope) -> None:
        self.tokens = tokens
        self.scope = scope
        self.at = 0

    def query(self) -> Query:
        start = self.at
        block = self.accept("(")
        select_at = self.at
        self.at = start
        units, on, tables = self.from_clause()
        after_from = self.at
        self.at = select_at
        distinct, select = self.select_clause(tables)
        self.at = after_from
        where = self.condition_clause("where", tables)
        group_by = self.group_clause(tables)
        having = self.condition_clause("having", tables)
        direction, order_by = self.order_clause(tables)
        limit = self.limit_clause()
        self.skip_semicolons()
        if block:
            self.expect(")")
        self.skip_semicolons()
        parts: dict[str, Query | None] = dict.fromkeys(SET_OPERATIONS)
        if self.word in SET_OPERATIONS:
            operation = self.take()
            parts[operation] = self.query()
        return Query(
            select=select,
            distinct=distinct,
            tables=units,
            on=on,
            where=where,
            group_by=group_by,
            having=having,
            direction=direction,
            order_by=order_by,
            limit=limit,
            intersect=parts["intersect"],
            union=parts["union"],
            except_=parts["except"],
        )

    @property
    def word(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    @property
    def ended(self) -> bool:
        return self.at >= len(self.tokens)

    def take(self) -> str:
        word = self.word
        self.at += 1
        return word

    def accept(self, word: str) -> bool:
        if self.word != word:
            return False
        self.at += 1
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise ParseError(f"'{word}' expected, found '{self.word}'")

    def skip_semicolons(self) -> None:
        while self.accept(";"):
            pass

    def at_clause_end(self) -> bool:
        return self.word in CLAUSES or self.word in (")", ";")

    def from_clause(self) -> tuple[tuple[str | Query, ...], Conditions, list[str]]:
        """Units, ON conditions, and the tables in which a bare column is looked up."""
        self.at = self.tokens.index("from", self.at) + 1
        units: list[str | Query] = []
        on: list[Condition | str] = []
        tables: list[str] = []
        while not self.ended:
            block = self.accept("(")
            if self.word == "select":
                units.append(self.query())
            else:
                self.accept("join")
                table = self.table()
                units.append(self.scope.identifier(table))
                tables.append(table)
            if self.accept("on"):
                items = self.conditions(tables).items
                on += ["and", *items] if on else items
            if block:
                self.expect(")")
            if self.at_clause_end():
                break
        return tuple(units), Conditions(tuple(on)), tables

    def table(self) -> str:
        name = self.scope.tables[self.take()]
        if self.word == "as":
            self.at += 2
        return name

    def select_clause(self, tables: list[str]) -> tuple[bool, tuple[tuple[str, ValueUnit], ...]]:
        self.expect("select")
        distinct = self.accept("distinct")
        items = []
        while not self.ended and self.word not in CLAUSES:
            aggregate = self.take() if self.word in AGGREGATES else "none"
            items.append((aggregate, self.value_unit(tables)))
            self.accept(",")
        return distinct, tuple(items)

    def condition_clause(self, keyword: str, tables: list[str]) -> Conditions:
        return self.conditions(tables) if self.accept(keyword) else Conditions()

    def group_clause(self, tables: list[str]) -> tuple[ColumnUnit, ...]:
        if not self.accept("group"):
            return ()
        self.expect("by")
        units = []
        while not self.ended and not self.at_clause_end():
            units.append(self.column_unit(tables))
            if not self.accept(","):
                break
        return tuple(units)

    def order_clause(self, tables: list[str]) -> tuple[str | None, tuple[ValueUnit, ...]]:
        """The last direction met holds for all; the whole is None and () without ORDER BY."""
        if not self.accept("order"):
            return None, ()
        self.expect("by")
        direction, units = "asc", []
        while not self.ended and not self.at_clause_end():
            units.append(self.value_unit(tables))
            if self.word in ("asc", "desc"):
                direction = self.take()
            if not self.accept(","):
                break
        return direction, tuple(units)

    def limit_clause(self) -> int | None:
        return int(self.take()) if self.accept("limit") else None

    def conditions(self, tables: list[str]) -> Conditions:
        items: list[Condition | str] = []
        while not self.ended:
            items.append(self.condition(tables))
            if self.at_clause_end() or self.word in JOIN_WORDS:
                break
            if self.word in ("and", "or"):
                items.append(self.take())
        return Conditions(tuple(items))

    def condition(self, tables: list[str]) -> Condition:
        unit = self.value_unit(tables)
        negated = self.accept("not")
        comparison = self.take()
        if comparison not in COMPARISONS:
            raise ParseError(f"a comparison expected, found '{comparison}'")
        first, second = self.value(tables), None
        if comparison == "between":
            self.expect("and")
            second = self.value(tables)
        return Condition(negated, comparison, unit, first, second)

    def value(self, tables: list[str]) -> Value:
        start = self.at
        block = self.accept("(")
        value: Value
        if self.word == "select":
            value = self.query()
        elif '"' in self.word:
            value = self.take()
        else:
            number = _number(self.word)
            value = self.right_column(start, tables) if number is None else number
            self.at += number is not None
        if block:
            self.expect(")")
        return value

    def right_column(self, start: int, tables: list[str]) -> ColumnUnit:
        """A column on the right; what is left of its stretch of tokens is thrown away."""
        while not self.ended and not (
            self.word in (",", ")", "and") or self.word in CLAUSES or self.word in JOIN_WORDS
        ):
            self.at += 1
        return _Parser(self.tokens[start : self.at], self.scope).column_unit(tables)

    def value_unit(self, tables: list[str]) -> ValueUnit:
        block = self.accept("(")
        left, operator, right = self.column_unit(tables), "none", None
        if self.word in OPERATORS:
            operator = self.take()
            right = self.column_unit(tables)
        if block:
            self.expect(")")
        return ValueUnit(operator, left, right)

    def column_unit(self, tables: list[str]) -> ColumnUnit:
        block = self.accept("(")
        if self.word in AGGREGATES:  # the script forgets the parenthesis before an aggregate
            aggregate = self.take()
            self.expect("(")
            unit = self.plain_column(aggregate, tables)
            self.expect(")")
            return unit
        unit = self.plain_column("none", tables)
        if block:
            self.expect(")")
        return unit

    def plain_column(self, aggregate: str, tables: list[str]) -> ColumnUnit:
        distinct = self.accept("distinct")
        return ColumnUnit(aggregate, self.scope.column(self.take(), tables), distinct)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
