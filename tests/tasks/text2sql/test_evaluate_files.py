"""Scoring files and executing predictions: verdicts, what is named, what is never touched."""

from __future__ import annotations

import csv
import sys
import time
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.data.sql.schema import Schema, read_tables
from normlab.data.sql.spider import Example
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation import (
    Evaluator,
    Scores,
    as_text,
    evaluate_files,
    evaluate_rows,
    run_official,
    write_official_files,
)
from normlab.tasks.text2sql.evaluation.execution import order_insensitive_match
from normlab.tasks.text2sql.evaluation.nearest import NearestQuestion


def judge(school: Schema, folder: Path, gold: str, predicted: str, seconds: float = 5.0):
    evaluator = Evaluator({"school": school}, folder / "database", seconds=seconds)
    return evaluator.score("here", (gold, "school"), predicted)


EXECUTION = [
    # gold, prediction, official, any_order
    ("SELECT Name FROM Student", "SELECT Name FROM Student WHERE Age > 1", True, True),
    ("SELECT Name FROM Student", "SELECT Name FROM Student ORDER BY StuID DESC", False, True),
    ("SELECT Name FROM Student ORDER BY StuID", "SELECT Name FROM Student ORDER BY StuID DESC", False, False),
    ("SELECT Name , Age FROM Student", "SELECT Age , Name FROM Student", True, True),
    # the same column named twice collapses; its own rows do not count then
    ("SELECT min(Age) , max(Age) FROM Student", "SELECT avg(Age) , max(Age) FROM Student", True, False),
    # `SELECT *` is compared by its first column only
    ("SELECT * FROM Student", "SELECT * FROM Student WHERE StuID < 9", True, True),
    # the same values under another name, unless a foreign key joins the two
    ("SELECT count(*) FROM Student", "SELECT count(StuID) FROM Student", False, True),
    ("SELECT StuID FROM Student WHERE StuID = 3", "SELECT StuID FROM Owns WHERE StuID = 3", True, True),
    # right but outside the official parser
    ("SELECT count(*) FROM Student", "SELECT count(*) FROM Student AS s WHERE (s.Age > 1)", False, True),
    ("SELECT Name FROM Student WHERE Age > 90", "SELECT Name FROM Student WHERE Age > 91", True, True),
    ("SELECT Name FROM Student", "SELECT Name FROM Nowhere", False, False),
    ("SELECT Name FROM Student", "DROP TABLE Student", False, False),
    ("SELECT Name FROM Student", "", False, False),
    ("SELECT Name FROM Student", "SELECT Name FROM Student ; SELECT 1", False, False),
    ("SELECT City FROM Student", "SELECT DISTINCT City FROM Student", False, False),
]


@pytest.mark.parametrize("gold, predicted, official, any_order", EXECUTION)
def test_execution_verdicts(
    school: Schema, school_folder: Path, gold: str, predicted: str, official: bool, any_order: bool
):
    row = judge(school, school_folder, gold, predicted)
    assert (row.executed, row.executed_sound) == (official, any_order)


def test_empty_results_that_agree_are_listed_apart(school: Schema, school_folder: Path):
    gold = [("SELECT Name FROM Student WHERE Age > 90", "school"), ("SELECT Name FROM Student", "school")]
    predicted = ["SELECT Name FROM Student WHERE Age > 91", "SELECT Name FROM Student"]
    scores = evaluate_rows(gold, predicted, schemas={"school": school}, databases=school_folder / "database")
    assert scores.execution_sound == 1.0
    assert scores.empty_matches == 1


def test_result_narrower_than_its_select_is_named_and_counts_as_wrong(school: Schema, school_folder: Path):
    row = judge(school, school_folder, "SELECT Name , Age FROM Student", "SELECT Name Age FROM Student")
    assert row.exact
    assert row.executed is False
    assert "fewer columns" in row.aborted


def test_prediction_past_its_deadline_is_wrong_and_named(school: Schema, school_folder: Path):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    start = time.monotonic()
    row = judge(school, school_folder, "SELECT count(*) FROM Student", endless, seconds=0.2)
    assert row.timed_out
    assert row.executed is False
    assert time.monotonic() - start < 60


def test_scoring_never_changes_a_database(school: Schema, school_folder: Path):
    path = school_folder / "database" / "school" / "school.sqlite"
    before = path.read_bytes()
    for sql in ("DROP TABLE Student", "DELETE FROM Student", "VACUUM", "INSERT INTO Owns VALUES (9, 9)"):
        judge(school, school_folder, "SELECT Name FROM Student", sql)
    assert path.read_bytes() == before


