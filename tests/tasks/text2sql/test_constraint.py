"""The numbered grammar: the same answers as the plain one, and every gold action allowed where it stands."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text2sql_school import ENTRY

from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.grammar.actions import UNKNOWN_VALUE, WORDS
from normlab.tasks.text2sql.grammar.automaton import END, Grammar, State
from normlab.tasks.text2sql.grammar.linearize import to_sql
from normlab.tasks.text2sql.grammar.masks import Automaton, BatchConstraint, value_kind
from normlab.tasks.text2sql.inputs.questions import Questions

SCHOOL = Schema.from_entry(ENTRY)
VALUES = ("'Rome'", "3", "2.5", "'%a%'")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(6, 50))
def test_the_same_actions_as_the_grammar_whatever_the_budget(seed: int, budget: int) -> None:
    rng, automaton, plain, state = random.Random(seed), Automaton(SCHOOL), Grammar(SCHOOL), State()
    kinds = tuple(map(value_kind, VALUES))
    for left in range(budget, 0, -1):
        if state.complete:
            break
        numbers = automaton.allowed(state, kinds, left).tolist()
        actions = [automaton.action(number, VALUES) for number in numbers]
        expected = plain.allowed(state, VALUES, left)
        assert sorted(map(str, actions)) == sorted(map(str, expected))
        for number, action in zip(numbers, actions, strict=True):
            assert automaton.advance(state, number, VALUES) == plain.advance(state, action)
        # Prefer what goes on, so that the end of the budget is met.
        chosen = rng.choice([action for action in actions if action != END] or actions)
        state = plain.advance(state, chosen)
    assert state.complete


def test_a_batch_moves_pointers_and_finds_its_way_back() -> None:
    automaton = Automaton(SCHOOL)
    items = automaton.tables + automaton.columns + 7  # a batch mate has a larger schema
    constraint = BatchConstraint([automaton], [VALUES], items)
    rng, state, tokens = random.Random(3), constraint.start(0), []
    while True:
        allowed = constraint.allowed(state, 40 - len(tokens)).tolist()
        assert all(token < len(WORDS) + items - 7 or token >= len(WORDS) + items for token in allowed)
        token = rng.choice(allowed)
        if token == 0:
            break
        tokens.append(token)
        state = constraint.advance(state, token)
    actions = [automaton.action(constraint.own_number(0, token), VALUES) for token in tokens]
    assert constraint.written(0, constraint.actions(0, tuple(tokens)))[0] == to_sql([*actions, END], SCHOOL)


QUERIES = [
    "SELECT Name FROM Student WHERE City = 'Rome' AND Age > 30",
    "SELECT T1.Name FROM Student AS T1 JOIN Owns AS T2 ON T1.StuID = T2.StuID",
    "SELECT City FROM Student GROUP BY City HAVING count(*) > 1 ORDER BY count(*) DESC LIMIT 1",
    "SELECT Name FROM Student WHERE StuID NOT IN (SELECT StuID FROM Owns)",
]


@pytest.fixture(scope="module")
def questions() -> Questions:
    return Questions(["student"], {SCHOOL.db_id: SCHOOL}, None, "cells")


@pytest.mark.parametrize("sql", QUERIES)
def test_every_gold_action_is_allowed_at_its_step(questions: Questions, sql: str) -> None:
    item, why = questions.encode("Which students of Rome are older than 30?", SCHOOL.db_id, sql)
    assert why == ""
    assert item.gold is not None
    masks = np.unpackbits(item.gold.allowed, axis=1, count=item.gold.size).astype(bool)
    for mask, action in zip(masks, item.gold.actions, strict=True):
        assert action == UNKNOWN_VALUE or mask[action]
    assert masks.any(1).all()


def test_a_value_that_no_candidate_offers_is_left_open(questions: Questions) -> None:
    item, _ = questions.encode("Which students are there?", SCHOOL.db_id, "SELECT Name FROM Student WHERE Age = 77")
    assert item.gold is not None
    assert (item.gold.actions == UNKNOWN_VALUE).sum() == 1


@pytest.mark.parametrize(
    ("sql", "why"),
    [("SELECT nothing FROM Student", "cannot be parsed|nothing"), ("SELECT Name FROM Student WHERE Age like 3", "")],
)
def test_gold_that_cannot_be_learned_says_why(questions: Questions, sql: str, why: str) -> None:
    item, reason = questions.encode("Which students are there?", SCHOOL.db_id, sql)
    assert item.gold is None
    assert reason
    assert re.search(why, reason)
