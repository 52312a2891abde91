"""The verb `ask`: questions in plain words to a database, once, from a pipe, or at a prompt."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from normlab.cli.ask_learn import learn_from
from normlab.cli.parser import add_verb, at_least
from normlab.cli.result_rows import print_rows
from normlab.errors import UserError


def _add_ask(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "ask", "ask a database in plain words", _ask)
    parser.add_argument(
        "database",
        metavar="DATABASE",
        help="an SQLite or DuckDB file; .csv, .tsv or .parquet; a folder of these; or postgresql://USER@HOST/DATABASE",
    )
    parser.add_argument("question", nargs="?", help="in English; `-` reads one a line; none opens a prompt")
    parser.add_argument(
        "--model",
        default="spider-sql",
        metavar="MODEL",
        help="a run of text2sql, or a name of `normlab models` [spider-sql]",
    )
    parser.add_argument("--sql", metavar="QUERY", help="run this query instead, read-only")
    parser.add_argument("--limit", type=int, default=100, help="most rows [100]")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for the query [10]")
    parser.add_argument("--beam-size", type=int, default=8, help="readings that are looked at [8]")
    parser.add_argument("--tables", default="", metavar="A,B", help="ask about these tables only")
    parser.add_argument(
        "--notes",
        type=Path,
        metavar="FILE",
        help="synonyms of tables, columns and values [DATABASE.normlab.yaml, if there is one]",
    )
    parser.add_argument(
        "--examples",
        type=Path,
        metavar="FILE",
        help="a .csv or .jsonl of questions and their sql: a question like one of them, but for values, gets its query",
    )
    parser.add_argument("--describe", action="store_true", help="print a first file for --notes, to be filled in")
    parser.add_argument(
        "--learn",
        type=Path,
        metavar="PAIRS",
        help="fine-tune --model on a .csv or .jsonl of question, sql; needs --out",
    )
    parser.add_argument("--epochs", type=int, default=12, help="with --learn: passes over the pairs [12]")
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="with --describe: a new file to write it to; --learn: a folder"
    )
    parser.add_argument("--no-contents", action="store_true", help="read no cell before the query runs")
    parser.add_argument(
        "--min-confidence",
        type=float,
        metavar="SHARE",
        help="run no answer that is right less often than this; 0 runs all [0.1 for a calibrated model]",
    )
    parser.add_argument("--dry-run", action="store_true", help="write the query, do not run it")
    parser.add_argument("--explain", action="store_true", help="show what the words name, and the other readings")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print answers as JSON, one a line")
    forms.add_argument("--csv", action="store_true", help="print the rows as CSV")
    forms.add_argument("--sql-only", action="store_true", help="print the query only")


def _ask(options: argparse.Namespace) -> int:
    at_least(1, limit=options.limit, beam_size=options.beam_size)
    if not options.timeout > 0:
        raise UserError(f"--timeout {options.timeout:g}: give more than 0 seconds")
    if options.learn is not None:
        return learn_from(options)
    if options.describe:
        return _describe(options)
    if options.out is not None:
        raise UserError("--out is for --describe and --learn: give both, or redirect what is printed")
    if options.sql is not None:
        return _run_sql(options)
    from normlab.apps.ask.files import refuse_missing
    from normlab.cli.before_torch import refuse_missing_model

    refuse_missing_model(options.model)
    refuse_missing(options.database)
    from normlab.apps.ask.database import Database

    chosen = {
        "beam_size": options.beam_size,
        "min_confidence": options.min_confidence,
        "tables": _table_names(options),
        "contents": not options.no_contents,
        "dictionary": options.notes,
        "examples": options.examples,
    }
    with Database(options.database, options.model, **chosen) as database:
        for note in database.notes:
            print(f"normlab: {note}", file=sys.stderr)
        if options.question is None and sys.stdin.isatty():
            return _prompt(database, options)
        if options.question not in (None, "-"):
            return _answer(database, options.question, options)
        return _answer_lines(database, options)


def _describe(options: argparse.Namespace) -> int:
    from normlab.apps.ask.files import as_database, is_url
    from normlab.data.sql.dictionary import SUFFIX
    from normlab.data.sql.first_dictionary import first_dictionary
    from normlab.data.sql.schema import Schema
    from normlab.runs.atomic import write_text

    if options.question is not None or options.sql is not None or options.notes is not None:
        raise UserError("--describe takes neither a question nor --sql nor --notes: leave them out")
    if options.out is not None and options.out.exists():
        raise UserError(f"{options.out}: exists, and may hold synonyms of yours: choose another --out")
    with ExitStack() as resources:
        file, _ = as_database(options.database, resources, _table_names(options))
        text = first_dictionary(Schema.from_sqlite(file), None if options.no_contents else file)
    if options.out is None:
        print(text, end="")
        return 0
    write_text(options.out, text)
    beside = "" if is_url(options.database) else f"; {options.database}{SUFFIX} is read by itself"
    print(f"{options.out}: fill it in{beside}; --notes reads one of any name")
    return 0


def _table_names(options: argparse.Namespace) -> list[str]:
    return [name.strip() for name in options.tables.split(",") if name.strip()]


def _run_sql(options: argparse.Namespace) -> int:
    from normlab.apps.ask.answer import plain_rows
    from normlab.apps.ask.files import as_database
    from normlab.data.sql.sqlite import QueryError, run_query

    if options.question is not None:
        raise UserError("--sql and a question exclude each other: give one")
    with ExitStack() as resources:
        file, notes = as_database(options.database, resources, _table_names(options))
        for note in notes:
            print(f"normlab: {note}", file=sys.stderr)
        try:
            result = run_query(file, options.sql, seconds=options.timeout, max_rows=options.limit, max_cell=1_000_000)
        except QueryError as error:
            raise UserError(f"the query was not run: {error}") from None
    if options.json:
        answer = {"columns": result.columns, "rows": plain_rows(result.rows), "truncated": result.truncated}
        print(json.dumps(answer, ensure_ascii=False))
    else:
        print_rows(result.columns, result.rows, truncated=result.truncated, as_csv=options.csv)
    return 0


def _answer(database: Any, question: str, options: argparse.Namespace) -> int:
    answer = database.question(
        question, limit=options.limit, seconds=options.timeout, run=not (options.dry_run or options.sql_only)
    )
    if options.json:
        print(json.dumps(answer.as_values(), ensure_ascii=False))
        return int(answer.withheld)
    for note in answer.notes:
        print(f"normlab: {note}", file=sys.stderr)
    if options.sql_only:
        print(answer.sql)
        return int(answer.withheld)
    if not options.csv and not answer.withheld:
        print(answer.sql)
    if options.explain or (answer.withheld and not options.csv):
        _explain(answer)
    if not options.dry_run and answer.columns:
        print_rows(answer.columns, answer.rows, truncated=answer.truncated, as_csv=options.csv)
    return int(answer.withheld)


def _answer_lines(database: Any, options: argparse.Namespace) -> int:
    """Answer each line of standard input; a question that has no answer is named and does not end the others."""
    failed = 0
    for number, line in enumerate(sys.stdin, start=1):
        if line.strip():
            try:
                failed |= _answer(database, line.strip(), options)
            except UserError as error:
                failed = 1
                print(f"normlab: line {number}: {error}", file=sys.stderr)
    return failed


def _prompt(database: Any, options: argparse.Namespace) -> int:
    """Ask for questions until the end of input; a number runs another reading of the last question."""
    with suppress(ImportError):
        import readline  # noqa: F401 - lines can be edited and found again
    readings: tuple[Any, ...] = ()
    print("Ask in English; a number runs another reading, an empty line or Ctrl-D ends.")
    while line := next(_lines(), ""):
        try:
            if line.isdecimal() and readings:
                _other_reading(database, readings, int(line), options)
                continue
            answer = database.question(line, limit=options.limit, seconds=options.timeout, run=not options.dry_run)
        except UserError as error:
            print(f"normlab: {error}")
            continue
        readings = answer.readings
        for note in answer.notes:
            print(f"normlab: {note}")
        if not answer.withheld:
            print(answer.sql)
            print_rows(answer.columns, answer.rows, truncated=answer.truncated)
        _explain(answer)
    return 0


def _lines() -> Iterator[str]:
    with suppress(EOFError):
        yield input("? ").strip()


def _other_reading(database: Any, readings: tuple[Any, ...], number: int, options: argparse.Namespace) -> None:
    from normlab.data.sql.sqlite import QueryError

    if not 1 <= number <= len(readings):
        raise UserError(f"there is no reading {number}: 1 to {len(readings)}")
    sql = readings[number - 1].sql
    print(sql)
    try:
        result = database.run(sql, limit=options.limit, seconds=options.timeout)
    except QueryError as error:
        raise UserError(f"this reading does not run: {error}") from None
    print_rows(result.columns, result.rows, truncated=result.truncated)


def _explain(answer: Any) -> None:
    named: dict[str, list[str]] = {}
    for link in answer.links:
        named.setdefault(link.word, []).append(f"{link.kind} {link.name}")
    for word, names in named.items():
        more = f", and {len(names) - 3} more" if len(names) > 3 else ""
        print(f"  {word}: {', '.join(names[:3])}{more}")
    for number, reading in enumerate(answer.readings, start=1):
        sign = "*" if reading.sql == answer.sql and not answer.withheld else " "
        print(f" {sign}{number}  {'example' if reading.by_example else f'{reading.probability:6.1%}'}  {reading.sql}")
    if answer.confidence is not None:
        same = "" if answer.agreement is None else f", {answer.agreement:.0%} of it with these rows,"
        print(f"  answers of this probability{same} are right in {answer.confidence:.0%} of cases")


VERBS = (_add_ask,)
