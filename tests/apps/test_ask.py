"""`normlab ask`: a question, its query, its rows; what is refused; and files that are no database."""

from __future__ import annotations

import io
import json
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

import normlab
from normlab.apps.ask.answer import Reading
from normlab.apps.ask.database import Database
from normlab.apps.ask.refusals import MOST_WORDS, refuse_no_question
from normlab.cli import main
from normlab.data.sql.sqlite import QueryTimeout
from normlab.errors import UserError
from normlab.tasks.text2sql.model.decoding import Answer as Decoded


@pytest.fixture(scope="module")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ask-image") / "run"
    return normlab.train("image", out=out, preset="smoke", epochs=1, threads=1).path


def test_a_question_has_a_query_that_runs_and_other_readings(shop: Path, run: Path) -> None:
    before = shop.read_bytes()
    with normlab.ask(shop, model=run, beam_size=4) as database:
        answer = database.question("How many items are there?")
        assert answer.sql in {reading.sql for reading in answer.readings}
        assert len(answer.readings) + len(answer.refused) == 4
        assert all("no declared or inferred key joins" in line for line in answer.refused)
        assert answer.rows == database.run(answer.sql).rows
        assert ("items", "table", "item") in {(link.word, link.kind, link.name) for link in answer.links}
        assert not database.question("How many items are there?", run=False).rows
    assert shop.read_bytes() == before
    assert [path.name for path in shop.parent.iterdir()] == [shop.name]


