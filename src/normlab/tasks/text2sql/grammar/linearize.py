"""SQL to the grammar's actions and back.

Going out, the official parser's reading of the gold query is walked in execution order; aliases and ON
are dropped. Coming back, tables get aliases T1, T2, ... that are unique in the whole text (the official
parser keeps one meaning for each), ON is completed from the foreign keys, and the text is spaced as that
parser needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from normlab.data.sql.names import column_name, table_name
from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.evaluation.parser import parse
from normlab.tasks.text2sql.evaluation.tree import (
    ColumnUnit,
    Condition,
    Conditions,
    Query,
    Value,
    ValueUnit,
)
from normlab.tasks.text2sql.grammar.automaton import CLOSE, END, OPEN, Action, word
from normlab.tasks.text2sql.grammar.phases import SET_OPERATIONS


def to_actions(sql: str, schema: Schema) -> list[Action]:
    """Return a query's actions, END last.

    Raises: `ParseError` if the official parser rejects the query.
    """
    numbers = {"__all__": 0}
    for index, column in enumerate(schema.columns[1:], start=1):
        numbers[f"__{schema.tables[column.table].name.lower()}.{column.name.lower()}__"] = index
    tables = {f"__{table.name.lower()}__": index for index, table in enumerate(schema.tables)}
    return [*_Walk(numbers, tables).query(parse(sql, schema.names)), END]


def to_sql(actions: Sequence[Action], schema: Schema, named: Sequence[int] = ()) -> str:
    """Return the SQL of a complete sequence of actions.

    Args:
        named: how well the question names each column; of several keys between two tables the one whose
            columns the query uses elsewhere is taken, else the best named one.
    Raises: ValueError if the sequence is not complete.
    """
    return _written(actions, schema, named).text


def joined_without_key(actions: Sequence[Action], schema: Schema) -> tuple[str, ...]:
    """Return the tables of a complete query that no key joins to an earlier one. Raises: as `to_sql`."""
    return tuple(_written(actions, schema, ()).without_key)


def written(actions: Sequence[Action], schema: Schema, named: Sequence[int]) -> tuple[str, tuple[str, ...]]:
    """Return what `to_sql` and `joined_without_key` do, at the cost of one."""
    writer = _written(actions, schema, named)
    return writer.text, tuple(writer.without_key)


def _written(actions: Sequence[Action], schema: Schema, named: Sequence[int]) -> _Writer:
    writer = _Writer(actions, schema, named)
    writer.text = writer.query()
    if writer.take() != END:
        raise ValueError("the actions do not end where the query does")
    return writer


class _Walk:
    """Clauses of a parsed query in execution order."""

    def __init__(self, columns: dict[str, int], tables: dict[str, int]) -> None:
        self._columns = columns
        self._tables = tables

    def query(self, query: Query) -> Iterator[Action]:
        for table in query.tables:
            if isinstance(table, Query):
                yield from (OPEN, *self.query(table), CLOSE)
            else:
                yield ("table", self._tables[table])
        yield from self._conditions("where", query.where)
        if query.group_by:
            yield word("group")
            for group in query.group_by:
                yield from self._column(group)
        yield from self._conditions("having", query.having)
        yield word("select")
        if query.distinct:
            yield word("distinct")
        for aggregate, unit in query.select:
            if aggregate != "none":
                yield word(aggregate)
            yield from self._value_unit(unit)
        if query.direction is not None:
            yield word("order")
            for unit in query.order_by:
                yield from self._value_unit(unit)
            yield word(query.direction)
        if query.limit is not None:
            yield from (word("limit"), ("value", str(query.limit)))
        for name, branch in zip(SET_OPERATIONS, (query.intersect, query.union, query.except_), strict=True):
            if branch is not None:
                yield from (word(name), *self.query(branch))

    def _conditions(self, clause: str, conditions: Conditions) -> Iterator[Action]:
        if conditions.items:
            yield word(clause)
        for item in conditions.items:
            if isinstance(item, Condition):
                yield from self._condition(item)
            else:
                yield word(item)

    def _condition(self, condition: Condition) -> Iterator[Action]:
        yield from self._value_unit(condition.unit)
        if condition.negated:
            yield word("not")
        yield word(condition.comparison)
        yield from self._value(condition.first)
        if condition.second is not None:
            yield from self._value(condition.second)

    def _value(self, value: Value) -> Iterator[Action]:
        if isinstance(value, Query):
            yield from (OPEN, *self.query(value), CLOSE)
        elif isinstance(value, ColumnUnit):
            yield from self._column(value)
        elif isinstance(value, str):
            yield ("value", "'" + value[1:-1].replace("'", "''") + "'")
        elif value is not None:
            yield ("value", f"{value:.15g}")

    def _value_unit(self, unit: ValueUnit) -> Iterator[Action]:
        yield from self._column(unit.left)
        if unit.right is not None:
            yield word(unit.operator)
            yield from self._column(unit.right)

    def _column(self, unit: ColumnUnit) -> Iterator[Action]:
        if unit.aggregate != "none":
            yield word(unit.aggregate)
        if unit.distinct:
            yield word("distinct")
        yield ("column", self._columns[unit.column])


_CLAUSE_WORDS = frozenset(("where", "group", "having", "select", "order", "limit", "and", "or", *SET_OPERATIONS))
_AGGREGATES = frozenset(("max", "min", "count", "sum", "avg"))


class _Writer:
    """A cursor over the actions that writes the text of one query after another."""

    def __init__(self, actions: Sequence[Action], schema: Schema, named: Sequence[int]) -> None:
        self.text = ""
        self.without_key: list[str] = []
        self._actions = actions
        self._schema = schema
        self._named = named
        self._used = frozenset(actions)
        self._aliases = count(1)
        self._at = 0

    def take(self) -> Action:
        if self._at >= len(self._actions):
            raise ValueError("the actions end before the query does")
        self._at += 1
        return self._actions[self._at - 1]

    @property
    def _word(self) -> int | str | None:
        """The next keyword, or None where something else comes."""
        kind, text = self._actions[self._at] if self._at < len(self._actions) else ("word", "end")
        return text if kind == "word" else None

    def query(self) -> str:
        source, names = self._source()
        parts = {}
        for clause in ("where", "group", "having", "select", "order", "limit"):
            if self._word == clause:
                self.take()
                parts[clause] = self._clause(clause, names)
        titles = {
            "where": "WHERE",
            "group": "GROUP BY",
            "having": "HAVING",
            "order": "ORDER BY",
            "limit": "LIMIT",
        }
        text = f"SELECT {parts.get('select', '')} FROM {source}"
        for clause, title in titles.items():
            if clause in parts:
                text += f" {title} {parts[clause]}"
        if self._word in SET_OPERATIONS:
            operation = str(self.take()[1]).upper()
            text += f" {operation} {self.query()}"
        return text

    def _source(self) -> tuple[str, dict[int, str]]:
        """The text after FROM, and what stands before the columns of each table."""
        if self._word == "(":
            return self._nested(), {}
        tables = []
        while self._at < len(self._actions) and self._actions[self._at][0] == "table":
            tables.append(int(self.take()[1]))
        if len(tables) == 1:
            return table_name(self._schema.tables[tables[0]].name), {}
        aliases = [f"T{next(self._aliases)}" for _ in tables]
        text = ""
        for index, (table, alias) in enumerate(zip(tables, aliases, strict=True)):
            named = f"{table_name(self._schema.tables[table].name)} AS {alias}"
            on = self._join(tables[:index], table) if index else None
            link = "" if on is None else f" ON {aliases[on[0]]}.{on[1]} = {alias}.{on[2]}"
            text += f" JOIN {named}{link}" if index else named
        first = {table: f"{alias}." for table, alias in reversed(list(zip(tables, aliases, strict=True)))}
        return text, first

    def _join(self, before: list[int], table: int) -> tuple[int, str, str] | None:
        """Which earlier table a table joins, and both columns: by a foreign key, else by a common name."""
        keys = [pair for a, b in self._schema.foreign_keys for pair in ((a, b), (b, a))]
        pairs = [(a, b) for a, b in keys if self._joins(a, b, before, table)]
        if not pairs:
            self.without_key.append(self._schema.tables[table].name)
            pairs = [(a, b) for a, b in self._alike() if self._joins(a, b, before, table)]
        if not pairs:
            return None
        columns = self._schema.columns
        rivals = [pair for pair in pairs if columns[pair[0]].table == columns[pairs[0][0]].table]
        a, b = max(rivals, key=self._named_by)  # the first of those named alike
        return before.index(columns[a].table), column_name(columns[a].name), column_name(columns[b].name)

    def _joins(self, a: int, b: int, before: list[int], table: int) -> bool:
        columns = self._schema.columns
        return columns[b].table == table and columns[a].table in before and a != b

    def _alike(self) -> Iterator[tuple[int, int]]:
        """Pairs of columns with one name."""
        alike: dict[str, list[int]] = {}
        for number, column in enumerate(self._schema.columns[1:], start=1):
            alike.setdefault(column.name.lower(), []).append(number)
        names = (column.name.lower() for column in self._schema.columns[1:])
        return ((a, b) for a, name in enumerate(names, start=1) for b in alike[name])

    def _named_by(self, pair: tuple[int, int]) -> tuple[int, int]:
        """How often the query itself uses the columns of a key, and how well the question names them."""
        used = sum(("column", column) in self._used for column in pair)
        return used, sum(self._named[column] for column in pair) if self._named else 0

    def _nested(self) -> str:
        self.take()
        text = self.query()
        if self.take() != CLOSE:
            raise ValueError("a sub-query is not closed")
        return f"({text})"

    def _clause(self, clause: str, names: dict[int, str]) -> str:
        if clause in ("where", "having"):
            return self._conditions(names)
        items: list[str] = []
        prefix = ""
        if clause == "select" and self._word == "distinct":
            self.take()
            prefix = "DISTINCT "
        while self._word not in _CLAUSE_WORDS and self._word not in ("end", ")"):
            if self._word in ("asc", "desc"):
                return f"{' , '.join(items)} {str(self.take()[1]).upper()}"
            items.append(self._unit(names, whole=clause == "select"))
        return prefix + " , ".join(items)

    def _unit(self, names: dict[int, str], whole: bool = False) -> str:
        """A column, or two and an operator. `whole`: an aggregate in front takes both, as in SELECT."""
        if whole and self._word in _AGGREGATES:
            aggregate = self.take()[1]
            distinct = "DISTINCT " if self._word == "distinct" and self.take() else ""
            return f"{aggregate}({distinct}{self._unit(names)})"
        text = self._operand(names)
        while self._word in ("-", "+", "*", "/"):
            text += f" {self.take()[1]} {self._operand(names)}"
        return text

    def _operand(self, names: dict[int, str]) -> str:
        if self._word == "(":
            return self._nested()
        kind, text = self.take()
        if kind == "value":
            return str(text)
        if kind == "column":
            number = int(text)
            column = self._schema.columns[number]
            return names.get(column.table, "") + (column_name(column.name) if number else "*")
        if text in _AGGREGATES:
            distinct = "DISTINCT " if self._word == "distinct" and self.take() else ""
            return f"{text}({distinct}{self._operand(names)})"
        raise ValueError(f"'{text}' cannot stand where a column or a value is expected")

    def _conditions(self, names: dict[int, str]) -> str:
        text = self._condition(names)
        while self._word in ("and", "or"):
            text += f" {str(self.take()[1]).upper()} {self._condition(names)}"
        return text

    def _condition(self, names: dict[int, str]) -> str:
        text = self._unit(names)
        if self._word == "not":
            self.take()
            text += " NOT"
        comparison = str(self.take()[1])
        text += f" {comparison.upper()} {self._operand(names)}"
        return text + f" AND {self._operand(names)}" if comparison == "between" else text
