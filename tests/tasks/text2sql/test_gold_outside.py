"""Gold that SQLite runs and the official parser cannot read: its execution is scored, nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normlab.cli import main
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import SpiderFolder
from normlab.tasks.text2sql.evaluation import Evaluator, evaluate_files, evaluate_rows
from normlab.tasks.text2sql.evaluation.execution import sorts

OUTSIDE = [
    'SELECT "Name" FROM "Student"',
    "SELECT `Name` FROM `Student`",
    "SELECT [Name] FROM [Student]",
    "SELECT Name AS n FROM Student AS s WHERE s.Age <> 1",
    "SELECT CASE WHEN Age > 0 THEN Name END FROM Student",
    "WITH s AS (SELECT * FROM Student) SELECT Name FROM s",
    "SELECT S.Name FROM Student S LEFT JOIN Owns O ON S.StuID = O.StuID GROUP BY S.StuID",
]


@pytest.mark.parametrize("gold", OUTSIDE)
def test_gold_outside_the_official_sql_is_scored_by_its_execution(
    school: Schema, school_folder: Path, gold: str
) -> None:
    evaluator = Evaluator({"school": school}, school_folder / "database")
    for predicted, right in (("SELECT Name FROM Student", True), ("SELECT City FROM Student", False), ("x", False)):
        row = evaluator.score("here", (gold, "school"), predicted)
        assert (row.executed_sound, row.executed, row.exact, row.skipped) == (right, None, False, "")
        assert row.unread


def test_it_changes_no_official_number(school: Schema, school_folder: Path) -> None:
    plain = [("SELECT Name FROM Student", "school"), ("SELECT City FROM Student", "school")]
    predicted = ["SELECT Name FROM Student", "SELECT Age FROM Student"]
    where = {"schemas": {"school": school}, "databases": school_folder / "database"}
    alone = evaluate_rows(plain, predicted, **where)
    both = evaluate_rows([*plain, (OUTSIDE[0], "school")], [*predicted, "SELECT Name FROM Student"], **where)
    for name in ("count", "exact_match", "execution", "valid"):
        assert both[name] == alone[name]
    assert both.levels["all"].partial == alone.levels["all"].partial
    assert (alone.execution_sound, both.execution_sound) == (1 / 2, 2 / 3)
    assert [row.place for row in both.unread] == ["row 3"]


def test_without_contents_it_is_left_out(school: Schema) -> None:
    row = Evaluator({"school": school}).score("here", (OUTSIDE[0], "school"), "SELECT 1")
    assert "gold does not parse" in row.skipped
    assert not row.unread


@pytest.mark.parametrize(
    ("sql", "sorted_rows"),
    [
        ('SELECT "a" FROM t ORDER BY 1', True),
        ("SELECT * FROM (SELECT a FROM t ORDER BY a)", False),
        ("SELECT a AS \"order by\" FROM t WHERE b = 'order by x' AND c = [order by]", False),
        ("WITH s AS (SELECT a FROM t ORDER BY a LIMIT 3) SELECT a FROM s order\nby a", True),
        ("SELECT row_number() OVER (ORDER BY a) FROM t", False),
    ],
)
def test_rows_are_ordered_by_the_outermost_order_by_only(sql: str, sorted_rows: bool) -> None:
    assert sorts(sql) is sorted_rows


def test_questions_of_bird_are_gold(school_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold, predicted = tmp_path / "train.json", tmp_path / "predicted.sql"
    rows = [{"db_id": "school", "question": "Names?", "evidence": "", "SQL": sql} for sql in OUTSIDE[:2]]
    gold.write_text(json.dumps(rows))
    predicted.write_text("SELECT Name FROM Student\n" * 2)
    assert [row.query for row in SpiderFolder(tmp_path).train] == OUTSIDE[:2]
    folders = ["--tables", str(school_folder / "tables.json"), "--databases", str(school_folder / "database")]
    command = ["evaluate", "--gold", str(gold), "--predicted", str(predicted), *folders]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.count("only executed: ") == 2
    assert "exact match" not in out
    scores = evaluate_files(gold, predicted, tables=folders[1], databases=folders[3])
    assert (scores.count, scores.execution_sound) == (0, 1.0)
    assert main([*command[:-1], str(tmp_path / "nowhere")]) == 2
    assert f"no folder at {tmp_path / 'nowhere'}" in capsys.readouterr().err
    assert main([*command[:-3], str(tmp_path / "gone.json"), *folders[2:]]) == 2
    assert "gone.json" in capsys.readouterr().err
