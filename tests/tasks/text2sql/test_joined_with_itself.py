"""Two rows of one table side by side: plain forms are answered by a rule, unclear ones are withheld."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from text2sql_corrected import corrections_over

from normlab import ask
from normlab.data.sql.inferred_keys import infer_keys
from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.corrections.correcting import Correction

Ask = Callable[[str], Correction]

SCRIPTS = {
    "employees": """
        CREATE TABLE employees (id INTEGER PRIMARY KEY, name TEXT, salary REAL, age INTEGER, hired DATE, city TEXT,
            manager_id INTEGER);
        INSERT INTO employees VALUES (1, 'Ann', 90, 50, '2010-01-05', 'Oslo', NULL),
            (2, 'Bo', 95, 40, '2009-01-05', 'Oslo', 1), (3, 'Cy', 50, 60, '2012-01-05', 'Rome', 2),
            (4, 'Di', 99, 30, '2013-01-05', 'Rome', 2);
    """,
    "categories": """
        CREATE TABLE categories (category_id INTEGER PRIMARY KEY, title TEXT,
            parent_id INTEGER REFERENCES categories(category_id));
        INSERT INTO categories VALUES (1, 'Food', NULL), (2, 'Fruit', 1), (3, 'Apple', 2);
    """,
    "persons": """
        CREATE TABLE persons (id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, birth_date DATE, height INTEGER,
            mother INTEGER, spouse_id INTEGER);
        INSERT INTO persons VALUES (1, 'Eva', 'Ek', '1950-01-01', 160, NULL, 2),
            (2, 'Al', 'Ek', '1948-02-02', 180, NULL, 1), (3, 'Ida', 'Ek', '1975-03-03', 170, 1, NULL);
    """,
}
BOSSES = {("Ann", None), ("Bo", "Ann"), ("Cy", "Bo"), ("Di", "Bo")}
PARENTS = {("Food", None), ("Fruit", "Food"), ("Apple", "Fruit")}
ANSWERED = [
    ("employees", "Which employees earn more than their manager?", {("Bo",), ("Di",)}),
    ("employees", "List the names of employees who earn more than their boss.", {("Bo",), ("Di",)}),
    ("employees", "Who earns less than their manager?", {("Cy",)}),
    ("employees", "Employees whose salary is higher than that of their manager", {("Bo",), ("Di",)}),
    ("employees", "Which employees have a higher salary than their manager's salary?", {("Bo",), ("Di",)}),
    ("employees", "How many employees are older than their manager?", {(1,)}),
    ("employees", "Which employees are younger than their supervisor?", {("Bo",), ("Di",)}),
    ("employees", "Which employees were hired before their manager?", {("Bo",)}),
    ("employees", "What is the name of each employee and of his boss?", BOSSES),
    ("employees", "Show all employees and their managers", BOSSES),
    ("employees", "List each employee with their manager's name", BOSSES),
    ("employees", "Who is the manager of each employee?", BOSSES),
    (
        "employees",
        "Show the name and salary of each employee and his boss",
        {("Ann", 90.0, None), ("Bo", 95.0, "Ann"), ("Cy", 50.0, "Bo"), ("Di", 99.0, "Bo")},
    ),
    ("employees", "Which employees have Ann as their manager?", {("Bo",)}),
    ("employees", "Show the employees whose manager is Ann", {("Bo",)}),
    ("employees", "Find pairs of employees from the same city", {("Ann", "Bo"), ("Cy", "Di")}),
    ("categories", "Show each category with its parent category", PARENTS),
    ("categories", "What is the title of each category and of its parent?", PARENTS),
    ("categories", "Which categories' parent is Food?", {("Fruit",)}),
    ("persons", "Which persons are taller than their mother?", {("Ida", "Ek")}),
    ("persons", "Which persons are older than their spouse?", {("Al", "Ek")}),
    (
        "persons",
        "List the first name of each person and of her mother",
        {("Ida", "Eva", "Ek"), ("Eva", None, None), ("Al", None, None)},
    ),
    (
        "persons",
        "Show every person with their husband",
        {("Eva", "Ek", "Al", "Ek"), ("Al", "Ek", "Eva", "Ek"), ("Ida", "Ek", None, None)},
    ),
]
UNCLEAR = [
    ("employees", "Which employees in Oslo earn more than their manager?"),
    ("employees", "Which employees work more than their manager?"),
    ("employees", "Which employees do not earn more than their boss?"),
    ("employees", "Show all employees and their managers in Rome"),
    ("persons", "Which persons are richer than their mother?"),
]
OTHERS = [
    ("employees", "How many employees are older than 40?"),
    ("employees", "List all employees and their salaries"),
    ("employees", "List each employee with their manager id"),
    ("employees", "Which employees earn more than 60?"),
    ("categories", "Show each category and its title"),
]


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, str], tuple[Correction, set[tuple[object, ...]]]]:
    folder = tmp_path_factory.mktemp("twice")
    columns = {"employees": "name", "categories": "title", "persons": "first_name"}
    over = {name: corrections_over(folder / f"{name}.sqlite", script) for name, script in SCRIPTS.items()}

    def answer(name: str, question: str) -> tuple[Correction, set[tuple[object, ...]]]:
        after = over[name](question, f"SELECT {columns[name]} FROM {name}")
        with closing(sqlite3.connect(folder / f"{name}.sqlite")) as connection:
            return after, set(connection.execute(after.sql))

    return answer


@pytest.mark.parametrize(("name", "question", "rows"), ANSWERED, ids=[question for _, question, _ in ANSWERED])
def test_a_plain_form_is_answered(answers, name: str, question: str, rows: set[tuple[object, ...]]) -> None:
    after, found = answers(name, question)
    assert not after.doubt
    assert found == rows
    assert len(rows) in (2, len(found))  # of the long answers two rows stand above
    assert "not by the model" in after.notes[0]


@pytest.mark.parametrize(("name", "question"), UNCLEAR)
def test_what_is_not_certain_is_withheld_with_one_line(answers, name: str, question: str) -> None:
    after, _ = answers(name, question)
    assert after.doubt == f"the question needs the table {name} twice, and it is not certain how"
    assert after.advice == "ask in other words, or give the query by --sql"


@pytest.mark.parametrize(("name", "question"), OTHERS)
def test_other_questions_are_left_alone(answers, name: str, question: str) -> None:
    after, _ = answers(name, question)
    assert (after.doubt, " AS T1 " in after.sql) == ("", False)


@pytest.mark.parametrize(
    ("column", "inferred"),
    [
        ("manager_id INTEGER", True),
        ("parent INTEGER", True),
        ("reports_to INTEGER", True),
        ("manager_age INTEGER", False),
        ("manager TEXT", False),
        ("size INTEGER", False),
    ],
)
def test_a_key_to_its_own_table_is_inferred_from_a_role_its_type_and_its_values(
    tmp_path: Path, column: str, inferred: bool
) -> None:
    for values, borne_out in (("(1, NULL), (2, 1), (3, 1)", True), ("(1, NULL), (2, 9)", False)):
        path = tmp_path / f"own{borne_out}.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(
                f"CREATE TABLE t (id INTEGER PRIMARY KEY, {column}); INSERT INTO t VALUES {values};"
            )
        assert infer_keys(path, Schema.from_sqlite(path)).inferred_keys == (((2, 1),) if inferred and borne_out else ())


def test_ask_runs_the_rule_s_query_and_runs_none_where_it_is_not_certain(tmp_path: Path) -> None:
    path = tmp_path / "firm.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCRIPTS["employees"])
    with ask(path, model="spider-sql") as database:
        answer = database.question("Which employees earn more than their manager?")
        assert (sorted(answer.rows), answer.confidence, answer.withheld) == ([("Bo",), ("Di",)], None, False)
        answer = database.question("Which employees in Oslo earn more than their manager?")
        assert (answer.rows, answer.withheld) == ([], True)
        [line] = [note for note in answer.notes if note.startswith("not run")]
        assert line.startswith("not run: the question needs the table employees twice")
