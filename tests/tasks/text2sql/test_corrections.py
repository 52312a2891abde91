"""Rules that correct a query by plain words of its question: what each writes, and where it stays away."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from text2sql_corrected import corrections_over

from normlab.data.sql import kept_open
from normlab.data.sql.cells import index_cells
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import DEV_DATABASES, SpiderFolder
from normlab.data.sql.sqlite import open_readonly
from normlab.tasks.text2sql.corrections.clauses import read_clauses
from normlab.tasks.text2sql.corrections.correcting import Correction, Corrector
from normlab.tasks.text2sql.evaluation import ParseError
from normlab.tasks.text2sql.grammar.linearize import to_actions, to_sql
from normlab.tasks.text2sql.linking.linker import Linker

TODAY = datetime.date(2024, 9, 1)
SCRIPT = """
CREATE TABLE station (id INTEGER PRIMARY KEY, name TEXT, town TEXT, country TEXT, opened INTEGER, staffed TEXT);
CREATE TABLE train (id INTEGER PRIMARY KEY, title TEXT, speed INTEGER, price REAL, built INTEGER, active INTEGER);
CREATE TABLE trip (id INTEGER PRIMARY KEY, train_id INTEGER REFERENCES train (id),
 origin INTEGER REFERENCES station (id), destination INTEGER REFERENCES station (id), day TEXT, delay INTEGER);
CREATE TABLE driver (id INTEGER PRIMARY KEY, name TEXT, age INTEGER, birth TEXT, nationality TEXT, wage REAL,
 train_id INTEGER REFERENCES train (id));
CREATE TABLE visit (id INTEGER PRIMARY KEY, station_id INTEGER REFERENCES station (id), seen TEXT);
INSERT INTO station VALUES (1, 'Gare A', 'Paris', 'France', 1890, 'yes'),
 (2, 'Stazione B', 'Rome', 'Italy', 1930, 'no'),
 (3, 'Halt C', 'Bern', 'Switzerland', 1950, 'yes');
INSERT INTO train VALUES (1, 'Comet', 200, 30, 1999, 1), (2, 'Arrow', 300, 50, 2010, 1), (3, 'Snail', 80, 10, 1970, 0);
INSERT INTO trip VALUES (1, 1, 1, 2, '2023-03-04', 5), (2, 2, 2, 1, '2024-05-06', 0), (3, 1, 1, 3, '2024-05-07', 9);
INSERT INTO driver VALUES (1, 'Ann', 50, '1974-01-01', 'French', 900, 1),
 (2, 'Bo', 30, '1994-02-02', 'Italian', 700, 1),
 (3, 'Cy', 41, '1983-03-03', 'French', 800, 2);
