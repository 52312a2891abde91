"""Execution on mutated copies: what agrees on one database by accident differs, what is equivalent does not."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from normlab.cli import main
from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.evaluation import Scores, evaluate_rows
from normlab.tasks.text2sql.evaluation.test_suite import without_distinct

SCRIPT = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INTEGER, hired DATE);
CREATE TABLE concert (id INTEGER PRIMARY KEY, singer INTEGER REFERENCES singer(id), year TEXT, price REAL);
INSERT INTO singer VALUES (1, 'Joe', 'France', 52, '2015-03-01'), (2, 'Ann', 'Norway', 32, '2016-04-02'),
    (3, 'Rose', 'France', 41, '2017-05-03'), (4, 'Tim', 'Chile', 29, '2018-06-04');
INSERT INTO concert VALUES (1, 1, '2014', 10.5), (2, 2, '2015', 20.0), (3, 3, '2015', 5.25), (4, 4, '2016', 8.0);
"""

BY_ACCIDENT = [
    ("SELECT count(*) FROM singer WHERE age > 30", "SELECT count(*) FROM singer WHERE age >= 30"),
    ("SELECT name FROM singer WHERE age > 40", "SELECT name FROM singer WHERE country = 'France'"),
    ("SELECT name FROM singer WHERE country = 'France'", "SELECT name FROM singer WHERE country LIKE 'F%'"),
    ("SELECT name FROM singer WHERE country = 'France'", "SELECT name FROM singer WHERE id IN (1, 3)"),
    ("SELECT max(age) FROM singer", "SELECT age FROM singer ORDER BY id LIMIT 1"),
    ("SELECT count(*) FROM concert", "SELECT count(*) FROM singer"),
    ("SELECT count(*) FROM concert", "SELECT count(DISTINCT singer) FROM concert"),
    ("SELECT name FROM singer", "SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer"),
    ("SELECT count(DISTINCT country) FROM singer", "SELECT 3"),
    ("SELECT name FROM singer ORDER BY age DESC LIMIT 1", "SELECT name FROM singer ORDER BY hired LIMIT 1"),
    ("SELECT sum(price) FROM concert WHERE year = '2015'", "SELECT sum(price) FROM concert WHERE singer IN (2, 3)"),
    ("SELECT name FROM singer WHERE name LIKE '%o%'", "SELECT name FROM singer WHERE country = 'France'"),
    (
        "SELECT count(*) FROM singer WHERE hired < '2016-06-01'",
        "SELECT count(*) FROM singer WHERE hired < '2016-05-01'",
    ),
    ("SELECT name FROM singer WHERE age > 90", "SELECT name FROM singer WHERE age > 95"),
]
EQUIVALENT = [
    ("SELECT count(*) FROM singer", "SELECT count(id) FROM singer"),
    ("SELECT name FROM singer WHERE age > 30", "SELECT name FROM singer WHERE NOT age <= 30"),
    ("SELECT count(*) FROM concert", "SELECT count(*) FROM concert AS c JOIN singer AS s ON c.singer = s.id"),
    (
        "SELECT name FROM singer WHERE id IN (SELECT singer FROM concert)",
        "SELECT name FROM singer WHERE EXISTS (SELECT 1 FROM concert WHERE singer = singer.id)",
    ),
    (
        "SELECT id FROM singer EXCEPT SELECT singer FROM concert",
        "SELECT id FROM singer WHERE id NOT IN (SELECT singer FROM concert WHERE singer IS NOT NULL)",
    ),
    ("SELECT name , age FROM singer", "SELECT age , name FROM singer ORDER BY id"),
    ("SELECT sum(price) / count(price) FROM concert", "SELECT avg(price) FROM concert"),
    ("SELECT country FROM singer GROUP BY country", "SELECT DISTINCT country FROM singer"),
    (
        "SELECT name FROM singer ORDER BY age DESC LIMIT 1",
        "SELECT name FROM singer WHERE age = (SELECT max(age) FROM singer) ORDER BY id LIMIT 1",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suite")
    path = root / "database" / "stage" / "stage.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCRIPT)
    (root / "tables.json").write_text(json.dumps([Schema.from_sqlite(path, "stage").entry()]), encoding="utf-8")
    return root


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NORMLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def score(folder: Path, pairs: list[tuple[str, str]], copies: int = 20, seed: int = 0) -> Scores:
    schema = Schema.from_sqlite(folder / "database" / "stage" / "stage.sqlite", "stage")
    gold = [(sql, "stage") for sql, _ in pairs]
    guesses = [guess for _, guess in pairs]
    databases = folder / "database"
    return evaluate_rows(
        gold, guesses, schemas={"stage": schema}, databases=databases, copies=copies, seed=seed, seconds=5.0
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_what_agrees_by_accident_is_wrong(folder: Path, seed: int) -> None:
    scores = score(folder, BY_ACCIDENT, seed=seed)
    assert [row.predicted for row in scores.rows if not row.executed_sound] == []
    assert [row.predicted for row in scores.rows if row.suite_kept] == []
    assert (scores.execution_sound, scores.test_suite_keep_distinct) == (1.0, 0.0)
    assert scores.copies["keep_distinct"]["share"] == 1.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_equivalent_stays_right(folder: Path, seed: int) -> None:
    scores = score(folder, EQUIVALENT, seed=seed)
    assert [row.predicted for row in scores.rows if not row.suite_kept] == []
    assert scores.copies["keep_distinct"]["wrong_on_a_copy"] == 0


def test_distinct_counts_only_where_it_is_kept(folder: Path) -> None:
    pairs = [
        ("SELECT DISTINCT name FROM singer", "SELECT name FROM singer"),
        ("SELECT DISTINCT country FROM singer", "SELECT country FROM singer"),
    ]
    scores = score(folder, pairs)
    assert [(row.executed_sound, row.without_distinct) for row in scores.rows] == [(True, True), (False, True)]
    assert (scores.test_suite, scores.test_suite_keep_distinct) == (1.0, 0.0)


def test_distinct_inside_a_text_is_kept() -> None:
    sql = "SELECT DISTINCT a , count(distinct b) FROM t WHERE c = 'DISTINCT' OR d = \"a distinct b\""
    assert without_distinct(sql) == "SELECT  a , count( b) FROM t WHERE c = 'DISTINCT' OR d = \"a distinct b\""


def test_copies_on_which_gold_has_no_defined_result_are_left_out_and_counted(folder: Path) -> None:
    gold = "SELECT name FROM singer LIMIT 1"
    scores = score(folder, [(gold, "SELECT name FROM singer ORDER BY id LIMIT 1")])
    assert 0 < scores.rows[0].copies_left_out <= 20
    assert scores.copies["left_out"] == scores.rows[0].copies_left_out
    failing = "SELECT CASE WHEN (SELECT count(*) FROM singer) = 4 THEN 1 ELSE abs(-9223372036854775807 - 1) END"
    scores = score(folder, [(failing, "SELECT 1")])
    assert scores.rows[0].copies_left_out > 0


def test_without_copies_nothing_is_said_of_them(folder: Path) -> None:
    scores = score(folder, BY_ACCIDENT[:2], copies=0)
    assert (scores.test_suite, scores.test_suite_keep_distinct, scores.copies) == (None, None, None)


def command(folder: Path, tmp_path: Path, *more: str) -> list[str]:
    gold, guesses = tmp_path / "gold.sql", tmp_path / "predicted.sql"
    pairs = [BY_ACCIDENT[0], EQUIVALENT[0], ("SELECT name FROM singer", "SELECT country FROM singer")]
    gold.write_text("".join(f"{sql}\tstage\n" for sql, _ in pairs))
    guesses.write_text("".join(f"{guess}\n" for _, guess in pairs))
    files = ["--gold", str(gold), "--predicted", str(guesses), "--tables", str(folder / "tables.json")]
    return ["evaluate", *files, *more]


def test_the_command_scores_files_on_copies(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = command(folder, tmp_path, "--databases", str(folder / "database"), "--copies", "20")
    assert main(arguments) == 0
    text = capsys.readouterr().out
    rows = {line[:20].strip(): line[20:].split() for line in text.splitlines()}
    assert (rows["order-insensitive"][-1], rows["test suite"][-1], rows["keep distinct"][-1]) == (
        "0.667",
        "0.333",
        "0.333",
    )
    assert "DISTINCT kept: 1 of 2 rows right on one database are wrong on a copy (50.0 %)" in text
    assert main([*arguments, "--seed", "3", "--json"]) == 0
    copies = json.loads(capsys.readouterr().out)["copies"]
    assert (copies["number"], copies["seed"], copies["keep_distinct"]["wrong_on_a_copy"]) == (20, 3, 1)
    assert sorted(file.name for file in (folder / "database" / "stage").iterdir()) == ["stage.sqlite"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--copies", "5"), "--copies needs --databases"),
        (("--copies", "-1"), "copies"),
        (("--copies", "2", "--perturb", "typos"), "--gold and --perturb exclude each other"),
        (("--seed", "2"), "--seed: does nothing without --perturb or --copies"),
    ],
)
def test_what_cannot_be_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert main(command(folder, tmp_path, *more)) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