CELL = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["a", "b"]), st.sampled_from([0.5, 1.0]))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[CELL] * n), max_size=6)), st.randoms())
def test_order_insensitive_match_ignores_the_order_of_rows_and_columns(rows: list[tuple[object, ...]], rng):
    order = list(range(len(rows[0]))) if rows else []
    rng.shuffle(order)
    other = [tuple(row[i] for i in order) for row in rows]
    rng.shuffle(other)
    assert order_insensitive_match(rows, other, ordered=False)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=4),
    st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=4),
    st.booleans(),
)
def test_order_insensitive_match_equals_trying_every_order(gold: list, predicted: list, ordered: bool):
    def key(row: tuple[object, ...]) -> list[str]:
        return [repr(float(cell)) if isinstance(cell, int | float) else repr(cell) for cell in row]

    def shape(rows: list[tuple[object, ...]]) -> list[list[str]]:
        keys = [key(row) for row in rows]
        return keys if ordered else sorted(keys)

    tried = any(
        shape([tuple(r[i] for i in order) for r in predicted]) == shape(gold) for order in permutations(range(3))
    )
    assert order_insensitive_match(gold, predicted, ordered=ordered) == tried


def files(tmp_path: Path, gold: str, predicted: str) -> tuple[Path, Path]:
    one, other = tmp_path / "gold.sql", tmp_path / "predicted.sql"
    one.write_text(gold, encoding="utf-8")
    other.write_text(predicted, encoding="utf-8")
    return one, other


def score_files(folder: Path, tmp_path: Path, gold: str, predicted: str) -> Scores:
    pair = files(tmp_path, gold, predicted)
    return evaluate_files(*pair, tables=folder / "tables.json", databases=folder / "database")


def test_files_are_scored_by_level(school_folder: Path, tmp_path: Path):
    gold = "SELECT Name FROM Student\tschool\nSELECT Name , Age FROM Student WHERE Age > 1\tschool\n"
    scores = score_files(school_folder, tmp_path, gold, "SELECT Name FROM Student\nSELECT Age FROM Student\n")
    assert scores.count == 2
    assert scores.exact_match == 0.5
    assert scores["easy"].exact_match == 1.0
    assert scores["medium"].exact_match == 0.0
    assert scores["exact_match"] == 0.5
    assert scores.databases["school"].count == 2
    assert scores.levels["all"].partial["select"].accuracy == 0.5
    assert scores.levels["all"].partial["order"].f1 == 1.0  # absent everywhere: the script prints 1


def test_gold_that_cannot_be_used_is_named_and_the_rest_is_scored(school_folder: Path, tmp_path: Path):
    gold = (
        "SELECT gone FROM Student\tschool\n"
        "SELECT Name FROM Student\tschol\n"
        "SELECT Name FROM Student\n"
        "SELECT Name FROM Student\tschool\n"
    )
    scores = score_files(school_folder, tmp_path, gold, "SELECT Name FROM Student\n" * 4)
    assert scores.count == 1
    assert scores.exact_match == 1.0
    assert [row.place.rsplit(":", 1)[1] for row in scores.skipped] == ["1", "2", "3"]
    assert "did you mean 'school'" in scores.skipped[1].skipped
    assert "3 rows not scored" in scores.notes[0]


def test_blank_lines_fall_out_of_step_as_officially_and_are_noted(school_folder: Path, tmp_path: Path):
    gold = "SELECT Name FROM Student\tschool\nSELECT Age FROM Student\tschool\n"
    scores = score_files(school_folder, tmp_path, gold, "\nSELECT Age FROM Student\n")
    assert scores.count == 1
    assert scores.exact_match == 0.0
    assert "1 query for 2" in scores.notes[0]


def test_first_field_of_a_prediction_is_the_query(school_folder: Path, tmp_path: Path):
    scores = score_files(
        school_folder,
        tmp_path,
        "SELECT Name FROM Student\tschool\n",
        "SELECT Name FROM Student\tschool\t0.9\n",
    )
    assert scores.exact_match == 1.0


def test_without_databases_execution_is_not_reported(school_folder: Path, tmp_path: Path):
    pair = files(tmp_path, "SELECT Name FROM Student\tschool\n", "SELECT Name FROM Student\n")
    scores = evaluate_files(*pair, tables=school_folder / "tables.json")
    assert scores.execution is None
    assert scores.exact_match == 1.0


