"""What `ask` refuses without asking a model: a hundred texts that are no questions, and questions that must pass."""

from __future__ import annotations

import random
import sqlite3
import warnings
from pathlib import Path

import pytest

from normlab.apps.ask.refusals import refuse_for_database, refuse_no_question
from normlab.data.sql.cells import index_cells
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import SpiderFolder
from normlab.engine.api import load_run
from normlab.errors import UserError
from normlab.tasks.text2sql.linking.linker import Linker

HERE = Path(__file__).parent
CASES = [line.split("\t", 1) for line in (HERE / "refusals.tsv").read_text(encoding="utf-8").splitlines()]
CONTROLS = (HERE / "controls.txt").read_text(encoding="utf-8").splitlines()
WITHOUT_CONTENTS = {"academic", "geo", "imdb", "restaurants", "scholar", "yelp"}
TOLD = {
    "change": "asks for a change",
    "sql": "is SQL",
    "language": "the question seems to be in|unknown to the model",
    "nonsense": "unknown to the model|has no words|names anything in the database",
    "unrelated": "names anything in the database|unknown to the model",
}
SHOP = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price REAL, discount REAL, size TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (id),
                     product_id INTEGER REFERENCES products (id), quantity INTEGER, ordered_on TEXT, status TEXT);
CREATE TABLE employees (id INTEGER PRIMARY KEY, name TEXT, salary REAL, job_title TEXT);
CREATE TABLE updates (id INTEGER PRIMARY KEY, made_on TEXT);
INSERT INTO customers (name, city) VALUES ('Ann', 'Rome'), ('Bob', 'Oslo'), ('Juan de la Cruz', 'La Paz');
INSERT INTO products (name, price, size) VALUES ('pen', 1.5, 'small'), ('ink', 4, 'small'), ('map', 9, 'large');
INSERT INTO orders (customer_id, product_id, quantity, ordered_on, status) VALUES (1, 1, 3, '2019-03-01', 'open');
INSERT INTO employees (name, salary, job_title) VALUES ('Bob', 1000, 'clerk');
"""


class _Rules:
    """The rules over one database."""

    def __init__(self, path: Path, known: set[str]) -> None:
        self.schema = Schema.from_sqlite(path)
        self._linker = Linker(self.schema, index_cells(path, self.schema))
        self._known = known

    def refusal(self, text: str) -> str:
        """Return why a text is refused, "" if it is not."""
        try:
            refuse_no_question(text)
            refuse_for_database(self._linker.link(text), self.schema, self._known, has_cells=True)
        except UserError as error:
            return str(error)
        return ""


@pytest.fixture(scope="module")
def known() -> set[str]:
    return {*load_run("spider-sql").folder.card()["words"]}


@pytest.fixture(scope="module")
def shop(known: set[str], tmp_path_factory: pytest.TempPathFactory) -> _Rules:
    path = tmp_path_factory.mktemp("refusals") / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SHOP)
    connection.close()
    return _Rules(path, known)


def test_there_are_a_hundred_texts() -> None:
    assert len(CASES) >= 100
    assert {kind for kind, _ in CASES} == {*TOLD}


@pytest.mark.parametrize(("kind", "text"), CASES, ids=[text for _, text in CASES])
def test_what_is_no_question_is_refused_with_its_cause(shop: _Rules, kind: str, text: str) -> None:
    refusal = shop.refusal(text)
    assert refusal
    assert "\n" not in refusal
    assert any(cause in refusal for cause in TOLD[kind].split("|"))


@pytest.mark.parametrize("text", CONTROLS)
def test_a_question_is_not_refused(shop: _Rules, text: str) -> None:
    assert not shop.refusal(text)


def test_questions_of_the_data_are_not_refused(shared_data: Path, known: set[str]) -> None:
    folder = SpiderFolder(shared_data / "spider")
    questions = [*folder.train, *folder.val]
    random.Random(7).shuffle(questions)
    rules: dict[str, _Rules] = {}
    asked, refused = 0, []
    for row in questions:
        path = folder.database(row.db_id)
        if path is None or row.db_id in WITHOUT_CONTENTS:
            continue
        if row.db_id not in rules:
            if len(rules) == 25:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rules[row.db_id] = _Rules(path, known)
        asked += 1
        if rules[row.db_id].refusal(row.question):
            refused.append(row.question)
    assert asked >= 500
    assert len(refused) <= 0.005 * asked, refused


def test_a_day_that_no_calendar_has_is_refused() -> None:
    with pytest.raises(UserError, match="'30 February 2024' is no day of the calendar: correct the date"):
        refuse_no_question("Which orders were placed on 30 February 2024?")
    refuse_no_question("Which orders were placed on 29 February 2024?")
    refuse_no_question("What was played at 'Night of 31 April'?")
