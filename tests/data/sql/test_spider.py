"""Question files, schemas, the three views and the generated databases."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from normlab.data.sql.schema import Schema, quote, read_tables, split_words
from normlab.data.sql.spider import DEV_DATABASES, Example, SpiderFolder, read_examples
from normlab.data.sql.sqlite import run_query
from normlab.data.sql.toy import HELD_OUT, write_toy
from normlab.data.sql.views import leakage, make_view, refuse_held_out
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation import evaluate_rows


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_rows_are_read_with_their_place(tmp_path: Path):
    file = write(tmp_path / "a.csv", 'db_id,query,question\nd,"SELECT ""x"", a\tb FROM t",What?\n')
    assert read_examples(file) == [Example("d", 'SELECT "x", a b FROM t', "What?", f"{file}:2")]


def test_json_and_csv_give_the_same_rows(tmp_path: Path):
    row = {"db_id": "d", "query": "SELECT a FROM t", "question": "What?"}
    json_file = write(tmp_path / "a.json", json.dumps([row]))
    csv_file = write(tmp_path / "a.csv", "question,db_id,query\nWhat?,d,SELECT a FROM t\n")
    one, other = read_examples(json_file)[0], read_examples(csv_file)[0]
    assert (one.db_id, one.query, one.question) == (other.db_id, other.query, other.question)


def test_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path):
    file = write(tmp_path / "a.csv", "\ufeffdb_id,query,question\nd,SELECT 1,What?\n")
    assert read_examples(file)[0].db_id == "d"


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.csv", "db_id,sql,question\nd,SELECT 1,What?\n", r"a\.csv:1 lacks the column 'query'"),
        ("a.csv", "", r"a\.csv: the file is empty"),
        ("a.csv", "db_id,query,question\nd,,What?\n", r"a\.csv:2 has no query"),
        ("a.csv", "db_id,query,question\nd\n", r"a\.csv:2 has no query"),
        ("a.json", "{", r"a\.json: not valid JSON"),
        ("a.json", "{}", r"a\.json holds no list"),
    ],
)
def test_broken_question_file_is_one_clear_line(tmp_path: Path, name: str, text: str, message: str):
    with pytest.raises(UserError, match=message) as caught:
        read_examples(write(tmp_path / name, text))
    assert "\n" not in str(caught.value)


def test_file_that_is_not_utf8_is_named(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(b"db_id,query,question\nd,\xff,What?\n")
    with pytest.raises(UserError, match="not UTF-8"):
        read_examples(tmp_path / "a.csv")


def test_unknown_database_offers_the_nearest(tmp_path: Path):
    with pytest.raises(UserError, match="did you mean 'toy_library'"):
        write_toy(tmp_path).schema("toy_libary")


def test_schema_of_an_odd_database(tmp_path: Path):
    path = tmp_path / "odd.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        'CREATE TABLE "my table" ("select" INTEGER PRIMARY KEY AUTOINCREMENT, "a""b" CHAR(9), whenDone TIME);'
        'CREATE TABLE "order" (id INT, "my ref" INT REFERENCES "my table", gone INT REFERENCES nowhere (id));'
        'CREATE VIEW look AS SELECT "select" FROM "my table";'
        'INSERT INTO "my table" ("a""b") VALUES (1);'
    )
    connection.close()
    schema = Schema.from_sqlite(path)
    assert schema.names == {
        "my table": ("select", 'a"b', "whendone"),
        "order": ("id", "my ref", "gone"),
        "look": ("select",),
    }
    assert [column.type for column in schema.columns[1:4]] == ["number", "text", "time"]
    assert schema.columns[3].natural == "when done"
    assert schema.foreign_keys == ((5, 1),)
    assert schema.primary_keys == (1,)
    assert set(Schema.from_sqlite(path, official=True).names) == {"my table", "sqlite_sequence", "order"}
    for table in schema.tables:
        columns = [quote(schema.columns[i].name) for i in schema.columns_of(schema.tables.index(table))]
        run_query(path, f"SELECT {', '.join(columns)} FROM {quote(table.name)}")


@pytest.mark.parametrize(
    "name, words",
    [("Stu_ID", "stu id"), ("stuId", "stu id"), ("Birth Year", "birth year"), ("_", "_"), ("ID", "id")],
)
def test_names_are_split_into_words(name: str, words: str):
    assert split_words(name) == words


def test_schema_file_of_another_kind_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="lacks the field"):
        read_tables(write(tmp_path / "tables.json", '[{"db_id": "d"}]'))


ROWS = [Example(db, f"SELECT {n} FROM t", f"q{n}", f"f:{n}") for n, db in enumerate("aabbcc")]


def test_unseen_view_shares_no_database_with_training():
    view = make_view("unseen", ROWS[::2], ROWS[1::2], held_out={"b"})
    assert {row.db_id for row in view.evaluation} == {"b"}
    assert {row.db_id for row in view.train} == {"a", "c"}
    assert view.leakage.same_database == 0


def test_novel_view_keeps_only_sql_that_training_lacks():
    known = Example("a", "select  0 from T", "other words")
    view = make_view(
        "novel", ROWS, [known, Example("b", "SELECT 0 FROM t", "new"), Example("a", "SELECT 9 FROM t", "z")]
    )
    assert [row.question for row in view.evaluation] == ["new", "z"]


def test_leakage_counts_per_database():
    found = leakage(ROWS, [ROWS[0], Example("a", "SELECT 8 FROM t", "Q1"), Example("z", ROWS[0].query, "q0")])
    assert (found.rows, found.same_database, found.same_sql, found.same_question) == (3, 2, 1, 2)


def test_training_row_of_a_held_out_database_is_refused_by_its_place():
    refuse_held_out(ROWS[:2], {"b"})
    with pytest.raises(UserError, match=r"f:2 is of database 'b'"):
        refuse_held_out(ROWS, {"b"})


def test_unknown_view_is_refused():
    with pytest.raises(UserError, match="unknown view 'novell': did you mean 'novel'"):
        make_view("novell", ROWS, ROWS)


def test_toy_queries_run_and_match_themselves(tmp_path: Path):
    toy = write_toy(tmp_path)
    rows = toy.train + toy.val
    gold = [(row.query, row.db_id) for row in rows]
    scores = evaluate_rows(gold, [sql for sql, _ in gold], schemas=toy.schemas, databases=tmp_path / "database")
    assert scores.exact_match == scores.execution == scores.execution_sound == 1.0
    assert not scores.skipped
    assert {row.hardness for row in scores.rows} == {"easy", "medium", "hard", "extra"}


def test_toy_is_the_same_for_the_same_seed_only(tmp_path: Path):
    first, again, other = (write_toy(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    questions = [[row.question for row in toy.train] for toy in (first, again, other)]
    assert questions[0] == questions[1] != questions[2]


def test_toy_serves_every_view(tmp_path: Path):
    toy = write_toy(tmp_path)
    for name in ("course", "unseen", "novel"):
        view = make_view(name, toy.train, toy.val, HELD_OUT)
        assert view.train
        assert view.evaluation


def test_published_rows_fall_into_the_published_views(shared_data: Path):
    folder = SpiderFolder(shared_data / "spider")
    sizes = {}
    for name in ("course", "unseen", "novel"):
        view = make_view(name, folder.train, folder.val)
        sizes[name] = (len(view.train), len(view.evaluation), view.leakage.same_sql)
    assert sizes == {"course": (7754, 1939, 1361), "unseen": (8659, 1034, 0), "novel": (7754, 578, 0)}
    assert len(DEV_DATABASES) == 20


def test_schema_of_every_published_database_agrees_with_its_file(shared_data: Path):
    folder = SpiderFolder(shared_data / "spider")
    assert len(folder.schemas) == 166
    for name, schema in folder.schemas.items():
        path = folder.database(name)
        assert path is not None
        listed = {table: columns for table, columns in schema.names.items() if table != "sqlite_sequence"}
        assert Schema.from_sqlite(path, name).names == listed
