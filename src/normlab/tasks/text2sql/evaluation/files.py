"""Scoring gold and prediction files, line by line, as the official script reads them.

Where that script would stop with a traceback (a gold query it cannot parse, a result narrower than its
SELECT) the row is named and the rest is scored. Predictions run on read-only connections with a deadline
each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normlab.data.sql.schema import Schema, read_tables
from normlab.data.sql.spider import find_database, read_examples
from normlab.data.sql.sqlite import QueryError, QueryResult, QueryTimeout, run_query
from normlab.errors import UserError, did_you_mean
from normlab.tasks.text2sql.evaluation.execution import is_ordered, official_match, order_insensitive_match, sorts
from normlab.tasks.text2sql.evaluation.match import Hardness, PartialScore, compare, query_hardness
from normlab.tasks.text2sql.evaluation.normal import ForeignKeys, foreign_key_classes, normalise
from normlab.tasks.text2sql.evaluation.parser import Names, parse
from normlab.tasks.text2sql.evaluation.reading import line_up, read_lines, read_predictions
from normlab.tasks.text2sql.evaluation.scores import RowScore, Scores, summarise
from normlab.tasks.text2sql.evaluation.test_suite import lines, on_copies
from normlab.tasks.text2sql.evaluation.tree import OfficialAbortError, ParseError, Query

MAX_ROWS = 1_000_000


def evaluate_files(
    gold: Path | str,
    predicted: Path | str,
    *,
    tables: Path | str,
    databases: Path | str | None = None,
    seconds: float = 10.0,
    copies: int = 0,
    seed: int = 0,
) -> Scores:
    """Score a file of predictions against a file of gold queries.

    Args:
        gold: lines `SQL<TAB>db_id`. Blank lines are dropped, as the official script drops them. Or a .json or .csv file
            of questions, Spider's or BIRD's.
        predicted: one SQL query a line; what follows a tab is ignored. Blank lines are dropped too, so a
            missing prediction must be some text: `scores.notes` says when the two files do not line up. Or
            BIRD's .json.
        tables: Spider's `tables.json`.
        databases: folder of `<db_id>/<db_id>.sqlite`; None leaves execution out.
        seconds: deadline of each query.
        copies: mutated copies of each database on which results must agree, too (`test_suite`); 20 or more tell much.
        seed: of these copies.
    Raises: `UserError` if a file or the folder is missing, or copies are asked for without databases.
    """
    if copies and databases is None:
        raise UserError("--copies needs --databases: the copies are made from the SQLite files")
    if databases is not None and not Path(databases).is_dir():
        raise UserError(f"no folder at {databases}: give --databases the folder of DB/DB.sqlite")
    if Path(gold).suffix.lower() in (".json", ".csv"):
        rows = [(example.source, [example.query, example.db_id]) for example in read_examples(gold)]
    else:
        rows = [(f"{gold}:{number}", fields) for number, fields in read_lines(gold)]
    answers = read_predictions(predicted)
    evaluator = Evaluator(read_tables(tables), databases, seconds=seconds)
    pairs = zip(rows, answers, strict=False)
    scored = [evaluator.score(where, fields, answer) for (where, fields), answer in pairs]
    suite = evaluator.on_copies(scored, copies, seed) if copies else None
    notes = line_up(gold, predicted, len(rows), len(answers))
    return summarise(scored, [*notes, *(lines(suite) if suite else ())], suite)


def evaluate_rows(
    gold: Iterable[tuple[str, str]],
    predicted: Sequence[str],
    *,
    schemas: Mapping[str, Schema],
    databases: Path | str | None = None,
    seconds: float = 10.0,
    copies: int = 0,
    seed: int = 0,
) -> Scores:
    """Score predictions held in memory: gold as (SQL, db_id), predictions in the same order.

    The other arguments are those of `evaluate_files`. Raises: ValueError if the two differ in number.
    """
    evaluator = Evaluator(schemas, databases, seconds=seconds)
    pairs = zip(gold, predicted, strict=True)
    rows = [evaluator.score(f"row {number}", row, answer) for number, (row, answer) in enumerate(pairs, start=1)]
    suite = evaluator.on_copies(rows, copies, seed) if copies else None
    return summarise(rows, lines(suite) if suite else (), suite)


@dataclass
class Evaluator:
    """Scores single rows; keeps what belongs to a database between them."""

    schemas: Mapping[str, Schema]
    databases: Path | str | None = None
    seconds: float = 10.0
    _known: dict[str, tuple[Names, ForeignKeys, Path | None]] = field(default_factory=dict)
    _unreadable: dict[str, str] = field(default_factory=dict)

    def score(self, where: str, gold: Sequence[str], answer: str) -> RowScore:
        """Score one prediction; `gold` is (SQL, db_id). What is wrong with gold is said in `skipped`."""
        if len(gold) != 2:
            return RowScore(where, "", " ".join(gold), answer, skipped="the line is not SQL<TAB>db_id")
        sql, db_id = gold
        database: Path | None = None
        try:
            names, keys, database = self._database(db_id)
            query = parse(sql, names)
            row = RowScore(where, db_id, sql, answer, hardness=query_hardness(query))
            target = normalise(query, keys)
        except (ParseError, OfficialAbortError) as error:
            return self._only_executed(RowScore(where, db_id, sql, answer), database, str(error))
        except RecursionError:
            return self._only_executed(RowScore(where, db_id, sql, answer), database, "it is too deeply nested")
        except UserError as error:
            return RowScore(where, db_id, sql, answer, skipped=str(error))
        self._match(row, target, names, keys, database)
        return row

    def on_copies(self, rows: Sequence[RowScore], copies: int, seed: int) -> dict[str, Any]:
        """Judge scored rows on mutated copies as well; see `test_suite.on_copies`."""
        files = {db_id: path for db_id, (_, _, path) in self._known.items() if path is not None}
        return on_copies(rows, files, self.schemas, copies=copies, seed=seed, seconds=self.seconds)

    def _only_executed(self, row: RowScore, database: Path | None, why: str) -> RowScore:
        """Score the execution of a row whose gold the official parser cannot read, if SQLite can run it."""
        row.skipped = f"gold does not parse: {why}"
        if database is None:
            return row
        try:
            wanted = self._run(database, row.gold, MAX_ROWS)
            if isinstance(wanted, QueryError):
                row.skipped += f"; nor does it run: {wanted}"
                return row
            row.skipped, row.unread = "", why
            row.executed_sound = False
            self._compare_bags(row, wanted, database, ordered=sorts(row.gold))
        except UserError as error:
            row.executed_sound, row.skipped = None, str(error)
        except MemoryError:
            row.executed_sound, row.skipped = None, "the two results do not fit into memory"
        return row

    def _match(self, row: RowScore, gold: Query, names: Names, keys: ForeignKeys, database: Path | None) -> None:
        """Fill in the verdicts of a row whose gold query can be scored."""
        try:
            guess = parse(row.predicted, names)
            row.parsed = True
        except ParseError as error:
            guess, row.error = Query(), str(error)
        except RecursionError:
            guess, row.error = Query(), "too deeply nested"
        if database is None:
            row.not_executed = self._unreadable.get(row.db_id, "")
        try:
            guess = normalise(guess, keys)
            if database is not None:
                self._execute(row, gold, guess, database)
            row.exact, row.partial = compare(gold, guess)
        except OfficialAbortError as error:
            row.aborted = str(error)
            row.partial = row.partial or _no_agreement(gold)

    def _execute(self, row: RowScore, gold: Query, guess: Query, database: Path) -> None:
        """Run both queries and compare their results; gold is not to blame where the prediction fails too."""
        try:
            self._compare_results(row, gold, guess, database)
        except UserError as error:  # a database that is locked or gone by now costs its own rows, not the others
            row.executed = row.executed_sound = None
            row.not_executed = self._unreadable[row.db_id] = str(error)
            names, keys, _ = self._known[row.db_id]
            self._known[row.db_id] = names, keys, None
        except MemoryError:
            row.executed = row.executed_sound = None
            row.not_executed = "the two results do not fit into memory"

    def _compare_results(self, row: RowScore, gold: Query, guess: Query, database: Path) -> None:
        row.executed = row.executed_sound = False
        wanted = self._run(database, row.gold, MAX_ROWS)
        answer = self._compare_bags(row, wanted, database, ordered=is_ordered(gold))
        if answer is None:
            return
        if isinstance(wanted, QueryError):
            row.executed = row.executed_sound = None
            row.aborted = f"gold does not run: {wanted}"
        else:
            try:
                row.executed = official_match(wanted.rows, answer.rows, gold, guess)
            except OfficialAbortError as error:
                row.aborted = str(error)

    def _compare_bags(
        self, row: RowScore, wanted: QueryResult | QueryError, database: Path, *, ordered: bool
    ) -> QueryResult | None:
        """Run the prediction and compare bags of rows; return its result, None if it has none."""
        answer = wanted
        if row.predicted != row.gold:
            # One row more than gold's is enough to tell a longer result from an equal one.
            cap = len(wanted.rows) + 1 if isinstance(wanted, QueryResult) else 1
            answer = self._run(database, row.predicted, cap)
        if isinstance(answer, QueryError):
            row.timed_out = isinstance(answer, QueryTimeout)
            row.error = row.error or str(answer)
            return None
        if isinstance(wanted, QueryResult):
            row.empty = not wanted.rows and not answer.rows
            row.executed_sound = order_insensitive_match(wanted.rows, answer.rows, ordered=ordered)
        return answer

    def _run(self, database: Path, sql: str, max_rows: int) -> QueryResult | QueryError:
        try:
            return run_query(database, sql, seconds=self.seconds, max_rows=max_rows)
        except QueryError as error:
            return error
        except MemoryError:
            return QueryError("its result does not fit into memory")

    def _database(self, db_id: str) -> tuple[Names, ForeignKeys, Path | None]:
        if db_id not in self._known:
            if db_id not in self.schemas:
                raise UserError(f"unknown database '{db_id}': {did_you_mean(db_id, self.schemas)}")
            schema = self.schemas[db_id]
            path, named = self._file(db_id, schema)
            self._known[db_id] = named.names, foreign_key_classes(schema), path
        return self._known[db_id]

    def _file(self, db_id: str, schema: Schema) -> tuple[Path | None, Schema]:
        """A database's file and its own schema; None and the given one without a file that can be read.

        Then queries are compared and not run, and `_unreadable` says why.
        """
        if self.databases is None:
            return None, schema
        path = find_database(self.databases, db_id)
        if path is None:
            self._unreadable[db_id] = f"no database at {Path(self.databases) / db_id / db_id}.sqlite"
            return None, schema
        try:
            return path, Schema.from_sqlite(path, db_id, official=True)
        except UserError as error:
            self._unreadable[db_id] = str(error)
            return None, schema


def exact_match(gold_sql: str, predicted_sql: str, schema: Schema | Mapping[str, Any]) -> bool:
    """Tell whether a prediction matches gold in all components, as Spider's script judges it.

    Args:
        schema: a `Schema`, or an entry of `tables.json`.
    Raises: `ParseError` if the gold query lies outside the script's SQL. A prediction outside it is False.
    """
    schema = _as_schema(schema)
    keys = foreign_key_classes(schema)
    gold = normalise(parse(gold_sql, schema.names), keys)
    with suppress(ParseError, OfficialAbortError):
        return compare(gold, normalise(parse(predicted_sql, schema.names), keys))[0]
    return False


def hardness(sql: str, schema: Schema | Mapping[str, Any]) -> Hardness:
    """Return the level of a query: easy, medium, hard or extra.

    Raises: `ParseError` if the query lies outside the script's SQL.
    """
    return query_hardness(parse(sql, _as_schema(schema).names))


def _as_schema(schema: Schema | Mapping[str, Any]) -> Schema:
    return schema if isinstance(schema, Schema) else Schema.from_entry(schema)


def _no_agreement(gold: Query) -> dict[str, PartialScore]:
    _, partial = compare(gold, Query())
    return partial
