"""`normlab ask` with questions whose SQL the user has given: what is near one, what is not, and what is refused."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from normlab.apps.ask.database import Database
from normlab.cli import main
from normlab.errors import UserError

EXAMPLES = """\
question,sql
Which customers come from Bergen?,SELECT name FROM customer WHERE town = 'Bergen'
Who spent more than 30 in total?,"SELECT name FROM customer WHERE spent > 30 ORDER BY name LIMIT 50"
Who is our best buyer?,SELECT name FROM customer ORDER BY spent DESC LIMIT 1
Who joined before 2021-05-01?,SELECT name FROM customer WHERE since < '2021-05-01'
Who lives in Oslo and was born in Oslo?,SELECT name FROM customer WHERE town = 'Oslo' AND born = 'Oslo'
"""


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    path = tmp_path / "customers.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, town TEXT, born TEXT, spent REAL, since DATE);"
        "INSERT INTO customer (name, town, born, spent, since) VALUES"
        " ('Mara', 'Bergen', 'Oslo', 50, '2021-04-02'), ('Oke', 'Oslo', 'Oslo', 20, '2022-11-19'),"
        " ('Pia O''Hara', 'New Ulm', 'Turku', 31, '2020-01-30');"
    )
    connection.close()
    return path


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    path = tmp_path / "my.csv"
    path.write_text(EXAMPLES)
    return path


@pytest.mark.parametrize(
    ("question", "sql", "note"),
    [
        (
            "Which customer comes from the Bergen",
            "SELECT name FROM customer WHERE town = 'Bergen'",
            "example 1 (FILE:2)",
        ),
        (
            "Which customers come from the new ulm?",
            "SELECT name FROM customer WHERE town = 'New Ulm'",
            "example 1 (FILE:2), 'New Ulm' in place of 'Bergen'",
        ),
        (
            "Who spent more than twenty five in total?",
            "SELECT name FROM customer WHERE spent > 25 ORDER BY name LIMIT 50",
            "example 2 (FILE:3), 25 in place of 30",
        ),
        ("Who is our best buyer?", "SELECT name FROM customer ORDER BY spent DESC LIMIT 1", "example 3 (FILE:4)"),
        (
            "Who joined before 2022-12-31?",
            "SELECT name FROM customer WHERE since < '2022-12-31'",
            "example 4 (FILE:5), '2022-12-31' in place of '2021-05-01'",
        ),
        ("Which customers come from Turku?", None, ""),  # a cell, but not of the column town
        ("Which customers come from Olaf?", None, ""),  # no cell
        ("Which customers came from Bergen?", None, ""),
        ("Who spent less than 30 in total?", None, ""),
        ("Who spent more than 30 in total in Oslo?", None, ""),
        ("Who lives in Bergen and was born in Oslo?", None, ""),  # both places of the query say 'Oslo'
    ],
)
def test_a_question_is_answered_by_an_example_that_differs_in_values_only(
    customers: Path, run: Path, examples: Path, question: str, sql: str | None, note: str
) -> None:
    with Database(customers, run, beam_size=2, examples=examples) as database:
        if sql is None:
            linked = database._questions.link(question, database._name)
            assert database._examples.nearest(linked) is None
            return
        answer = database.question(question)
        told = [line for line in answer.notes if "your example" in line]
        assert answer.sql == answer.readings[0].sql == sql
        assert answer.rows == database.run(sql).rows
        assert told == [f"by your {note.replace('FILE', str(examples))}"]
        assert len(answer.readings) > 1  # the model's own follow


def test_examples_of_the_dictionary_and_of_a_file_are_numbered_through(
    customers: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = customers.with_name(f"{customers.name}.normlab.yaml")
    notes.write_text("examples:\n- question: Who?\n  sql: SELECT name FROM customer;\n")
    more = tmp_path / "more.jsonl"
    more.write_text('\n{"question": "Zork?", "sql": "SELECT count(*) FROM customer"}')
    words = ["ask", str(customers), "Zork?", "--model", str(run), "--examples", str(more), "--beam-size", "2"]
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["sql"], answer["rows"]) == ("SELECT count(*) FROM customer", [[3]])
    assert f"by your example 2 ({more}:2)" in answer["notes"]
    assert main([*words, "--explain"]) == 0
    assert " *1  example  SELECT count(*)" in capsys.readouterr().out
    with Database(customers, run, beam_size=2) as database:
        assert database.question("who").notes == (f"by your example 1 ({notes}:2)",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("question,sql\nWho?,SELECT nam FROM customer\n", ":2: its SQL does not run (no such column: nam)"),
        ("question,sql\nWho?,SELECT name FROM customer\nHow?,SELECT 1; DROP TABLE customer\n", ":3: its SQL"),
        ("question,sql\nWho?,DELETE FROM customer\n", ":2: its SQL does not run"),
        ("question,sql\nWho?,\n", ":2: has no sql"),
        ("question,sql\n?!,SELECT 1\n", ":2: the question '?!' has no words"),
        ("question,query\nWho?,SELECT 1\n", ":1 lacks the column 'sql'"),
        ("question,sql\n", "holds no pair"),
    ],
)
def test_a_wrong_example_is_refused_with_its_line(
    customers: Path, run: Path, tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    before = customers.read_bytes()
    with pytest.raises(UserError) as error:
        Database(customers, run, examples=path)
    assert told in str(error.value)
    assert str(path) in str(error.value)
    assert customers.read_bytes() == before


def test_a_wrong_example_of_the_dictionary_is_refused_with_its_line(customers: Path, run: Path) -> None:
    notes = customers.with_name(f"{customers.name}.normlab.yaml")
    notes.write_text("customer: {}\nexamples:\n- {question: Who, sql: SELECT 1}\n- {question: Who, sql: SELECT x}\n")
    with pytest.raises(UserError, match=r"normlab\.yaml:4: its SQL does not run \(no such column: x\)"):
        Database(customers, run)
    notes.write_text("examples:\n- 5\n")
    with pytest.raises(UserError, match=r"normlab\.yaml:2: expected question and sql, found 5"):
        Database(customers, run)
