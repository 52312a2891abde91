"""Exact match and hardness: quirks of the official script, worked out by hand, and laws that must hold."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text2sql_school import ENTRY

from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import SpiderFolder
from normlab.tasks.text2sql.evaluation import (
    OfficialAbortError,
    ParseError,
    evaluate_rows,
    exact_match,
    hardness,
)
from normlab.tasks.text2sql.evaluation.match import compare
from normlab.tasks.text2sql.evaluation.normal import foreign_key_classes, normalise
from normlab.tasks.text2sql.evaluation.parser import parse
from normlab.tasks.text2sql.evaluation.tokens import tokenize

SCHOOL = Schema.from_entry(ENTRY)
JOINED = "SELECT T1.Name FROM Student AS T1 JOIN Owns AS T2 ON T1.StuID = T2.StuID"

SAME = [
    # spaces, letter case and quotes do not count
    ("SELECT Name FROM Student", "select   name from STUDENT"),
    ("SELECT Name FROM Student WHERE City = 'Rome'", 'SELECT Name FROM Student WHERE City = "Rome"'),
    # values do not count, nor the number of a limit
    ("SELECT Name FROM Student WHERE Age > 20", "SELECT Name FROM Student WHERE Age > 99"),
    ("SELECT Name FROM Student ORDER BY Age LIMIT 1", "SELECT Name FROM Student ORDER BY Age LIMIT 7"),
    ("SELECT Name FROM Student WHERE Age > StuID", "SELECT Name FROM Student WHERE Age > 3"),
    # nor in a branch of a set operation
    *(
        (
            f"SELECT Name FROM Student WHERE Age > 1 {operation} SELECT Name FROM Student WHERE Age > 2",
            f"SELECT Name FROM Student WHERE Age > 3 {operation} SELECT Name FROM Student WHERE Age > 4",
        )
        for operation in ("UNION", "INTERSECT", "EXCEPT")
    ),
    # order of SELECT items and of conditions; the outer DISTINCT
    ("SELECT Name , Age FROM Student", "SELECT Age , Name FROM Student"),
    ("SELECT DISTINCT Name FROM Student", "SELECT Name FROM Student"),
    ("SELECT count(DISTINCT City) FROM Student", "SELECT count(City) FROM Student"),
    (
        "SELECT Name FROM Student WHERE Age > 1 AND City = 'a'",
        "SELECT Name FROM Student WHERE City = 'b' AND Age > 2",
    ),
    # the connectors of WHERE are a set
    (
        "SELECT Name FROM Student WHERE Age > 1 AND City = 'a' OR StuID = 1",
        "SELECT Name FROM Student WHERE Age > 1 OR City = 'a' AND StuID = 1",
    ),
    # the columns of ON do not count
    (JOINED, "SELECT T1.Name FROM Student AS T1 JOIN Owns AS T2 ON T1.StuID = T2.PetID"),
    (JOINED, "SELECT T1.Name FROM Student AS T1 JOIN Owns AS T2"),
    # either end of a foreign key
    (JOINED.replace("T1.Name", "T1.StuID"), JOINED.replace("T1.Name", "T2.StuID")),
    # only the last direction is kept
    (
        "SELECT Name FROM Student ORDER BY Age ASC , Name DESC",
        "SELECT Name FROM Student ORDER BY Age DESC , Name DESC",
    ),
    ("SELECT Name FROM Student ORDER BY Age", "SELECT Name FROM Student ORDER BY Age ASC"),
    # what follows the last clause is not read
    ("SELECT Name FROM Student LIMIT 1", "SELECT Name FROM Student LIMIT 1 OFFSET 3"),
    ("SELECT Name FROM Student LIMIT 1", "SELECT Name FROM Student LIMIT 1 what ever"),
    ("SELECT Name FROM Student", "SELECT Name FROM Student ; DROP TABLE Student"),
    # a comma may be missing, a connector may trail, parentheses may stand around it all
    ("SELECT Name , Age FROM Student", "SELECT Name Age FROM Student"),
    ("SELECT Name FROM Student", "( SELECT Name FROM Student )"),
    # after a column on the right the rest up to AND is lost
    (
        "SELECT Name FROM Student WHERE Age = StuID",
        "SELECT Name FROM Student WHERE Age = StuID OR City = 'Rome'",
    ),
    # GROUP BY's tables do not count where HAVING is equal: columns in order by identifier, then by bare name
    (
        "SELECT count(*) FROM Student GROUP BY City HAVING count(*) > 1",
        "SELECT count(*) FROM Student GROUP BY City HAVING count(*) > 5",
    ),
    # comparisons with a space inside
    ("SELECT Name FROM Student WHERE Age >= 20", "SELECT Name FROM Student WHERE Age > = 20"),
]

DIFFERENT = [
    ("SELECT Name FROM Student", "SELECT City FROM Student"),
    ("SELECT count(*) FROM Student", "SELECT count(StuID) FROM Student"),
    ("SELECT Name FROM Student", "SELECT Name , Name FROM Student"),
    ("SELECT Name FROM Student WHERE Age > 1", "SELECT Name FROM Student WHERE Age >= 1"),
    ("SELECT Name FROM Student WHERE Name LIKE 'a'", "SELECT Name FROM Student WHERE Name NOT LIKE 'a'"),
    ("SELECT Name FROM Student ORDER BY Age ASC", "SELECT Name FROM Student ORDER BY Age DESC"),
    ("SELECT Name FROM Student ORDER BY Age", "SELECT Name FROM Student ORDER BY Age LIMIT 1"),
    ("SELECT Name FROM Student", "SELECT Name FROM Student LIMIT 1"),
    (JOINED, "SELECT Name FROM Student"),
    (JOINED, JOINED + " JOIN Owns AS T3 ON T1.StuID = T3.StuID"),
    ("SELECT City , count(*) FROM Student GROUP BY City", "SELECT City , count(*) FROM Student GROUP BY Age"),
    (
        "SELECT City FROM Student GROUP BY City , Age",
        "SELECT City FROM Student GROUP BY Age , City",  # the list of columns counts in order
    ),
    (
        "SELECT City FROM Student GROUP BY City HAVING count(*) > 1",
        "SELECT City FROM Student GROUP BY City HAVING avg(Age) > 1",
    ),
    # the branches of a set operation do not commute
    (
        "SELECT Name FROM Student UNION SELECT Kind FROM Pet",
        "SELECT Kind FROM Pet UNION SELECT Name FROM Student",
    ),
    (
        "SELECT Name FROM Student UNION SELECT Kind FROM Pet",
        "SELECT Name FROM Student EXCEPT SELECT Kind FROM Pet",
    ),
    # sub-queries compare as wholes: order of conditions, DISTINCT, LIMIT's number, and no foreign keys
    (
        "SELECT Name FROM Student WHERE StuID NOT IN (SELECT StuID FROM Owns)",
        "SELECT Name FROM Student WHERE StuID NOT IN (SELECT DISTINCT StuID FROM Owns)",
    ),
    (
        "SELECT Name FROM Student WHERE StuID IN (SELECT StuID FROM Owns WHERE StuID > 1 AND PetID = 1)",
        "SELECT Name FROM Student WHERE StuID IN (SELECT StuID FROM Owns WHERE PetID = 1 AND StuID > 1)",
    ),
    # inside a sub-query of FROM even constants count
    (
        "SELECT count(*) FROM (SELECT Name FROM Student WHERE Age > 1)",
        "SELECT count(*) FROM (SELECT Name FROM Student WHERE Age > 2)",
    ),
    # predictions outside the script's SQL
    ("SELECT Name FROM Student", ""),
    ("SELECT Name FROM Student", "SELECT Name AS n FROM Student AS Pet"),
    (JOINED, JOINED.replace("T1.Name", "T1 . Name")),
    ("SELECT Name FROM Student WHERE Age >= 20", "SELECT Name FROM Student WHERE Age>=20"),
    ("SELECT Name FROM Student WHERE Age != 20", "SELECT Name FROM Student WHERE Age <> 20"),
    ("SELECT Name FROM Student", "SELECT Name FROM Student , Pet"),
    (JOINED, JOINED.replace("JOIN", "LEFT JOIN")),
    ("SELECT Name FROM Student WHERE City = 'O x'", 'SELECT Name FROM Student WHERE City = "O\'Neil"'),
]


@pytest.mark.parametrize("gold, predicted", SAME)
def test_pair_matches(gold: str, predicted: str):
    assert exact_match(gold, predicted, SCHOOL)


@pytest.mark.parametrize("gold, predicted", DIFFERENT)
def test_pair_does_not_match(gold: str, predicted: str):
    assert not exact_match(gold, predicted, SCHOOL)


@pytest.mark.parametrize("query", sorted({gold for gold, _ in SAME + DIFFERENT}))
def test_every_gold_query_matches_itself(query: str):
    assert exact_match(query, query, SCHOOL)


@pytest.mark.parametrize(
    "sql, level",
    [
        ("SELECT Name FROM Student", "easy"),
        ("SELECT Name FROM Student WHERE Age > 1", "easy"),
        ("SELECT Name , Age FROM Student WHERE Age > 1", "medium"),
        ("SELECT Name FROM Student WHERE Age > 1 ORDER BY Age", "medium"),
        (JOINED + " WHERE T1.Age > 1 ORDER BY T1.Age", "hard"),
        ("SELECT Name FROM Student WHERE StuID IN (SELECT StuID FROM Owns)", "hard"),
        ("SELECT Name FROM Student UNION SELECT Kind FROM Pet", "hard"),
        ("SELECT Name , Age FROM Student UNION SELECT Kind , Weight FROM Pet", "extra"),
        (JOINED + " WHERE T1.Age > 1 OR T1.Name LIKE 'a' ORDER BY T1.Age LIMIT 1", "extra"),
        ("SELECT City FROM Student GROUP BY City", "easy"),
        # an aggregate in HAVING does not count, a connector there and every NOT of WHERE do
        ("SELECT max(Age) FROM Student GROUP BY City HAVING count(*) > 1", "easy"),
        ("SELECT max(Age) FROM Student GROUP BY City HAVING count(*) > 1 AND min(Age) > 1", "medium"),
        ("SELECT max(Age) FROM Student WHERE Name NOT LIKE 'a'", "medium"),
    ],
)
def test_hardness(sql: str, level: str):
    assert hardness(sql, SCHOOL) == level


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT Name FROM Student WHERE Name IS NULL extra (",
        "SELECT nothing FROM Student",
        "SELECT Name FROM Nowhere",
        "SELECT T1.Name FROM Student",
        "SELECT upper(Name) FROM Student",
        "SELECT Name FROM Student WHERE (Age > 1)  OR (Age < 5",
        "SELECT Name FROM Student LIMIT many",
        "SELECT 1 FROM Student",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "SELECT Name FROM Student HAVING count(*) > 1",
        "SELECT Name FROM Student UNION ALL SELECT Kind FROM Pet",
        "SELECT count(T1.*) FROM Student AS T1",
        "UPDATE Student SET Age = 1",
    ],
)
def test_query_outside_the_scripts_sql_is_a_parse_error(sql: str):
    with pytest.raises(ParseError):
        hardness(sql, SCHOOL)


def test_gold_that_does_not_parse_is_told():
    with pytest.raises(ParseError):
        exact_match("SELECT nothing FROM Student", "SELECT Name FROM Student", SCHOOL)


def test_connector_missing_between_three_conditions_stops_the_script():
    names = SCHOOL.names
    query = parse("SELECT Name FROM Student WHERE Age > 1 City = 'a' AND StuID = 1", names)
    with pytest.raises(OfficialAbortError):
        normalise(query, foreign_key_classes(SCHOOL))


def test_schema_may_be_an_entry_of_tables_json():
    assert exact_match("SELECT Name FROM Student", "SELECT name FROM student", ENTRY)


def test_partial_scores_name_the_component_that_differs():
    keys = foreign_key_classes(SCHOOL)
    gold = normalise(parse("SELECT max(Age) FROM Student WHERE City = 'a'", SCHOOL.names), keys)
    guess = normalise(parse("SELECT min(Age) FROM Student WHERE City != 'a'", SCHOOL.names), keys)
    exact, partial = compare(gold, guess)
    assert not exact
    wrong = {name for name, score in partial.items() if not score.correct}
    assert wrong == {"select", "where"}


def test_foreign_key_groups_are_never_merged():
    entry = ENTRY | {"foreign_keys": [[1, 2], [3, 4], [2, 3], [4, 5]]}
    classes = foreign_key_classes(Schema.from_entry(entry))
    # 2-3 joins the first group that holds either, so 3 is in both and the later group overwrites it
    assert classes["__student.city__"] == "__student.age__"
    assert classes["__student.age__"] == "__student.age__"
    assert classes["__student.name__"] == "__student.stuid__"


@pytest.mark.parametrize(
    "sql, tokens",
    [
        ("a = 'B c'", ["a", "=", '"B c"']),
        ("x>=3", ["x", ">", "=3"]),
        ("x >= 3", ["x", ">=", "3"]),
        ("x ! = 3", ["x", "!=", "3"]),
        ("x=3", ["x=3"]),
        ("count(*)", ["count", "(", "*", ")"]),
        ("a,b", ["a", ",", "b"]),
        ("a,,b", ["a", ",", ",b"]),
        ("a,1", ["a,1"]),
        ("t1.name.", ["t1.name", "."]),
        ("1.5", ["1.5"]),
        ("cannot", ["can", "not"]),
        ("a--b", ["a", "--", "b"]),
        ("a;b", ["a", ";", "b"]),
        ("LIMIT 1;", ["limit", "1", ";"]),
        ("a..b", ["a", "..", "b"]),
        ("''", ['""']),
        ("name='x'", ["name=__val_5_7__"]),
    ],
)
def test_tokens_are_those_of_word_tokenize(sql: str, tokens: list[str]):
    assert tokenize(sql) == tokens


WORDS = st.sampled_from(
    [
        *("SELECT", "FROM", "WHERE", "GROUP", "BY", "HAVING", "ORDER", "LIMIT", "UNION", "JOIN", "ON", "AS"),
        *("AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "DISTINCT", "DESC", "count", "max", "none"),
        *(
            "Student",
            "Pet",
            "Owns",
            "T1",
            "T2",
            "Name",
            "Age",
            "T1.Name",
            "T2.StuID",
            "StuID",
            "'a'",
            "1",
            "2.5",
        ),
        *("(", ")", ",", ";", "=", ">", "!=", "*", "-", "/", ".", '"', "'"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=25))
def test_any_text_gets_a_verdict(words: list[str]):
    assert exact_match("SELECT Name FROM Student", " ".join(words), SCHOOL) in (True, False)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_characters_get_a_verdict(text: str):
    assert exact_match("SELECT Name FROM Student", text, SCHOOL) in (True, False)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([gold for gold, _ in SAME + DIFFERENT]), st.randoms(use_true_random=False))
def test_spaces_and_case_outside_quotes_never_count(gold: str, rng: random.Random):
    words = [rng.choice((str.lower, str.upper))(word) for word in gold.split()]
    assert exact_match(gold, rng.choice(("  ", " \t ")).join(words), SCHOOL)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SAME + DIFFERENT))
def test_judging_twice_gives_the_same_verdict(pair: tuple[str, str]):
    assert exact_match(*pair, SCHOOL) == exact_match(*pair, SCHOOL)


def test_every_published_gold_query_matches_itself_at_the_published_levels(shared_data: Path):
    folder = SpiderFolder(shared_data / "spider")
    counts = {}
    for split, rows in (("train", folder.train), ("val", folder.val)):
        gold = [(row.query, row.db_id) for row in rows]
        scores = evaluate_rows(gold, [row.query for row in rows], schemas=folder.schemas)
        counts[split] = [level.count for level in scores.levels.values()]
        assert scores.exact_match == 1.0
        assert len(scores.skipped) == (split == "train")
    assert counts["train"] == [1791, 2739, 1671, 1552, 7753]
    assert counts["val"] == [440, 706, 424, 369, 1939]
