"""The SQL part of `normlab evaluate`: scores of prediction files, and the official script."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from normlab.cli.parser import at_least
from normlab.errors import UserError
from normlab.plurals import plural


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags to `evaluate`."""
    group = parser.add_argument_group("text2sql")
    group.add_argument(
        "--gold",
        type=Path,
        help="score a file: lines SQL TAB db_id, or questions as .json; needs --predicted and --tables",
    )
    group.add_argument("--predicted", type=Path, help="one predicted query a line")
    group.add_argument("--tables", type=Path, help="tables.json [of a run: that of its data]")
    group.add_argument("--databases", type=Path, help="folder of DB/DB.sqlite [of a run: that of its data]")
    group.add_argument(
        "--official", type=Path, metavar="SCRIPT", help="run your copy of Spider's evaluation.py as well"
    )
    group.add_argument("--python", default=sys.executable, help="the interpreter for that script [this one]")
    group.add_argument("--seconds", type=float, default=3600.0, help="deadline of that script [3600]")
    group.add_argument(
        "--copies",
        type=int,
        default=0,
        metavar="N",
        help="execution must agree on N mutated copies of each database as well: 20 or more [0]",
    )


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add the inference-only settings of the beam search to `evaluate` and `predict`."""
    group = parser.add_argument_group("text2sql, instead of the run's own")
    group.add_argument("--beam-size", type=int, help="hypotheses; 1 is greedy")
    group.add_argument("--length-penalty", type=float, help="exponent of the length that divides a score")
    group.add_argument(
        "--execution-filter", choices=("true", "false"), help="take the first hypothesis that runs on the database"
    )


def search_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return those of `add_search_options` that were given."""
    given = {name: getattr(options, name) for name in ("beam_size", "length_penalty", "execution_filter")}
    return {name: value for name, value in given.items() if value is not None}


def refuse_of_other_task(run: Any, options: argparse.Namespace) -> None:
    """Refuse flags of text-to-SQL for other tasks, and flags of the official script without `--official`.

    Raises: UserError naming the flag.
    """
    at_least(1, seconds=options.seconds)
    refuse_copies(options)
    if options.copies and run.task.name != "text2sql":
        raise UserError(f"--copies: {run.path} is a run of {run.task.name}; copies of databases are for text2sql")
    if options.official is None:
        for name in ("tables", "databases"):
            if getattr(options, name) is not None:
                raise UserError(f"--{name}: does nothing for a run without --official: its data name their own")
    elif run.task.name != "text2sql":
        raise UserError(f"--official: {run.path} is a run of {run.task.name}; the script is for text2sql")


def refuse_copies(options: argparse.Namespace) -> None:
    """Raise `UserError` for numbers of copies and seeds that are none."""
    at_least(0, copies=options.copies, seed=options.seed or 0)


def score_files(options: argparse.Namespace) -> int:
    """Score one file against another; print the official table.

    Raises: `UserError`, after the table, if no row could be scored: zeros would look like a measurement.
    """
    from normlab.tasks.text2sql.evaluation import as_text, evaluate_files

    for name in ("gold", "predicted", "tables"):
        if getattr(options, name) is None:
            raise UserError(f"--{name} is missing: to score a file give --gold, --predicted and --tables")
    if options.run_folder is not None:
        raise UserError(f"{options.run_folder} and --gold: score either a run or a file")
    refuse_copies(options)
    scores = evaluate_files(
        options.gold,
        options.predicted,
        tables=options.tables,
        databases=options.databases,
        copies=options.copies,
        seed=options.seed or 0,
    )
    answer = scores.as_dict()
    text = as_text(scores)
    if options.official and scores.count:
        if options.databases is None:
            raise UserError("--official needs --databases: the script reads the schemas from the SQLite files")
        pairs = [(row.gold, row.db_id) for row in scores.rows]
        official, shown = _official(options, pairs, [row.predicted for row in scores.rows], options.gold.parent)
        answer["official"], text = official, f"{text}\n\n{shown}"
    print(json.dumps(answer) if options.json else text)
    if not scores.count and not scores.unread:
        first = scores.skipped[0]
        raise UserError(f"none of {plural(len(scores.rows), 'row')} could be scored: {first.place}: {first.skipped}")
    return 0


def official_of_run(
    run: Any, options: argparse.Namespace, columns: Mapping[str, Any], out: str | None
) -> tuple[dict[str, Any], str]:
    """Run the script on what `run.measure` of a text2sql run predicted; return numbers and text.

    Its files stay in `out`, if given.
    """
    from normlab.tasks.text2sql.inputs.rows import data_folder, database_folder

    config, _, gold, predicted = _measured(run, options, columns)
    databases = database_folder(config)
    options.tables = options.tables or data_folder(config).schema_files()[-1]
    options.databases = options.databases or databases
    with tempfile.TemporaryDirectory(prefix="normlab-official-") as scratch:
        return _official(options, gold, predicted, Path(scratch if out is None else out))


def suite_of_run(run: Any, options: argparse.Namespace, measured: Any) -> tuple[Any, str]:
    """Return what `run.measure` of a text2sql run measured with the test suite's scores, and lines about these."""
    from normlab.tasks.text2sql.evaluation import evaluate_rows
    from normlab.tasks.text2sql.evaluation.test_suite import lines

    _, rows, gold, predicted = _measured(run, options, measured.predictions)
    if not rows.databases.is_dir():
        raise UserError(f"--copies: no folder at {rows.databases}: the copies are made from the databases")
    scores = evaluate_rows(
        gold,
        predicted,
        schemas=rows.schemas,
        databases=rows.databases,
        copies=options.copies,
        seed=options.seed or 0,
    )
    assert scores.copies is not None
    found = {
        "test_suite": scores.test_suite,
        "test_suite_keep_distinct": scores.test_suite_keep_distinct,
        "test_suite_lost": scores.copies["keep_distinct"]["share"],
    }
    metrics = {f"{options.split}/{name}": value for name, value in found.items() if value is not None}
    tables = measured.tables | {"copies": scores.copies}
    return replace(measured, metrics=measured.metrics | metrics, tables=tables), "\n".join(lines(scores.copies))


def _measured(run: Any, options: argparse.Namespace, columns: Mapping[str, Any]) -> tuple[Any, Any, Any, list[str]]:
    """Return a run's configuration, rows, gold as (SQL, db_id) and predictions of the split that was measured."""
    from normlab.tasks.text2sql.inputs.rows import read_rows

    config = run.config if options.data is None else run.config.with_values("data", data=options.data)
    rows = read_rows(config)
    gold = [(row.query, row.db_id) for row in rows.splits[options.split]]
    return config, rows, gold, [next(csv.reader([cell]))[0] for cell in columns["prediction"].tolist()]


def _official(
    options: argparse.Namespace, gold: list[tuple[str, str]], predicted: list[str], folder: Path
) -> tuple[dict[str, Any], str]:
    from normlab.tasks.text2sql.evaluation import as_columns, compare_with_official

    comparison = compare_with_official(
        options.official,
        gold,
        predicted,
        tables=options.tables,
        databases=options.databases,
        folder=folder / "official",
        python=options.python,
        seconds=options.seconds,
    )
    return comparison.as_dict(), as_columns(comparison)