def test_a_better_reading_that_fails_is_said(shop: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database(shop, run, beam_size=3) as database:
        first = database.question("How many items are there?").readings[0].sql
        whole = database.run

        def run_query(sql: str, **options: object) -> object:
            return whole("SELECT gone FROM nowhere" if sql == first else sql, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(database, "run", run_query)
        answer = database.question("How many items are there?")
    assert answer.sql != first
    assert answer.notes == (f"a better-ranked reading does not run (no such table: nowhere): {first}",)


def test_a_limit_is_no_evidence_against_a_reading(shop: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_query(sql: str, **_: object) -> object:
        raise QueryTimeout("the query did not end in time")

    with Database(shop, run, beam_size=3) as database:
        monkeypatch.setattr(database, "run", run_query)
        answer = database.question("How many items are there?")
    assert answer.sql == answer.readings[0].sql
    assert answer.rows == []
    assert "not run to its end" in answer.notes[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no words"),
        ("?! ...", "no words"),
        ("word " * (MOST_WORDS + 1), f"at most {MOST_WORDS}"),
        ("SELECT name FROM item", "is SQL, not a question"),
        ("with x as (select 1) select * from x", "is SQL, not a question"),
        ("Delete all items", "asks for a change"),
        ("Could you please update the price of ink?", "asks for a change"),
    ],
)
def test_what_is_no_question_is_refused(text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        refuse_no_question(text)


@pytest.mark.parametrize(
    "text", ["Which items were added last?", "Show deleted items", "Select the cheapest item", "How many updates?"]
)
def test_questions_about_changes_are_questions(text: str) -> None:
    refuse_no_question(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Wie viele Kunden kommen aus Frankreich?", "in German"),
        ("xyzzy plugh frobnicate quux", "unknown to the model and name nothing"),
    ],
)
def test_what_the_database_cannot_answer_is_refused(shop: Path, run: Path, text: str, told: str) -> None:
    with Database(shop, run) as database, pytest.raises(UserError, match=told):
        database.question(text)


def test_a_model_of_another_task_is_refused(shop: Path, image_run: Path) -> None:
    with pytest.raises(UserError, match="asking needs one of text2sql"):
        Database(shop, image_run)


def test_csv_files_are_a_database_with_types(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "items.csv").write_bytes("\ufeffname;price;code;empty\nca\u00f1a;1.5;007;\nink;4;012;\n".encode())
    (folder / "my orders.tsv").write_text("item\tcount\nink\t2\npen\t3\n")
    with Database(folder, run) as database:
        assert database.run("SELECT name, price, code, empty FROM items").rows == [
            ("ca\u00f1a", 1.5, "007", None),
            ("ink", 4.0, "012", None),
        ]
        assert database.run("SELECT sum(count) FROM my_orders").rows == [(5,)]
        assert "items.csv: table items, 2 rows: name text, price real, code text, empty integer" in database.notes
    assert sorted(path.name for path in folder.iterdir()) == ["items.csv", "my orders.tsv"]
    assert main(["ask", str(folder), "--sql", "SELECT count(*) FROM items", "--csv"]) == 0
    assert capsys.readouterr().out == "count(*)\n2\n"


def test_a_csv_file_for_excel_may_tell_its_separator(tmp_path: Path, run: Path) -> None:
    (tmp_path / "items.csv").write_text("sep=;\nname;price, in euro\nink;4\n")
    with Database(tmp_path / "items.csv", run) as database:
        assert database.run('SELECT name, "price, in euro" FROM items').rows == [("ink", 4)]
    (tmp_path / "items.csv").write_text("sep=;\nname;price\nink\n")
    with pytest.raises(UserError, match=r"items\.csv:3: 1 cell for 2 columns"):
        Database(tmp_path / "items.csv", run)


def test_decimal_commas_are_numbers_where_semicolons_part_the_cells(tmp_path: Path, run: Path) -> None:
    lines = [
        "name;price;both;thousands;old;list",
        "ink;1,5;1,5;1.234,5;007,5;1,2,3",
        "pen;4;2.5;7,5;1,5;",
        "cap;;;;;4,5",
    ]
    (tmp_path / "items.csv").write_text("\n".join(lines) + "\n")
    with Database(tmp_path / "items.csv", run) as database:
        assert database.run("SELECT price, both, thousands, old, list FROM items").rows == [
            (1.5, "1,5", "1.234,5", "007,5", "1,2,3"),
            (4.0, "2.5", "7,5", "1,5", None),
            (None, None, None, None, "4,5"),
        ]
        assert database.run("SELECT sum(price) FROM items").rows == [(5.5,)]
        assert "price real with decimal commas, both text, " in database.notes[0]
    (tmp_path / "commas.csv").write_text('name,price\nink,"1,500"\n')
    with Database(tmp_path / "commas.csv", run) as database:
        assert database.run("SELECT price FROM commas").rows == [("1,500",)]


def test_parquet_files_are_a_database(tmp_path: Path, run: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"name": ["pen", None], "sold": [True, False]}), tmp_path / "items.parquet")
    with Database(tmp_path / "items.parquet", run) as database:
        assert database.run("SELECT name, sold FROM items").rows == [("pen", 1), (None, 0)]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"x,X\n1,2\n", "two columns are named X"),
        ("a.csv", b"x,y\n1\n", r"a\.csv:2: 1 cell for 2 columns"),
        ("a.csv", b"x\n\xff\xfe\xfa\n", r"a\.csv:2"),
        ("a.parquet", b"no parquet", "no parquet file"),
        ("a.sqlite", b"no database at all" * 100, "as an SQLite database"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, run: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=told) as caught:
        Database(tmp_path / name, run)
    assert "\n" not in str(caught.value)


def test_a_folder_without_tables_is_refused(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UserError, match="is a folder without"):
        Database(tmp_path, run)


