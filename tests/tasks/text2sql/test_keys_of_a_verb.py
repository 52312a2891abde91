"""Several keys to one table, and keys to the own table: which one a question means, by its verb or its direction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from text2sql_corrected import corrections_over

from normlab.data.sql.sqlite import run_query
from normlab.tasks.text2sql.corrections.keys import root_of

SCRIPT = """
CREATE TABLE person (person_id INTEGER PRIMARY KEY, name TEXT, city TEXT, age INTEGER,
 mentor_id INTEGER REFERENCES person (person_id));
CREATE TABLE message (message_id INTEGER PRIMARY KEY, sender_id INTEGER REFERENCES person (person_id),
 receiver_id INTEGER REFERENCES person (person_id), subject TEXT);
INSERT INTO person VALUES (1, 'Ann', 'Oslo', 30, NULL), (2, 'Bo', 'Rome', 40, 1), (3, 'Cy', 'Rome', 50, 1),
 (4, 'Dee', 'Oslo', 20, 2);
INSERT INTO message VALUES (1, 1, 2, 'hello'), (2, 1, 3, 'bill'), (3, 3, 1, 'paid'), (4, 4, 2, 'hi');
"""
Ask = Callable[[str, str], list[object]]
Done = Callable[[str, str], str]


@pytest.fixture
def done(tmp_path: Path) -> Done:
    """What the rules make of a query."""
    corrected = corrections_over(tmp_path / "mail.sqlite", SCRIPT)
    return lambda question, sql: corrected(question, sql).sql


@pytest.fixture
def ask(done: Done, tmp_path: Path) -> Ask:
    """The first column of the rows that a question gets whose query the model wrote so."""

    def rows(question: str, wrote: str) -> list[object]:
        return [row[0] for row in run_query(tmp_path / "mail.sqlite", done(question, wrote)).rows]

    return rows


SENT = "person AS T1 JOIN message AS T2 ON T1.person_id = T2.sender_id"
GOT = "person AS T1 JOIN message AS T2 ON T1.person_id = T2.receiver_id"


@pytest.mark.parametrize("joined", [SENT, GOT])
@pytest.mark.parametrize(
    ("question", "wrote", "rows"),
    [
        ("Which persons have sent a message?", "SELECT DISTINCT T1.name FROM {}", ["Ann", "Cy", "Dee"]),
        ("Which persons received a message?", "SELECT DISTINCT T1.name FROM {}", ["Ann", "Bo", "Cy"]),
        ("Who sent the message bill?", "SELECT T1.name FROM {} WHERE T2.subject = 'bill'", ["Ann"]),
        ("Who received the message bill?", "SELECT T1.name FROM {} WHERE T2.subject = 'bill'", ["Cy"]),
        ("How many messages did Ann receive?", "SELECT count(*) FROM {} WHERE T1.name = 'Ann'", [1]),
        ("How many messages were sent by Ann?", "SELECT count(*) FROM {} WHERE T1.name = 'Ann'", [2]),
        (
            "Which messages went from Ann to Cy?",
            "SELECT T2.subject FROM {} WHERE T1.name = 'Ann' OR T1.name = 'Cy'",
            ["bill"],
        ),
        ("Which persons never received a message?", "SELECT DISTINCT T1.name FROM {}", ["Dee"]),
        ("Which persons never sent a message?", "SELECT DISTINCT T1.name FROM {}", ["Bo"]),
        ("Which persons from Oslo never received a message?", "SELECT T1.name FROM {} WHERE T1.city = 'Oslo'", ["Dee"]),
    ],
)
def test_the_key_is_that_of_the_verb(ask: Ask, question: str, wrote: str, rows: list[object], joined: str) -> None:
    assert sorted(map(str, ask(question, wrote.format(joined)))) == sorted(map(str, rows))


def test_a_negation_by_the_wrong_key_is_turned(ask: Ask) -> None:
    wrote = "SELECT name FROM person WHERE person_id NOT IN (SELECT sender_id FROM message)"
    assert ask("Which persons have never received a message?", wrote) == ["Dee"]
    assert ask("Which persons have never sent a message?", wrote) == ["Bo"]


@pytest.mark.parametrize(
    ("question", "wrote", "rows"),
    [
        ("Who is the mentor of Bo?", "SELECT mentor_id FROM person WHERE name = 'Bo'", ["Ann"]),
        ("Who is Dee's mentor?", "SELECT mentor_id FROM person WHERE name = 'Dee'", ["Bo"]),
        ("Which persons have Ann as mentor?", "SELECT name FROM person WHERE name = 'Ann'", ["Bo", "Cy"]),
        ("Which persons are mentored by Bo?", "SELECT name FROM person WHERE name = 'Bo'", ["Dee"]),
        ("How many persons does Ann mentor?", "SELECT count(*) FROM person WHERE name = 'Ann'", [2]),
        ("Which persons from Rome are mentored by Ann?", "SELECT name FROM person WHERE name = 'Ann'", ["Bo", "Cy"]),
        ("Which persons have no mentor?", "SELECT name FROM person", ["Ann"]),
        ("Which persons from Rome have no mentor?", "SELECT name FROM person WHERE city = 'Rome'", []),
        ("Which persons in Oslo are without mentor?", "SELECT name FROM person WHERE city = 'Oslo'", ["Ann"]),
        (
            "Which persons older than 45 are mentored by Ann?",
            "SELECT name FROM person WHERE name = 'Ann' AND age > 45",
            ["Cy"],
        ),
        ("Which persons from Rome have Ann as mentor?", "SELECT name FROM person WHERE city = 'Rome'", ["Bo", "Cy"]),
    ],
)
def test_a_key_to_the_own_table_is_followed(ask: Ask, question: str, wrote: str, rows: list[object]) -> None:
    assert ask(question, wrote) == rows


@pytest.mark.parametrize(
    ("question", "wrote"),
    [
        # A condition that the query lacks is never dropped by rewriting it.
        ("Which persons older than 45 have Ann as mentor?", "SELECT name FROM person WHERE name = 'Ann'"),
        ("What is the mentor id of Bo?", "SELECT mentor_id FROM person WHERE name = 'Bo'"),
        ("How old is Ann?", "SELECT age FROM person WHERE name = 'Ann'"),
    ],
)
def test_where_a_condition_would_be_lost_the_reading_stands(done: Done, question: str, wrote: str) -> None:
    assert done(question, wrote) == wrote


def test_who_and_a_verb_ask_for_a_name(ask: Ask) -> None:
    assert ask("Who sent the message paid?", f"SELECT T1.name FROM {SENT} WHERE T2.subject = 'paid'") == ["Cy"]


def test_verbs_and_nouns_of_one_act_have_one_root() -> None:
    for words in ("sent sender sends", "bought buyer", "won winner", "manages manager managed", "received receiver"):
        assert len({root_of(word) for word in words.split()}) == 1, words
    assert root_of("sender") != root_of("receiver")