def test_missing_prediction_file_is_named(school_folder: Path, tmp_path: Path):
    pair = files(tmp_path, "SELECT Name FROM Student\tschool\n", "")
    with pytest.raises(UserError, match=r"nothing\.sql"):
        evaluate_files(pair[0], tmp_path / "nothing.sql", tables=school_folder / "tables.json")


def test_official_files_keep_step_whatever_the_predictions(school_folder: Path, tmp_path: Path):
    gold = [("SELECT Name\nFROM Student", "school")] * 3
    paths = write_official_files(tmp_path / "out", gold, ["", "SELECT Name\tFROM\r\nStudent", "  "])
    scores = evaluate_files(*paths, tables=school_folder / "tables.json", databases=school_folder / "database")
    assert [row.exact for row in scores.rows] == [False, True, False]


FAKE = """
import argparse, os, sqlite3
parser = argparse.ArgumentParser()
for name in ("gold", "pred", "db", "table", "etype"):
    parser.add_argument("--" + name)
args = parser.parse_args()
connection = sqlite3.connect(os.path.join(args.db, "school", "school.sqlite"))
connection.execute("DROP TABLE Owns")
connection.commit()
row = "{:20} {:<20} {:<20} {:<20} {:<20} {:<20}".format
print("easy pred: count the ships")
print(row("", "easy", "medium", "hard", "extra", "all"))
print(row("count", 1, 2, 3, 4, 10))
print(row("execution", "0.100", "0.200", "0.300", "0.400", "0.350"))
print(row("exact match", "0.500", "0.600", "0.700", "0.800", "0.650"))
"""


def test_official_script_runs_apart_on_copies(school_folder: Path, tmp_path: Path):
    script = tmp_path / "evaluation.py"
    script.write_text(FAKE, encoding="utf-8")
    paths = write_official_files(tmp_path, [("SELECT Name FROM Student", "school")], ["SELECT 1"])
    database = school_folder / "database" / "school" / "school.sqlite"
    before = database.read_bytes()
    scores = run_official(
        script,
        *paths,
        tables=school_folder / "tables.json",
        databases=school_folder / "database",
        python=sys.executable,
    )
    assert scores.count == {"easy": 1, "medium": 2, "hard": 3, "extra": 4, "all": 10}
    assert scores.exact_match["all"] == 0.65
    assert scores.execution["extra"] == 0.4
    assert database.read_bytes() == before


def test_official_script_that_fails_is_told_in_one_line(school_folder: Path, tmp_path: Path):
    script = tmp_path / "evaluation.py"
    script.write_text("import nltk_that_is_not_there\n", encoding="utf-8")
    paths = write_official_files(tmp_path, [("SELECT Name FROM Student", "school")], ["SELECT 1"])
    with pytest.raises(UserError, match=r"ModuleNotFoundError.*install nltk") as caught:
        run_official(script, *paths, tables=school_folder / "tables.json", databases=school_folder / "database")
    assert "\n" not in str(caught.value)


def test_text_table_has_the_official_rows(school_folder: Path, tmp_path: Path):
    text = as_text(score_files(school_folder, tmp_path, "SELECT Name FROM Student\tschool\n", "SELECT 1\n"))
    rows = {line[:20].strip(): line[20:].split() for line in text.splitlines()}
    assert rows["count"] == ["1", "0", "0", "0", "1"]
    assert rows["exact match"] == ["0.000"] * 5


def test_nearest_question_copies_from_its_own_database():
    train = [
        Example("a", "A1", "how many cats"),
        Example("a", "A2", "name the dogs"),
        Example("b", "B1", "how many dogs"),
    ]
    baseline = NearestQuestion(train)
    asked = [Example("a", "", "how many dogs are there"), Example("b", "", "cats"), Example("c", "", "cats")]
    assert baseline.predict(asked) == ["A1", "B1", ""]


def test_published_validation_gold_executes_against_itself(shared_data: Path):
    folder = shared_data / "spider"
    with (folder / "val.csv").open(encoding="utf-8", newline="") as stream:
        gold = [(row["query"], row["db_id"]) for row in csv.DictReader(stream)]
    scores = evaluate_rows(
        gold,
        [sql for sql, _ in gold],
        schemas=read_tables(folder / "tables.json"),
        databases=folder / "database",
    )
    assert scores.exact_match == scores.execution == scores.execution_sound == scores.valid == 1.0
    assert scores.empty_matches == 333