def test_the_verb_prints_query_rows_and_json(shop: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ask", str(shop), "How many items are there?", "--model", str(run), "--beam-size", "2"]
    assert main([*command, "--sql-only"]) == 0
    sql = capsys.readouterr().out.strip()
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sql"] == sql
    assert len(found["readings"]) == 2
    assert main([*command, "--dry-run", "--explain"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(sql)
    assert "items: table item" in out
    assert main(command) == 0
    assert "row" in capsys.readouterr().out


def test_questions_from_a_pipe_do_not_end_each_other(
    shop: Path, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("How many items?\n\nDelete all items\nShow the name of each item.\n"))
    assert main(["ask", str(shop), "-", "--model", str(run), "--json", "--beam-size", "2"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "line 3: 'delete' asks for a change" in captured.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--sql", "DROP TABLE item"], "only one statement that starts with SELECT"),
        (["question", "--sql", "SELECT 1"], "exclude each other"),
        (["question", "--model", "x", "--limit", "0"], "--limit 0"),
        (["question", "--model", "x", "--timeout", "nan"], "--timeout nan"),
        (["question", "--model", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line(shop: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", str(shop), *arguments]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.strip().count("\n") == 0


def test_tables_are_chosen_by_hand(shop: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    connection = sqlite3.connect(shop)
    connection.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT)")
    connection.close()
    with Database(shop, run, tables=["Customer"]) as database:
        assert [table.name for table in database.schema.tables] == ["customer"]
        assert " customer" in database.question("How many customers are there?").sql
    assert main(["ask", str(shop), "How many?", "--tables", "item,custmer", "--model", str(run)]) == 2
    assert "has no table 'custmer'" in capsys.readouterr().err


def test_contents_stay_unread_if_asked(shop: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = "Which item is called ink?"
    with Database(shop, run) as database:
        assert any(link.kind == "cell" for link in database.question(question).links)
    for name in ("index_cells", "infer_keys"):
        monkeypatch.setattr(f"normlab.tasks.text2sql.inputs.questions.{name}", lambda *_: pytest.fail("was read"))
    with Database(shop, run, contents=False) as database:
        assert not any(link.kind == "cell" for link in database.question(question, run=False).links)


def test_a_month_becomes_a_condition_by_a_rule_that_is_named(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sales.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, sold TEXT);"
        "INSERT INTO item VALUES (1, 'pen', '2024-03-05'), (2, 'ink', '2024-04-01');"
    )
    connection.close()
    wrote = Decoded("SELECT name FROM item WHERE name = 'March'", -1.0, math.log(0.3))
    model = Reading(wrote.sql, pytest.approx(0.3), None)
    monkeypatch.setattr(Database, "_answers", lambda *_: ([wrote], []))
    with Database(path, run) as database:
        answer = database.question("Which items were sold in March 2024?")
        assert answer.rows == [("pen",)]
        assert answer.notes == (f"by a rule for dates over item.sold, not by the model, which wrote: {model.sql}",)
        assert answer.readings[0].by_rule
        assert answer.readings[1] == model
        assert answer.confidence is None  # that of the model was measured on its own queries
        assert database.question("Which items were sold?").readings == (model,)
    with Database(path, run, contents=False) as database:
        assert database.question("Which items were sold in March 2024?").readings == (model,)


def test_of_a_large_database_the_tables_considered_are_counted(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "large.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("".join(f"CREATE TABLE item{n} (id INTEGER, name TEXT, price REAL);" for n in range(60)))
    connection.close()
    with Database(path, run, beam_size=2) as database:
        assert database.question("How many item7 are there?").notes[0].startswith("40 of 60 tables were considered")


def test_a_strangers_cell_does_not_steer_the_terminal(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT 'a' || char(27) || '[31mred' || char(10) || 'b' AS \"x\x1b[2J\""
    assert main(["ask", str(shop), "--sql", sql]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"a\x1b[31mred" in out
    assert r"x\x1b[2J" in out


def test_a_question_may_follow_flags(shop: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ask", str(shop), "--model", str(run), "--sql-only", "How many items are there?"]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("SELECT")
    assert main([*words, "one too many"]) == 2
    assert "unexpected argument 'one too many'" in capsys.readouterr().err


def test_capitals_all_over_are_no_names(shop: Path, run: Path) -> None:
    with Database(shop, run, beam_size=2) as database:
        plain, loud = (database.question(text) for text in ("How many items are there?", "HOW MANY ITEMS ARE THERE?"))
    assert loud.sql == plain.sql
    assert loud.question == "HOW MANY ITEMS ARE THERE?"


def test_readings_that_are_refused_take_one_line(shop: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    likely = [Decoded(f"SELECT {n}", score, score) for n, score in ((1, -0.1), (2, -0.2), (3, -9.0))]
    bad = [replace(one, refusal="no key joins them") for one in likely[:2]]
    with Database(shop, run, beam_size=2) as database:
        monkeypatch.setattr(database, "_answers", lambda item, linked: ([likely[2]], bad))
        notes = database.question("How many items are there?", run=False).notes
    assert [note for note in notes if "refused" in note] == [
        "a better-ranked reading is refused (no key joins them), and 1 more: SELECT 1"
    ]
