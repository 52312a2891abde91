"""What the comparison forgets: constants, the outer DISTINCT, and which end of a foreign key was named.

Constants go in conditions everywhere but in sub-queries of FROM. Columns of the outer query and its set
branches are replaced by the first column of their foreign-key class, if their table stands in the outermost
FROM; sub-queries keep their own. All as in the official script.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.evaluation.tree import (
    ColumnUnit,
    Condition,
    Conditions,
    Query,
    Value,
    ValueUnit,
)

ForeignKeys = Mapping[str, str]
"""Column identifier -> identifier of the column that stands for its class."""


def foreign_key_classes(schema: Schema) -> ForeignKeys:
    """Group columns that foreign keys join; the lowest column number stands for the group.

    Each pair joins the first group that holds either column and groups are never merged, so one database of
    Spider's 166 comes out otherwise than a transitive closure would make it.
    """
    groups: list[set[int]] = []
    for pair in schema.foreign_keys:
        group = next((group for group in groups if group & set(pair)), None)
        if group is None:
            groups.append(group := set())
        group.update(pair)
    return {_identifier(schema, column): _identifier(schema, min(group)) for group in groups for column in group}


def normalise(query: Query, keys: ForeignKeys) -> Query:
    """Return the query as it is compared: constants dropped, columns mapped; sub-queries in FROM stay.

    Raises: `OfficialAbortError` where the script would stop at an irregular list of conditions.
    """
    tables = {table[2:-2] for table in query.tables if isinstance(table, str)}
    known = {column: aim for column, aim in keys.items() if _table_of(column) in tables}
    return _map_columns(_drop_constants(query), known)


def _identifier(schema: Schema, column: int) -> str:
    table = schema.columns[column].table
    if table < 0:
        return "__all__"
    return f"__{schema.tables[table].name.lower()}.{schema.columns[column].name.lower()}__"


def _table_of(column: str) -> str:
    return column[2:].split(".")[0] if "." in column else ""


def _drop_constants(query: Query) -> Query:
    return replace(
        query,
        on=_without_constants(query.on),
        where=_without_constants(query.where),
        having=_without_constants(query.having),
        intersect=query.intersect and _drop_constants(query.intersect),
        union=query.union and _drop_constants(query.union),
        except_=query.except_ and _drop_constants(query.except_),
    )


def _without_constants(conditions: Conditions) -> Conditions:
    units = iter([replace(c, first=_kept(c.first), second=_kept(c.second)) for c in conditions.units])
    return Conditions(tuple(next(units) if index % 2 == 0 else item for index, item in enumerate(conditions.items)))


def _kept(value: Value) -> Value:
    return _drop_constants(value) if isinstance(value, Query) else None


def _map_columns(query: Query, keys: ForeignKeys) -> Query:
    def column(unit: ColumnUnit) -> ColumnUnit:
        return ColumnUnit(unit.aggregate, keys.get(unit.column, unit.column), None)

    def value(unit: ValueUnit) -> ValueUnit:
        return ValueUnit(unit.operator, column(unit.left), unit.right and column(unit.right))

    def conditions(old: Conditions) -> Conditions:
        return Conditions(
            tuple(
                replace(item, unit=value(item.unit)) if index % 2 == 0 and isinstance(item, Condition) else item
                for index, item in enumerate(old.items)
            )
        )

    return replace(
        query,
        select=tuple((aggregate, value(unit)) for aggregate, unit in query.select),
        distinct=None,
        on=conditions(query.on),
        where=conditions(query.where),
        group_by=tuple(map(column, query.group_by)),
        having=conditions(query.having),
        order_by=tuple(map(value, query.order_by)),
        intersect=query.intersect and _map_columns(query.intersect, keys),
        union=query.union and _map_columns(query.union, keys),
        except_=query.except_ and _map_columns(query.except_, keys),
    )
