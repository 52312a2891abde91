"""Damaged folders, odd schemas and odd questions through the command line: one line each, and the rest goes on."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from normlab.cli import main
from normlab.data.sql.sqlite import run_query
from normlab.data.sql.toy import write_toy
from normlab.engine.api import load_run
from normlab.errors import UserError
from normlab.tasks.text2sql.model.decoding import Answer

TINY = ["--epochs", "1", "--limit-train", "8", "--hidden", "16", "--monitor-rows", "2", "--train-rows", "2"]
TINY += ["--beam-size", "2", "--threads", "1"]
BAD_GOLD = "SELECT FROM WHERE"
LONG = "ship " * 5000


def rewrite(path: Path, *rows: list[str], keep: int = 6) -> None:
    """Keep the head of a question file and add rows of db_id, query, question, in the file's own order of columns."""
    with path.open(encoding="utf-8", newline="") as file:
        kept = list(csv.DictReader(file))[:keep]
    added = [dict(zip(("db_id", "query", "question"), row, strict=True)) for row in rows]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["db_id", "query", "question"])
        writer.writeheader()
        writer.writerows([*kept, *added])


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database without its file, a gold query that does not parse, a question of five thousand words."""
    root = write_toy(tmp_path_factory.mktemp("damaged")).root
    rewrite(
        root / "val.csv",
        ["toy_harbour", BAD_GOLD, "How many ships are there?"],
        ["toy_harbour", "SELECT count(*) FROM Ship", LONG],
        ["toy_bakery", "SELECT count(*) FROM Cake", "How many cakes are there?"],
    )
    shutil.rmtree(root / "database" / "toy_bakery")
    return root


@pytest.fixture(scope="module")
def run(damaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("odd") / "run"
    with pytest.warns(UserWarning, match="cut after 256"):
        code = main(
            ["train", "text2sql", "--scale", "smoke", "--data", str(damaged), "--out", str(out), *TINY, "--json"]
        )
    assert code == 0
    return out


def test_training_goes_on_over_bad_rows_and_names_them(run: Path) -> None:
    card = json.loads((run / "card.json").read_text())
    tables = json.loads((run / "result.json").read_text())["tables"]["test"]
    assert card["without_cells"] == ["toy_bakery"]
    assert tables["skipped"]["count"] == 1
    assert "val.csv:8" in tables["skipped"]["first"][0]
    assert tables["scores"]["count"] == 8
    assert any("gold does not parse" in line for line in tables["scores"]["skipped"])


def test_a_missing_database_file_leaves_execution_out_there_only(run: Path) -> None:
    scores = json.loads((run / "result.json").read_text())["tables"]["test"]["scores"]
    executed = {name: level["execution"] is not None for name, level in scores["databases"].items()}
    assert executed["toy_bakery"] is False
    assert executed["toy_harbour"] is True


def test_evaluating_the_damaged_data_again_gives_the_same(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="cut after 256"):
        assert main(["evaluate", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    kept = json.loads((run / "result.json").read_text())
    assert found["tables"]["scores"]["count"] == 8
    assert found["metrics"]["test/exact_match"] == kept["metrics"]["test/exact_match"]


def predict(run: Path, question: str, database: str, out: Path) -> list[dict[str, Any]]:
    source = out.with_suffix(".in.jsonl")
    source.write_text(json.dumps({"question": question, "database": database}) + "\n", encoding="utf-8")
    assert main(["predict", str(run), str(source), "--out", str(out)]) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_odd_names_no_foreign_keys_and_cells_that_are_no_utf8_are_answered_with_sql_that_runs(
    run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "it's odd.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        'CREATE TABLE "order" ("select" INTEGER, "unit price" REAL, "the ""best""" TEXT);'
        'CREATE TABLE "my table" (id INTEGER, "it\'s" TEXT, "group" TEXT);'
        "INSERT INTO \"order\" VALUES (1, 2.5, 'a'); INSERT INTO \"my table\" VALUES (1, CAST(x'61ff' AS TEXT), 'b');"
    )
    connection.close()
    [record] = predict(run, "What is the unit price of each order in my table?", str(path), tmp_path / "out.jsonl")
    assert record["cells"] is True
    assert len(record["alternatives"]) == 2
    for one in record["alternatives"]:
        run_query(path, one["sql"])


