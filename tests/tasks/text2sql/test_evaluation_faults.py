"""Faults in the middle of an evaluation cost the rows that they touch, by name, and no other row."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text2sql_school import ENTRY

from normlab.cli import main
from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import run_query
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation import Scores, as_text, evaluate_files, evaluate_rows, files

GOLD = [("SELECT Name FROM Student", "school"), ("SELECT count(*) FROM Pet", "school")]
PREDICTED = [sql for sql, _ in GOLD]


def scored(folder: Path, gold: list[tuple[str, str]] = GOLD, predicted: list[str] = PREDICTED) -> Scores:
    schemas = {name: Schema.from_entry({**ENTRY, "db_id": name}) for name in {db_id for _, db_id in gold}}
    return evaluate_rows(gold, predicted, schemas=schemas, databases=folder / "database", seconds=5.0)


@pytest.fixture
def folder(school_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(school_folder, tmp_path / "spider")


def damage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(damage, "file is not a database"), (empty, "it is empty, 0 bytes"), (remove, "no database at")],
)
def test_a_database_that_cannot_be_read_costs_its_own_execution_only(
    folder: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    other = folder / "database" / "other" / "other.sqlite"
    other.parent.mkdir()
    shutil.copy(folder / "database" / "school" / "school.sqlite", other)
    spoil(other)
    gold = [*GOLD, ("SELECT Age FROM Student", "other")]
    scores = scored(folder, gold, [sql for sql, _ in gold])
    assert (scores.count, scores.exact_match, scores.execution, scores.execution_sound) == (3, 1.0, 1.0, 1.0)
    assert [row.executed for row in scores.rows] == [True, True, None]
    [note] = scores.notes
    assert note.startswith("1 row not executed, first row 3: ")
    assert reason in note
    assert scores.as_dict()["not_executed"] == [f"row 3: {scores.rows[2].not_executed}"]


def test_a_database_that_is_locked_half_way_is_asked_once_and_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def locked_from_the_second(database: Path, sql: str, **options: Any) -> Any:
        asked.append(sql)
        if len(asked) > 1:
            raise UserError(f"{database} is locked by another program (database is locked)")
        return run_query(database, sql, **options)

    monkeypatch.setattr(files, "run_query", locked_from_the_second)
    gold = [*GOLD, *GOLD]
    scores = scored(folder, gold, [sql for sql, _ in gold])
    assert [row.executed for row in scores.rows] == [True, None, None, None]
    assert scores.exact_match == 1.0
    assert len(asked) == 2, "a lock is waited for once, not at every row"
    assert "3 rows not executed, first row 2" in scores.notes[0]
    assert "locked by another program" in scores.notes[0]


def test_a_real_lock_is_survived(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0}))
    writer = connect(folder / "database" / "school" / "school.sqlite", isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    try:
        scores = scored(folder)
    finally:
        writer.close()
    assert (scores.exact_match, scores.execution) == (1.0, None)
    assert "locked" in scores.notes[0]


@pytest.mark.parametrize("which", ["gold", "predicted"])
def test_a_result_that_memory_cannot_hold_costs_its_own_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    predicted = ["SELECT Name FROM Student WHERE Age > 1", PREDICTED[1]]
    too_large = GOLD[0][0] if which == "gold" else predicted[0]

    def limited(database: Path, sql: str, **options: Any) -> Any:
        if sql == too_large:
            raise MemoryError
        return run_query(database, sql, **options)

    monkeypatch.setattr(files, "run_query", limited)
    scores = scored(folder, GOLD, predicted)
    assert scores.rows[0].executed is (None if which == "gold" else False)
    assert "does not fit into memory" in scores.rows[0].aborted + scores.rows[0].error
    assert scores.rows[1].executed_sound is True


def test_results_that_memory_cannot_compare_cost_their_own_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any, **__: Any) -> bool:
        raise MemoryError

    monkeypatch.setattr(files, "order_insensitive_match", none_left)
    scores = scored(folder)
    assert [row.executed for row in scores.rows] == [None, None]
    assert "do not fit into memory" in scores.notes[0]
    assert scores.exact_match == 1.0


DEEP = "SELECT Name FROM Student WHERE StuID IN ( " * 3000 + "1" + " )" * 3000


def test_queries_nested_too_deeply_are_wrong_or_left_out(folder: Path) -> None:
    gold = [GOLD[0], (DEEP, "school"), GOLD[1]]
    scores = scored(folder, gold, [DEEP, PREDICTED[0], PREDICTED[1]])
    assert [bool(row.skipped) for row in scores.rows] == [False, True, False]
    assert (scores.count, scores.exact_match) == (2, 0.5)
    assert scores.rows[0].error


def write(folder: Path, gold: str | bytes, predicted: str | bytes) -> list[str]:
    for name, content in (("gold.sql", gold), ("predicted.sql", predicted)):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    arguments = ["evaluate", "--gold", str(folder / "gold.sql"), "--predicted", str(folder / "predicted.sql")]
    return [*arguments, "--tables", str(folder / "tables.json"), "--databases", str(folder / "database")]


def test_an_evaluation_that_scores_nothing_fails_and_lists_what_was_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = "SELECT Nam FROM [Student]\tschool\nSELECT FROM WHERE\tschool\nSELECT 1\tnowhere\nSELECT 1\n"
    assert main(write(folder, gold, "SELECT 1\n" * 4)) == 2
    out, err = capsys.readouterr()
    assert [line.split(": ")[1].rsplit("/", 1)[1] for line in out.splitlines() if line.startswith("left out: ")] == [
        f"gold.sql:{number}" for number in (1, 2, 3, 4)
    ]
    assert "none of 4 rows could be scored: " in err
    assert err.count("\n") == 1
    assert main([*write(folder, gold, "SELECT 1\n" * 4), "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["skipped"]) == 4


def test_rows_left_out_are_listed_beside_those_scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = "SELECT Name FROM Student\tschool\nSELECT FROM WHERE\tschool\nSELECT nothing FROM Student\tschool\n"
    assert main(write(folder, gold, "SELECT Name FROM Student\n" * 3)) == 0
    out = capsys.readouterr().out
    assert out.count("left out: ") == 2
    assert "gold.sql:2: gold does not parse" in out
    assert "gold.sql:3: gold does not parse" in out


def test_a_long_list_of_rows_left_out_ends_and_says_so(folder: Path) -> None:
    write(folder, "SELECT FROM WHERE\tschool\n" * 250, "SELECT 1\n" * 250)
    scores = evaluate_files(folder / "gold.sql", folder / "predicted.sql", tables=folder / "tables.json")
    lines = [line for line in as_text(scores).splitlines() if line.startswith("left out: ")]
    assert len(lines) == 201
    assert lines[-1] == "left out: 50 more, which --json lists"


@pytest.mark.parametrize(
    ("gold", "predicted", "problem"),
    [
        (b"", b"SELECT 1\n", "gold.sql: the file is empty"),
        (b"SELECT 1\tschool\n", b"\n\n", "predicted.sql holds no queries"),
        (b"SELECT 1\tschool\nSELECT \0\n", b"SELECT 1\n", "gold.sql:2: holds a NUL byte"),
        (b"SELECT 1\tschool\nSELECT '\xe9'\tschool\n", b"SELECT 1\n", "gold.sql:2 is not UTF-8"),
        (b"SELECT 1\tschool\n", b"SQLite format 3\0" + bytes(5000), "predicted.sql: is an SQLite database, not text"),
    ],
)
def test_files_that_hold_no_queries_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], gold: bytes, predicted: bytes, problem: str
) -> None:
    assert main(write(folder, gold, predicted)) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1


def test_a_folder_in_place_of_a_file_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = write(folder, "SELECT 1\tschool\n", "SELECT 1\n")
    (folder / "gold.sql").unlink()
    (folder / "gold.sql").mkdir()
    assert main(arguments) == 2
    assert "gold.sql: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(folder: Path, line_end: str) -> None:
    gold = "\ufeff" + line_end.join("\t".join(row) for row in GOLD) + line_end
    write(folder, gold, "\ufeff" + line_end.join(PREDICTED))
    scores = evaluate_files(folder / "gold.sql", folder / "predicted.sql", tables=folder / "tables.json")
    assert (scores.count, scores.exact_match) == (2, 1.0)


junk = st.text(alphabet=st.sampled_from("SELECT FROMWHERE\t\n\r()'\"`,.*=<>0aé;\u2028"), max_size=80)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gold=junk, predicted=junk)
def test_any_text_is_scored_or_refused(school_folder: Path, tmp_path: Path, gold: str, predicted: str) -> None:
    (tmp_path / "gold.sql").write_bytes(f"SELECT Name FROM Student\tschool\n{gold}\tschool\n".encode())
    (tmp_path / "predicted.sql").write_bytes(f"SELECT Name FROM Student\n{predicted}\n".encode())
    scores = evaluate_files(
        tmp_path / "gold.sql",
        tmp_path / "predicted.sql",
        tables=school_folder / "tables.json",
        databases=school_folder / "database",
        seconds=1.0,
    )
    assert scores.rows[0].executed is True
    assert scores.count + len(scores.skipped) == len(scores.rows)