INSERT INTO visit VALUES (1, 1, '2024-01-01');
"""
Ask = Callable[[str, str], Correction]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    return corrections_over(tmp_path / "rail.sqlite", SCRIPT, TODAY)


TRIPS = "trip AS T1 JOIN station AS T2 ON T1.{} = T2.id"


@pytest.mark.parametrize(
    ("question", "wrote", "written"),
    [
        ("Which drivers are older than 40?", "SELECT name FROM driver WHERE age < 40", "WHERE age > 40"),
        ("How many trips had a delay of 5 or more?", "SELECT count(*) FROM trip WHERE delay > 5", "WHERE delay >= 5"),
        ("How many drivers earn at most 800?", "SELECT count(*) FROM driver WHERE wage > 800", "WHERE wage <= 800"),
        ("Which stations opened before 1900?", "SELECT name FROM station WHERE opened = 1900", "opened < 1900"),
        ("Which trains built after 2000 exist?", "SELECT title FROM train WHERE price = 2000", "WHERE built > 2000"),
        ("Who is the oldest driver?", "SELECT name FROM driver ORDER BY wage LIMIT 1", "ORDER BY age DESC LIMIT 1"),
        (
            "What is the oldest train?",
            "SELECT title FROM train ORDER BY built DESC LIMIT 1",
            "ORDER BY built ASC LIMIT 1",
        ),
        ("Which are the two cheapest trains?", "SELECT title FROM train", "ORDER BY price ASC LIMIT 2"),
        (
            "Which train has the highest speed?",
            "SELECT max(speed) FROM train",
            "SELECT title FROM train ORDER BY speed DESC",
        ),
        ("What is the lowest wage of drivers?", "SELECT max(wage) FROM driver", "SELECT min(wage) FROM driver"),
        (
            "Which station opened first?",
            "SELECT name FROM station WHERE opened = 1",
            "station ORDER BY opened ASC LIMIT 1",
        ),
        ("Who is the best paid driver?", "SELECT name FROM driver", "ORDER BY wage DESC LIMIT 1"),
        (
            "Show the trains sorted by price from high to low.",
            "SELECT * FROM train",
            "SELECT title FROM train ORDER BY price DESC",
        ),
        ("Which trains are fast?", "SELECT id FROM train WHERE speed > 100", "SELECT title FROM train"),
        ("How many trains are active?", "SELECT active , count(*) FROM train GROUP BY active", "WHERE active = 1"),
        ("How many stations are not staffed?", "SELECT count(*) FROM station", "WHERE staffed = 'no'"),
        ("List the titles of inactive trains.", "SELECT title FROM train", "WHERE active = 0"),
        (
            "How many French stations are there?",
            "SELECT count(*) FROM station WHERE country = 'French'",
            "country = 'France'",
        ),
        ("Which drivers come from France?", "SELECT name FROM driver WHERE nationality = 'France'", "= 'French'"),
        (
            "Which stations have no visit?",
            "SELECT name FROM station",
            "SELECT name FROM station WHERE id NOT IN (SELECT station_id FROM visit)",
        ),
        (
            "Which trains with a speed above 100 have no driver?",
            "SELECT title FROM train WHERE speed > 100",
            "SELECT title FROM train WHERE speed > 100 AND id NOT IN (SELECT train_id FROM driver)",
        ),
        (
            "Which stations in Paris have never had a visit?",
            "SELECT name FROM station WHERE town != 'Paris'",
            "SELECT name FROM station WHERE town = 'Paris' AND id NOT IN (SELECT station_id FROM visit)",
        ),
        (
            "Which trains with a speed above 100 have the most drivers?",
            "SELECT title FROM train WHERE speed > 100 ORDER BY speed DESC LIMIT 1",
            "WHERE T2.speed > 100 GROUP BY T2.id ORDER BY count(*) DESC LIMIT 1",
        ),
        (
            "Which trains have no driver?",
            "SELECT id FROM train EXCEPT SELECT train_id FROM driver",
            "SELECT title FROM train WHERE id NOT IN (SELECT train_id FROM driver)",
        ),
        (
            "Which train has the most drivers?",
            "SELECT title FROM train ORDER BY speed DESC LIMIT 1",
            "FROM driver AS T1 JOIN train AS T2 ON T1.train_id = T2.id GROUP BY T2.id ORDER BY count(*) DESC LIMIT 1",
        ),
        (
            "How many drivers does each train have?",
            "SELECT train_id , count(*) FROM driver GROUP BY train_id",
            "SELECT T2.title , count(*) FROM driver AS T1 JOIN train AS T2 ON T1.train_id = T2.id GROUP BY T2.id",
        ),
        (
            "How many trips were there per month?",
            "SELECT count(*) FROM trip",
            "SELECT strftime('%Y-%m', day) , count(*) FROM trip GROUP BY strftime('%Y-%m', day)",
        ),
        (
            "Trips per month",
            "SELECT avg(day) FROM trip",
            "SELECT strftime('%Y-%m', day) , count(*) FROM trip GROUP BY strftime('%Y-%m', day)",
        ),
        (
            "How many trips were there in each year since May 2023?",
            "SELECT count(*) FROM trip WHERE delay > 2023",
            "FROM trip WHERE day >= '2023-05-01' GROUP BY strftime('%Y', day)",
        ),
        (
            "Which trains have a driver?",
            "SELECT T1.title FROM train AS T1 JOIN driver AS T2 ON T1.id = T2.train_id",
            "SELECT DISTINCT T1.title FROM train AS T1 JOIN driver AS T2 ON T1.id = T2.train_id",
        ),
        (
            "How many trips are there from Paris?",
            f"SELECT count(*) FROM {TRIPS.format('destination')} WHERE T2.town = 'Paris'",
            TRIPS.format("origin"),
        ),
        (
            "How many trips arrive in Rome?",
            f"SELECT count(*) FROM {TRIPS.format('origin')} WHERE T2.town = 'Rome'",
            TRIPS.format("destination"),
        ),
        (
            "How many trips have Rome as their destination?",
            f"SELECT count(*) FROM {TRIPS.format('origin')} WHERE T2.town = 'Rome'",
            TRIPS.format("destination"),
        ),
        (
            "How many trips go from Paris to Rome?",
            f"SELECT count(*) FROM {TRIPS.format('origin')} WHERE T2.town = 'Paris' AND T2.town = 'Rome'",
            "FROM trip WHERE origin IN (SELECT id FROM station WHERE town = 'Paris') AND "
            "destination IN (SELECT id FROM station WHERE town = 'Rome')",
        ),
    ],
)
def test_plain_words_of_the_question_decide(ask: Ask, question: str, wrote: str, written: str) -> None:
    correction = ask(question, wrote)
    assert written in correction.sql
    assert correction.sql != wrote
    assert correction.notes[-1].endswith(f"which wrote: {wrote}")


@pytest.mark.parametrize(
    ("question", "wrote"),
    [
        ("How many trains are there?", "SELECT count(*) FROM train"),
        ("Which drivers are older than 40?", "SELECT name FROM driver WHERE age > 40"),
        ("Which trains have a speed of at least 100?", "SELECT title FROM train WHERE speed >= 100"),
        ("Which trains have at most speed 100?", "SELECT title FROM train WHERE speed <= 100"),
        ("Show all information about trains.", "SELECT * FROM train"),
        ("What are the ids of trains?", "SELECT id FROM train"),
        ("How many trains are active or fast?", "SELECT count(*) FROM train WHERE active = 1 OR speed > 100"),
        ("Show title and active of trains.", "SELECT title , active FROM train"),
        ("Which driver has the highest number of trips?", "SELECT name FROM driver"),
        ("Which stations have no visit?", "SELECT name FROM station WHERE id NOT IN (SELECT station_id FROM visit)"),
        (
            "What is the average wage for each nationality?",
            "SELECT nationality , avg(wage) FROM driver GROUP BY nationality",
        ),
        ("Which trains are either Comet or Arrow?", "SELECT title FROM train WHERE title = 'Comet' OR title = 'Arrow'"),
    ],
)
def test_what_the_words_do_not_contradict_stays(ask: Ask, question: str, wrote: str) -> None:
    correction = ask(question, wrote)
    assert correction.sql == wrote
    assert correction.notes == ()


@pytest.mark.parametrize(
    ("question", "wrote", "written"),
    [
        (
            "List the trains, cheapest first.",
            "SELECT title FROM train ORDER BY price DESC LIMIT 1",
            "ORDER BY price ASC",
        ),
        (
            "List trains from cheapest to most expensive.",
            "SELECT title FROM train ORDER BY price DESC LIMIT 1",
            "ORDER BY price ASC",
        ),
        ("List the drivers, oldest first.", "SELECT name FROM driver ORDER BY age ASC LIMIT 1", "ORDER BY age DESC"),
        (
            "List the drivers, youngest first.",
            "SELECT name FROM driver ORDER BY birth ASC LIMIT 1",
            "ORDER BY birth DESC",
        ),
        (
            "Show drivers sorted by birth, oldest first.",
            "SELECT name FROM driver ORDER BY birth DESC LIMIT 1",
            "SELECT name FROM driver ORDER BY birth ASC",
        ),
    ],
)
def test_a_list_in_an_order_is_whole(ask: Ask, question: str, wrote: str, written: str) -> None:
    assert ask(question, wrote).sql.endswith(written)


def test_odd_names_and_endless_views_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "odd.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        """CREATE TABLE "%" ("%" TEXT, "-" TEXT, "select" TEXT); INSERT INTO "%" VALUES ('a', 'b', '2024-01-01');
        CREATE VIEW n AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c WHERE x < 0;"""
    )
    connection.close()
    schema = Schema.from_sqlite(path)
    linker, corrector = Linker(schema), Corrector(path, schema)
    tables = [table.name for table in schema.tables]
    for question in (
        "Which % is the oldest?",
        "How many n are active per month?",
        "List the select of each n since 2020.",
    ):
        for table in range(len(tables)):
            actions = [("table", table), ("word", "select"), ("column", 0), ("word", "end")]
            sql = to_sql(actions, schema)  # type: ignore[arg-type]
            assert corrector.correct(sql, actions, linker.link(question), schema, TODAY).sql  # type: ignore[arg-type]


def test_the_other_key_is_offered(ask: Ask) -> None:
    wrote = f"SELECT count(*) FROM {TRIPS.format('origin')} WHERE T2.town = 'Rome'"
    correction = ask("How many trips concern Rome?", wrote)
    assert correction.sql == wrote
    assert correction.others == ((wrote.replace("origin", "destination"), "joined by trip.destination instead"),)


def test_a_line_names_the_model_s_own_query_when_both_kinds_of_rules_wrote(ask: Ask) -> None:
    wrote = "SELECT count(*) FROM trip WHERE delay > 2024"
    correction = ask("How many trips were there per month in 2024?", wrote)
    assert correction.dated
    assert correction.notes == (
        "by rules about one row for each",
        f"by a rule for dates over trip.day, not by the model, which wrote: {wrote}",
    )


def test_clauses_and_back_are_the_same_actions_for_spiders_queries(shared_data: Path) -> None:
    folder = SpiderFolder(shared_data / "spider")
    read = 0
    for row in folder.val:
        schema = folder.schemas[row.db_id]
        try:
            actions = to_actions(row.query, schema)
        except ParseError:
            continue
        clauses = read_clauses(actions)
        if clauses is not None:
            read += 1
            assert clauses.actions() == actions, row.query
    assert read > 0.8 * len(folder.val)


def test_gold_queries_of_spider_are_hardly_changed(shared_data: Path, tmp_path: Path) -> None:
    folder = SpiderFolder(shared_data / "spider")
    rows = [row for row in folder.val if row.db_id in DEV_DATABASES][::5]
    tools: dict[str, tuple[Linker, Corrector]] = {}
    changed = []
    for row in rows:
        schema, path = folder.schemas[row.db_id], folder.database(row.db_id)
        assert path is not None
        if row.db_id not in tools:
            tools[row.db_id] = Linker(schema, index_cells(path, schema, tmp_path)), Corrector(path, schema)
        linker, corrector = tools[row.db_id]
        try:
            actions = to_actions(row.query, schema)
        except ParseError:
            continue
        sql = to_sql(actions, schema)
        if corrector.correct(sql, actions, linker.link(row.question), schema, TODAY).sql != sql:
            changed.append(row.question)
    assert len(rows) > 30
    assert len(changed) <= 0.15 * len(rows), changed


def test_a_correction_opens_its_file_once(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def counted(path: Path) -> sqlite3.Connection:
        opened.append(path)
        return open_readonly(path)

    monkeypatch.setattr(kept_open, "open_readonly", counted)
    ask("How many active trips were there per month since 2020?", "SELECT count(*) FROM trip")
    assert len(opened) == 1