def test_a_join_without_a_key_and_a_rule_for_dates_are_said(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keyless.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE a (x INTEGER, day TEXT); CREATE TABLE b (y INTEGER);"
        "INSERT INTO a VALUES (1, '2024-03-05'); INSERT INTO b VALUES (1);"
    )
    connection.close()
    joined = "SELECT count(*) FROM a AS T1 JOIN b AS T2 ON T1.x = T2.y"
    answer = Answer(joined, -1.0, -1.0, "no declared or inferred key joins b")
    monkeypatch.setattr("normlab.tasks.text2sql.predictions.decode", lambda *_, **__: [(0, [answer])])
    [record] = predict(run, "How many x of a are there?", str(path), tmp_path / "out.jsonl")
    assert record["sql"] == joined
    assert record["notes"] == ["no declared or inferred key joins b: the join is a guess, check it"]
    assert "'How many x of a are there?': no declared or inferred key joins b" in capsys.readouterr().err
    [record] = predict(run, "How many x of a are there in March 2024?", str(path), tmp_path / "out.jsonl")
    assert record["sql"] == f"{joined} WHERE T1.day >= '2024-03-01' AND T1.day < '2024-04-01'"
    assert record["alternatives"][0]["sql"] == joined
    assert "by a rule for dates over a.day" in record["notes"][1]


