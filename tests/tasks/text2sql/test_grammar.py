"""The grammar: every output parses officially and runs in SQLite, and gold queries come back as they were."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text2sql_school import ENTRY

from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import SpiderFolder
from normlab.data.sql.sqlite import run_query
from normlab.data.sql.toy import write_toy
from normlab.tasks.text2sql.evaluation import ParseError, evaluate_rows, exact_match, hardness
from normlab.tasks.text2sql.grammar.automaton import END, Grammar, State
from normlab.tasks.text2sql.grammar.linearize import to_actions, to_sql

SCHOOL = Schema.from_entry(ENTRY)
VALUES = ("'Rome'", "3", "2.5")


def random_query(rng: random.Random, schema: Schema, budget: int, values: tuple[str, ...] = VALUES) -> str:
    grammar, state, actions = Grammar(schema), State(), []
    while not state.complete:
        # Kinds first, else the many columns would hide the few keywords.
        choices = grammar.allowed(state, values, budget - len(actions))
        kind = rng.choice(sorted({action[0] for action in choices}))
        actions.append(rng.choice([action for action in choices if action[0] == kind]))
        state = grammar.advance(state, actions[-1])
    assert actions[-1] == END
    assert len(actions) <= budget
    return to_sql(actions, schema)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(6, 60), st.sampled_from([VALUES, (), ("'x'",)]))
def test_every_output_parses_officially_and_runs(school_folder: Path, seed: int, budget: int, values: tuple[str, ...]):
    sql = random_query(random.Random(seed), SCHOOL, budget, values)
    assert hardness(sql, SCHOOL)
    run_query(school_folder / "database" / "school" / "school.sqlite", sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT Name FROM Student WHERE City = 'Rome' AND Age BETWEEN 1 AND 30",
        "SELECT count(DISTINCT City) , avg(Age) FROM Student",
        "SELECT T1.Name FROM Student AS T1 JOIN Owns AS T2 ON T1.StuID = T2.StuID WHERE T2.PetID = 3",
        "SELECT City FROM Student GROUP BY City HAVING count(*) > 1 ORDER BY count(*) DESC LIMIT 1",
        "SELECT Name FROM Student WHERE StuID NOT IN (SELECT StuID FROM Owns)",
        "SELECT count(*) FROM (SELECT Name FROM Student WHERE Age > 1)",
        "SELECT Name FROM Student UNION SELECT Kind FROM Pet",
        "SELECT max(Age - StuID) FROM Student",
        "SELECT * FROM Student ORDER BY Age ASC",
    ],
)
def test_query_comes_back_legal_and_equal(school_folder: Path, sql: str):
    actions = to_actions(sql, SCHOOL)
    grammar, state = Grammar(SCHOOL), State()
    values = tuple(str(text) for kind, text in actions if kind == "value")
    for action in actions:
        assert action in grammar.allowed(state, values)
        state = grammar.advance(state, action)
    assert state.complete
    back = to_sql(actions, SCHOOL)
    assert exact_match(sql, back, SCHOOL)
    database = school_folder / "database" / "school" / "school.sqlite"
    assert run_query(database, back).rows == run_query(database, sql).rows


def test_toy_questions_are_all_within_the_grammar(tmp_path: Path):
    toy = write_toy(tmp_path)
    rows = toy.train + toy.val
    assert len(rows) == 126
    for row in rows:
        schema = toy.schemas[row.db_id]
        assert exact_match(row.query, to_sql(to_actions(row.query, schema), schema), schema)


def test_incomplete_actions_are_refused():
    actions = to_actions("SELECT Name FROM Student", SCHOOL)
    with pytest.raises(ValueError, match=r"end before|do not end"):
        to_sql(actions[:1], SCHOOL)


def test_published_gold_queries_survive_the_round_trip(shared_data: Path):
    folder = SpiderFolder(shared_data / "spider")
    gold, back = [], []
    for row in folder.val:
        try:
            back.append(to_sql(to_actions(row.query, folder.schemas[row.db_id]), folder.schemas[row.db_id]))
        except ParseError:
            continue
        gold.append((row.query, row.db_id))
    assert len(gold) > 1900, "of 1939"
    assert evaluate_rows(gold, back, schemas=folder.schemas).exact_match > 0.99
