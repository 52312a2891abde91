"""From a model's reading to the query that is answered: the rules, the period, and the lines that say so."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from normlab.data.sql.date_columns import DateColumns
from normlab.data.sql.kept_open import kept_open
from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.corrections.clauses import read_clauses
from normlab.tasks.text2sql.corrections.contents import Contents
from normlab.tasks.text2sql.corrections.dates import compared_by_their_days, not_comparable
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.joined_with_itself import joined_with_itself
from normlab.tasks.text2sql.corrections.percentages import ADVICE, DOUBT, in_percent
from normlab.tasks.text2sql.corrections.rules import Corrected, corrected
from normlab.tasks.text2sql.grammar.automaton import Action
from normlab.tasks.text2sql.grammar.linearize import joined_without_key, to_sql
from normlab.tasks.text2sql.linking.linker import Linked
from normlab.tasks.text2sql.periods.rule import PeriodRule

_OTHERWISE = "ask in other words, or give the query by --sql"
_CHOSEN = 100  # more than any question names a column


@dataclass(frozen=True)
class Correction:
    """What the rules make of a reading.

    Attributes:
        sql: the query; the reading's own if no rule has anything to say.
        notes: a line for each thing that a reader should know of it.
        others: the same query by another key between its tables, each with a line that says which.
        dated: the period of the question became a condition on dates.
        doubt: why the query would give wrong rows and must not be run, "" for nothing; `advice`: what to do then.
        whole: a rule wrote all of the query, so that the model's confidence says nothing of it.
    """

    sql: str
    notes: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    dated: bool = False
    doubt: str = ""
    advice: str = "choose a reading, or ask without the date"
    whole: bool = False


class Corrector:
    """The rules over one database.

    Args:
        path: the SQLite file; it is only read.
        schema: its schema.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        dates = DateColumns(path)
        self._path = path
        self._contents = Contents(path, dates)
        self._periods = PeriodRule(path, schema, dates)

    def correct(
        self,
        sql: str,
        actions: Sequence[Action],
        linked: Linked,
        schema: Schema,
        today: datetime.date | None = None,
    ) -> Correction:
        """Return what becomes of a reading.

        Args:
            sql, actions: the reading.
            linked, schema: what the question's words name, in the tables that the model has read.
            today: for "last month" and ages; the machine's day if None.
        Raises: UserError if the file cannot be opened.
        """
        with kept_open(self._path):
            return self._corrected(sql, actions, linked, schema, today)

    def _corrected(
        self, sql: str, actions: Sequence[Action], linked: Linked, schema: Schema, today: datetime.date | None
    ) -> Correction:
        evidence = Evidence(linked, schema, self._contents.of(schema), today)
        if (twice := joined_with_itself(evidence)) is not None:
            if twice.doubt:
                return Correction(sql, doubt=twice.doubt, advice=_OTHERWISE)
            about = f"by rules about a table joined with itself, not by the model, which wrote: {sql}"
            return Correction(twice.sql, (about, *twice.notes), whole=True)
        after = corrected(actions, evidence) if actions else Corrected([])
        if after.changed and joined_without_key(after.actions, schema):
            after = Corrected(list(actions))
        named = linked.column_links.max(0, initial=0).astype(int)
        text = _written(after, schema, named, after.keys) if after.changed or after.keys else sql
        dated = self._periods.apply(linked.question, text, today, model_sql=sql)
        if dated is None:
            after = _with_days(after, evidence)
            text = _written(after, schema, named, after.keys) if after.changed or after.keys else text
        about = f"by rules about {', '.join(after.changed) or 'the key of a join'}" if text != sql else ""
        if dated is not None:
            notes = [*([about] if about else []), *dated.notes]
            text = dated.sql
        else:
            notes = [f"{about}, not by the model, which wrote: {sql}"] if about else []
        if dated is None and (unsaid := self._periods.unsaid(linked.question, text, today)):
            notes.append(f"nothing in the query says {unsaid}")
        if text != sql:
            notes += after.told
        others = [] if dated else self._others(after, schema, named, text)
        doubt, advice = after.doubt, _OTHERWISE
        if after.out_of is not None and not doubt:
            whole = to_sql(after.out_of.actions(), schema)
            told = self._periods.unsaid(linked.question, text, today) if dated is None else dated.doubt
            doubt = DOUBT if told or (dated and " WHERE " in whole) else ""
            notes = notes if about or dated else [f"by rules about a percentage, not by the model, which wrote: {sql}"]
            text = in_percent(text, whole)
        if doubt:
            advice = ADVICE if doubt == DOUBT else advice
            return Correction(text, tuple(notes), tuple(others), doubt=doubt, advice=advice)
        doubt = dated.doubt if dated else ""
        doubt = doubt or not_comparable(after.actions, evidence, compared=dated is None)
        return Correction(text, tuple(notes), tuple(others), dated is not None and not dated.doubt, doubt)

    def _others(self, after: Corrected, schema: Schema, named: np.ndarray, text: str) -> list[tuple[str, str]]:
        """The query with each other key that would join the same tables."""
        others: list[tuple[str, str]] = []
        for key in after.rivals:
            sql = _written(after, schema, named, (key,))
            if sql != text and sql not in [other for other, _ in others]:
                column = schema.columns[key]
                others.append((sql, f"joined by {schema.tables[column.table].name}.{column.name} instead"))
        return others


def _with_days(after: Corrected, evidence: Evidence) -> Corrected:
    """The query with comparisons of dates by their days, which is the last that rules change."""
    clauses = read_clauses(after.actions) if after.actions else None
    compared = None if clauses is None else compared_by_their_days(clauses, evidence)
    if compared is None or compared == clauses:
        return after
    return replace(after, actions=compared.actions(), changed=(*after.changed, "comparing dates"))


def _written(after: Corrected, schema: Schema, named: np.ndarray, keys: Sequence[int]) -> str:
    chosen = named.copy()
    chosen[list(keys)] += _CHOSEN
    return to_sql(after.actions, schema, chosen.tolist())