def test_five_hundred_tables_are_answered(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("".join(f"CREATE TABLE thing_{n} (id INTEGER, name TEXT);" for n in range(500)))
    connection.close()
    [record] = predict(run, "What are the names of thing 7?", str(path), tmp_path / "out.jsonl")
    run_query(path, record["sql"])


def test_a_question_of_five_thousand_words_is_cut_and_answered(run: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="cut after 256"):
        [record] = predict(run, LONG, "toy_harbour", tmp_path / "out.jsonl")
    assert record["sql"].startswith("SELECT")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("in.txt", "\ttoy_harbour\n", "in.txt:1 has no question"),
        ("in.txt", "How many?\ttoy_harbor\n", "in.txt:1: unknown database 'toy_harbor': did you mean 'toy_harbour'"),
        ("in.csv", "database,question\nx,y\n", "in.csv:1 lacks the column 'db_id'"),
        ("in.jsonl", "{]\n", "in.jsonl:1 is no JSON"),
    ],
)
def test_a_question_that_cannot_be_read_is_one_line_with_its_place(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, problem: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["predict", str(run), str(tmp_path / name), "--out", str(tmp_path / "out.jsonl")]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("db_id,question\ntoy_harbour,How many?\n", "train.csv:1 lacks the column 'query'"),
        ("db_id,query,question\ntoy_harbor,SELECT 1,How many?\n", "train.csv:2: no database 'toy_harbor'"),
        ("db_id,query,question\ntoy_harbour,SELECT 1,\n", "train.csv:2 has no question"),
    ],
)
def test_training_data_that_cannot_be_read_leave_one_line_and_no_folder(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, problem: str
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(damaged, folder)
    (folder / "train.csv").write_text(text, encoding="utf-8")
    arguments = ["train", "text2sql", "--scale", "smoke", "--data", str(folder), "--out", str(tmp_path / "run")]
    assert main([*arguments, *TINY, "--json"]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "mine.sqlite as an SQLite database (it is empty, 0 bytes)"),
        (b"no database" * 100, "file is not a database"),
    ],
)
def test_a_database_file_of_another_kind_is_one_line_and_no_answer(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, problem: str
) -> None:
    (tmp_path / "mine.sqlite").write_bytes(content)
    (tmp_path / "in.txt").write_text(f"How many ships are there?\t{tmp_path / 'mine.sqlite'}\n")
    assert main(["predict", str(run), str(tmp_path / "in.txt"), "--out", str(tmp_path / "out.jsonl")]) == 2
    said = capsys.readouterr().err
    assert "in.txt:1: " in said
    assert problem in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_what_a_database_holds_beyond_reading_is_named_and_the_rest_answered(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        'CREATE TABLE "ship\nlist" (id INTEGER, "" TEXT); CREATE VIEW v AS SELECT * FROM gone;'
        "CREATE VIRTUAL TABLE notes USING fts5(title); INSERT INTO notes VALUES ('a');"
    )
    connection.close()
    with pytest.warns(UserWarning, match="left out: view 'v': no such table"):
        [record] = predict(run, "How many ships are there?", str(path), tmp_path / "out.jsonl")
    run_query(path, record["sql"])
    source = tmp_path / "in.txt"
    source.write_text(f"How many ships are there?\t{path}\nWhich titles have notes?\t{path}\n")
    with pytest.warns(UserWarning, match="left out"):
        assert main(["predict", str(run), str(source), "--out", str(tmp_path / "out.sql")]) == 0
    assert len((tmp_path / "out.sql").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("in.txt", b"How many?\ttoy_harbour\xff\n", "in.txt:1 is not UTF-8"),
        ("in.csv", b"question,db_id\nHow many\0?,toy_harbour\n", "in.csv:2: holds a NUL byte"),
        ("in.csv", b"question;db_id\nHow many?;toy_harbour\n", "separated by semicolons"),
        ("in.csv", b'question,db_id\n"How many?,toy_harbour\n' + b"x" * 200_000, "is a quote never closed"),
        ("in.jsonl", b"[" * 50_000 + b"\n", "in.jsonl:1 is no JSON"),
        ("in.jsonl", b"[1]\n", "in.jsonl:1 has no question"),
        ("in.jsonl", b'{"question": 5, "db_id": "toy_harbour"}\n', "must be texts"),
        ("in.jsonl", b'{"question": "\\ud800", "db_id": "toy_harbour"}\n', "half a surrogate pair"),
        ("in.txt", b"SQLite format 3\0" + bytes(1000), "in.txt: is an SQLite database, not text"),
        ("in.txt", b"How many?\t" + b"a" * 5000 + b"\n", "unknown database"),
    ],
)
def test_question_files_of_other_kinds_are_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["predict", str(run), str(tmp_path / name), "--out", str(tmp_path / "out.jsonl")]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_questions_are_read_in_the_encodings_that_programs_write(
    run: Path, tmp_path: Path, encoding: str, line_end: str
) -> None:
    rows = ["question,db_id", "How many ships?,toy_harbour", "", "How many captains?,toy_harbour", ""]
    (tmp_path / "in.csv").write_bytes(line_end.join(rows).encode(encoding))
    found = list(load_run(run).predict(tmp_path / "in.csv"))
    assert [record["question"] for record in found] == ["How many ships?", "How many captains?"]


@pytest.mark.parametrize("bad", [["How many?"], [("a", "b", "c")], [5]])
def test_python_values_of_other_kinds_are_one_line(run: Path, bad: list[Any]) -> None:
    with pytest.raises(UserError, match="question 1 is no pair"):
        list(load_run(run).predict(bad))


def test_damaged_schemas_leave_one_line_and_no_folder(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(damaged, tmp_path / "data")
    tables = json.loads((folder / "tables.json").read_text())
    tables[1]["foreign_keys"] = [[1, {}]]
    (folder / "tables.json").write_text(json.dumps(tables))
    arguments = ["train", "text2sql", "--scale", "smoke", "--data", str(folder), "--out", str(tmp_path / "run")]
    assert main([*arguments, *TINY, "--json"]) == 2
    said = capsys.readouterr().err
    assert f"tables.json: database '{tables[1]['db_id']}': foreign_keys[0]: is an object" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()
