"""BIRD's form of data: its names of files and keys, its SQL, its file of predictions, from checking to scoring."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from normlab.cli import main
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import SpiderFolder, find_database
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation.reading import read_predictions
from normlab.tasks.text2sql.inputs.plain_spelling import plainly_spelled

SCRIPT = """
CREATE TABLE customers (`Customer ID` INTEGER PRIMARY KEY, Name TEXT, Segment TEXT, Joined DATE);
CREATE TABLE orders (id INTEGER PRIMARY KEY, `Customer ID` INTEGER REFERENCES customers(`Customer ID`), Amount REAL);
INSERT INTO customers VALUES (1, 'Ann', 'SME', '2012-01-05'), (2, 'Bo', 'KAM', '2013-02-06');
INSERT INTO orders VALUES (1, 1, 5.5), (2, 1, 7.0), (3, 2, 1.5);
"""
JOIN = "SELECT T1.Name FROM customers AS T1 INNER JOIN orders AS T2 ON T1.`Customer ID` = T2.`Customer ID` LIMIT 1"
RATIO = "SELECT CAST(SUM(CASE WHEN Segment = 'SME' THEN 1 ELSE 0 END) AS REAL) * 100 / COUNT(*) FROM customers"
PAIRS = [
    ("How many customers are there?", "SELECT COUNT(*) FROM customers"),
    ("What is the share of SME customers?", RATIO),
    ("Whose is the first order?", JOIN),
    ("Names of the KAM customers", "SELECT `Name` FROM customers WHERE Segment='KAM'"),
    ("Names of all customers", "SELECT Name FROM customers"),
    ("How many orders are there?", "SELECT COUNT(id) FROM orders"),
    ("How many orders are above 5?", "SELECT COUNT(*) FROM orders WHERE Amount>5"),
    ("Amounts of the orders", "SELECT Amount FROM orders"),
]


@pytest.fixture(scope="module")
def bird(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bird")
    for part, name in (("train", "shop"), ("dev", "market")):
        path = root / f"{part}_databases" / name / f"{name}.sqlite"
        path.parent.mkdir(parents=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(SCRIPT)
        entry = Schema.from_sqlite(path, name).entry()
        (root / f"{part}_tables.json").write_text(json.dumps([entry]))
        rows: list[dict[str, Any]] = [
            {"question_id": number, "db_id": name, "question": question, "evidence": "KAM is a segment", "SQL": sql}
            for number, (question, sql) in enumerate(PAIRS)
        ]
        extra = {"difficulty": "simple"} if part == "dev" else {}
        (root / f"{part}.json").write_text(json.dumps([row | extra for row in rows]))
    answers = {str(number): f"{sql}\t----- bird -----\tmarket" for number, (_, sql) in enumerate(PAIRS) if number != 4}
    (root / "predict_dev.json").write_text(json.dumps(answers))
    return root


def test_the_folder_is_read_by_its_own_names(bird: Path) -> None:
    folder = SpiderFolder(bird)
    assert set(folder.schemas) == {"shop", "market"}
    assert [row.query for row in folder.val] == [sql for _, sql in PAIRS]
    assert folder.database("market") == bird / "dev_databases" / "market" / "market.sqlite"
    assert find_database(bird, "shop") == bird / "train_databases" / "shop" / "shop.sqlite"
    assert folder.ignored() == ["predict_dev.json"]


def test_data_check_says_what_is_there(bird: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(bird), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "questions to databases (BIRD's form)"
    assert (found["questions"], found["databases"], found["problems"]) == ({"train": 8, "val": 8}, 2, [])
    assert found["not_read"] == ["train.json: evidence", "dev.json: evidence, difficulty", "predict_dev.json"]


def test_data_check_names_gold_that_does_not_run_and_missing_files(
    bird: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"db_id": "shop", "question": "Why?", "SQL": "SELECT why FROM orders"}
    (tmp_path / "train.json").write_text(json.dumps([row, row | {"db_id": "market", "SQL": "SELECT 1"}]))
    for part in ("train", "dev"):
        (tmp_path / f"{part}_tables.json").write_bytes((bird / f"{part}_tables.json").read_bytes())
    (tmp_path / "train_databases").symlink_to(bird / "train_databases")
    assert main(["data", "check", str(tmp_path), "--json"]) == 0
    missing, wrong = json.loads(capsys.readouterr().out)["problems"]
    assert missing == f"databases without a file in {tmp_path}: 1, first market"
    assert "gold queries that do not run: 1" in wrong
    assert "train.json:1: its SQL does not run (no such column: why)" in wrong


def test_its_predictions_are_scored_and_a_missing_number_is_a_wrong_answer(
    bird: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--gold", str(bird / "dev.json"), "--predicted", str(bird / "predict_dev.json")]
    files += ["--tables", str(bird / "dev_tables.json"), "--databases", str(bird / "dev_databases")]
    assert main(["evaluate", *files, "--copies", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["execution_sound"] == found["test_suite_keep_distinct"] == 7 / 8
    assert (found["skipped"], len(found["executed_only"])) == ([], 3)  # CASE, INNER JOIN, a name in backticks


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"a": "SELECT 1"}', "holds no queries"), ("[]", "holds no queries"), ('["SELECT 1", 5]', "query 1 is no text")],
)
def test_a_json_file_of_no_predictions_is_one_line(
    bird: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "answers.json").write_text(text)
    files = ["--gold", str(bird / "dev.json"), "--predicted", str(tmp_path / "answers.json")]
    assert main(["evaluate", *files, "--tables", str(bird / "dev_tables.json")]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_a_run_learns_from_it_and_answers_its_questions(
    bird: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--scale", "smoke", "--epochs", "1", "--hidden", "16", "--threads", "1", "--json"]
    run = tmp_path / "run"
    assert main(["train", "text2sql", "--data", str(bird), "--out", str(run), *flags]) == 0
    capsys.readouterr()
    card = json.loads((run / "card.json").read_text())
    assert "dev.json: keys not read: 2 (evidence, difficulty)" in card["notes"]
    assert not any("have no file" in note for note in card["notes"])
    assert card["skipped"]["test"]["count"] == 2  # CASE, and a name with a space in it
    assert main(["predict", str(run), str(bird / "dev.json"), "--out", str(tmp_path / "answers.sql")]) == 0
    assert len((tmp_path / "answers.sql").read_text().splitlines()) == 8


def test_predict_finds_databases_beside_the_questions(
    bird: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.jsonl"
    assert main(["predict", "spider-sql", str(bird / "dev.json"), "--out", str(out)]) == 0
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(answers) == 8
    assert all(answer["cells"] for answer in answers)
    (tmp_path / "alone.json").write_text((bird / "dev.json").read_text())
    assert main(["predict", "spider-sql", str(tmp_path / "alone.json")]) == 2
    assert "alone.json:1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sql", "plain"),
    [
        (
            "SELECT a FROM t INNER JOIN u ON t.`id`=u.[id] WHERE b<>5;",
            "SELECT a FROM t   JOIN u ON t.id = u.id WHERE b != 5",
        ),
        (
            "SELECT `my name` FROM t WHERE a >= 'inner <> `x`' -- why",
            "SELECT `my name` FROM t WHERE a  >=  'inner <> `x`'  ",
        ),
    ],
)
def test_gold_is_spelled_plainly_before_it_is_learned(sql: str, plain: str) -> None:
    assert plainly_spelled(sql).split() == plain.split()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"99999999999": "SELECT 1"}', "number the questions from 0"),
        ('{"0": 3}', "query 0 is no text"),
        ('{"a": "SELECT 1"}', "holds no queries"),
        ("[]", "holds no queries"),
    ],
)
def test_predictions_that_are_none_are_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(UserError, match=said):
        read_predictions(tmp_path / "p.json")
