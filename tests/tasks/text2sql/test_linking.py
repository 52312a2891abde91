"""Linking: which words name what, and which constants a query may name. Real questions measure the coverage."""

from __future__ import annotations

import sqlite3
import sys
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text2sql_school import ENTRY

from normlab.data.sql.cells import CellIndex, index_cells
from normlab.data.sql.schema import Column, Schema, Table
from normlab.data.sql.spider import SpiderFolder
from normlab.data.sql.sqlite import run_query
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation import ParseError
from normlab.tasks.text2sql.grammar.automaton import Grammar, State
from normlab.tasks.text2sql.grammar.linearize import to_actions
from normlab.tasks.text2sql.linking.linker import (
    EXACT,
    MATCHES,
    NONE,
    PARTIAL,
    STEM,
    Linked,
    Linker,
    ValueCandidate,
    gold_value,
)
from normlab.tasks.text2sql.linking.values import KINDS, MAX_CANDIDATES

SCHOOL = Schema.from_entry(ENTRY)
STUDENT, PET, OWNS = range(3)
STUDENT_ID, NAME, AGE, CITY, PET_ID, KIND, WEIGHT = range(1, 8)


@pytest.fixture(scope="module")
def linker(school_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Linker:
    path = school_folder / "database" / "school" / "school.sqlite"
    return Linker(SCHOOL, index_cells(path, SCHOOL, tmp_path_factory.mktemp("cache")))


def shop(tmp_path: Path, script: str) -> Linker:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)
    schema = Schema.from_sqlite(path)
    return Linker(schema, index_cells(path, schema, tmp_path / "cache"))


def kind_of(linked: Linked, word: str, *, table: int | None = None, column: int | None = None) -> int:
    row = linked.words.index(word)
    return int(linked.table_links[row, table] if table is not None else linked.column_links[row, column])


def sqls(linked: Linked) -> list[str]:
    return [value.sql for value in linked.values]


def test_names_link_exactly_by_stem_and_in_part(linker: Linker):
    linked = linker.link("What is the age and the id of each student who owns pets in these cities?")
    assert kind_of(linked, "age", column=AGE) == EXACT
    assert kind_of(linked, "student", table=STUDENT) == EXACT
    assert kind_of(linked, "pets", table=PET) == STEM
    assert kind_of(linked, "cities", column=CITY) == STEM
    assert kind_of(linked, "id", column=STUDENT_ID) == PARTIAL
    assert kind_of(linked, "student", column=STUDENT_ID) == PARTIAL
    assert kind_of(linked, "the", table=STUDENT) == NONE
    assert [MATCHES[kind] for kind in (NONE, PARTIAL, STEM, EXACT)] == ["none", "partial", "stem", "exact"]


def test_a_whole_name_beats_its_parts(linker: Linker):
    linked = linker.link("Show every student id and pet ids")
    for word in ("student", "id"):
        assert kind_of(linked, word, column=STUDENT_ID) == EXACT
    for word in ("pet", "ids"):
        assert kind_of(linked, word, column=PET_ID) == STEM
    assert kind_of(linked, "id", column=PET_ID) == PARTIAL


def test_the_database_name_of_a_column_links_too(linker: Linker):
    assert kind_of(linker.link("Show stu id"), "stu", column=STUDENT_ID) == EXACT


def test_star_is_never_linked(linker: Linker):
    linked = linker.link("count * of all students in Rome")
    assert not linked.column_links[:, 0].any()
    assert not linked.cell_links[:, 0].any()


def test_a_cell_links_its_words_and_is_snapped_to_its_text(linker: Linker):
    linked = linker.link("Which students of rome own dogs?")
    assert linked.cell_links[linked.words.index("rome"), CITY]
    assert linked.cell_links[linked.words.index("dogs"), KIND]
    assert linked.cell_links.sum() == 2
    rome, dog = (next(v for v in linked.values if v.sql == sql) for sql in ("'Rome'", "'dog'"))
    assert (rome.start, rome.end, rome.columns, rome.kind) == (3, 4, (CITY,), "cell")
    assert (dog.start, dog.end, dog.columns) == (5, 6, (KIND,))


def test_texts_and_spans_are_those_of_the_question(linker: Linker):
    question = "Is  ANN's city «Rome»?"
    linked = linker.link(question)
    assert linked.question == question
    assert linked.words == ("is", "ann", "'", "s", "city", "«", "rome", "»", "?")
    assert [question[start:end] for start, end in linked.spans] == list(linked.texts)


@pytest.mark.parametrize(
    "question, expected",
    [
        ("Who is 'O'Neil's'?", "'O''Neil''s'"),
        ('papers about "deep learning"', "'deep learning'"),
        ("students of “Neverland”", "'Neverland'"),
        ("songs by Bob Dylan Junior", "'Bob Dylan Junior'"),
        ("the University of New Mexico campus", "'University of New Mexico'"),
        ("older than 1,200 days", "1200"),
        ("taller than 1.85.", "1.85"),
        ("colder than -5 degrees", "-5"),
        ("more than twenty-five pets", "25"),
        ("over two hundred thousand people", "200000"),
        ("a salary of 10k", "10000"),
        ("the top three", "3"),
        ("hired on November 5th, 2007", "'2007-11-05'"),
        ("hired on 5 november 2007", "'2007-11-05'"),
        ("after 2003-04-19 15:06:20", "'2003-04-19 15:06:20'"),
        ("names that contain 'an'", "'%an%'"),
        ("names starting with 'A'", "'A%'"),
        ("names that end with x", "'%x'"),
        ("names with the letter q", "'%q%'"),
        ("which pet is the oldest?", "1"),
    ],
)
def test_a_constant_of_the_question_is_a_candidate(linker: Linker, question: str, expected: str):
    assert expected in sqls(linker.link(question))


def test_a_range_is_no_negative_number(linker: Linker):
    assert sqls(linker.link("aged 10-20")) == ["10", "20", "1"]


def test_a_flag_is_offered_where_its_column_is_named_or_its_meaning_said(tmp_path: Path):
    linker = shop(tmp_path, "CREATE TABLE t (sex TEXT, is_official TEXT); INSERT INTO t VALUES ('F', 'T'), ('M', 'F');")
    assert "'F'" in sqls(linker.link("how many women are there"))
    assert "'T'" in sqls(linker.link("which are official?"))
    assert "'T'" not in sqls(linker.link("which are there?"))


def test_cells_that_differ_in_case_only_both_stand_the_one_as_written_first(tmp_path: Path):
    linker = shop(tmp_path, "CREATE TABLE t (a TEXT, b TEXT); INSERT INTO t VALUES ('ROME', 'Rome');")
    assert sqls(linker.link("those in Rome"))[:2] == ["'ROME'", "'Rome'"]
    assert [v.columns for v in linker.link("those in Rome").values[:2]] == [(1,), (2,)]


def test_stop_words_and_single_small_letters_name_no_cell(tmp_path: Path):
    linker = shop(tmp_path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('the'), ('A'), ('b'), ('The The');")
    assert not linker.link("show me the b of a").cell_links.any()
    assert linker.link("show grade A").cell_links.any()


def test_the_longest_n_gram_of_a_column_wins(tmp_path: Path):
    linker = shop(
        tmp_path, "CREATE TABLE t (a TEXT, b TEXT); INSERT INTO t VALUES ('New York', 'York'), ('York', 'x');"
    )
    found = linker.link("flights to New York").values
    assert [(v.sql, v.columns) for v in found if v.kind == "cell"] == [("'New York'", (1,)), ("'York'", (2,))]


def test_without_contents_plain_words_are_candidates():
    linked = Linker(SCHOOL).link("which students live in rome")
    assert "'rome'" in sqls(linked)
    assert not linked.cell_links.any()


@pytest.mark.parametrize("question", ["", "  ", "?!", "...", "\u200b"])
def test_a_question_without_words_is_refused(linker: Linker, question: str):
    with pytest.raises(UserError, match="no words"):
        linker.link(question)


def test_a_question_of_five_thousand_words_is_cut_with_a_warning(linker: Linker):
    with pytest.warns(UserWarning, match="5000 words was cut after 256"):
        linked = linker.link("Rome " * 5000)
    assert len(linked.words) == len(linked.spans) == len(linked.column_links) == 256


def test_a_schema_of_five_hundred_tables_links():
    tables = tuple(Table(f"t_{n}", f"thing {n}") for n in range(500))
    columns = [Column(-1, "*", "*", "text")]
    columns += [Column(n, f"c{m}", f"colour {m}", "text") for n in range(500) for m in range(10)]
    linked = Linker(Schema("big", tables, tuple(columns), (), ())).link("the colour 3 of thing 499")
    assert linked.table_links[linked.words.index("499"), 499] == EXACT
    assert (linked.column_links[linked.words.index("colour")] == EXACT).sum() == 500


def test_a_schema_without_tables_links_nothing():
    linked = Linker(Schema("none", (), (Column(-1, "*", "*", "text"),), (), ())).link("what is here")
    assert linked.table_links.shape == (3, 0)
    assert linked.column_links.shape == (3, 1)


SIGNS = st.characters(exclude_categories=("Cs",))
WORDS = st.sampled_from(
    ["Rome", "'dog'", "student id", "3", "O'Neil", '"Ann Bob"', "contains", "two", "F", "%", "''", "-"]
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(SIGNS, max_size=60), st.lists(WORDS, max_size=80).map(" ".join)))
def test_whatever_is_asked_the_candidates_are_sql_in_order_and_few(school_folder: Path, question: str):
    path = school_folder / "database" / "school" / "school.sqlite"
    linker = Linker(SCHOOL, index_cells(path, SCHOOL, school_folder / "cache"))
    try:
        linked = linker.link(question)
    except UserError:
        return
    again = linker.link(question)
    assert linked.values == again.values
    for name in ("table_links", "column_links", "cell_links"):
        assert np.array_equal(getattr(linked, name), getattr(again, name))
    count = len(linked.words)
    assert linked.table_links.shape == (count, 3)
    assert linked.column_links.shape == linked.cell_links.shape == (count, len(SCHOOL.columns))
    assert len(linked.values) <= MAX_CANDIDATES
    assert len(set(sqls(linked))) == len(linked.values)
    places = [(not v.end, v.start, -v.end) for v in linked.values]
    assert places == sorted(places)
    for value in linked.values:
        assert value.kind in KINDS
        assert 0 <= value.start < value.end <= count or (value.start, value.end, value.kind) == (0, 0, "constant")
        assert all(linked.cell_links[value.start : value.end, column].all() for column in value.columns)
        if "\0" not in value.sql:
            run_query(path, f"SELECT count(*) FROM Student WHERE Name = {value.sql}")


def test_the_grammar_takes_the_candidates_as_they_are(linker: Linker):
    grammar, state = Grammar(SCHOOL), State()
    values = tuple(sqls(linker.link("students of Rome over 20")))
    for action in [("table", STUDENT), ("word", "where"), ("column", CITY), ("word", "=")]:
        state = grammar.advance(state, action)
    assert {("value", "'Rome'"), ("value", "20")} <= set(grammar.allowed(state, values))


def candidates(*texts: str) -> list[ValueCandidate]:
    return [ValueCandidate(sql, 0, 1, (), "cell") for sql in texts]


@pytest.mark.parametrize(
    "gold, texts, index",
    [
        ("'rome'", ["'Oslo'", "'Rome'"], 1),
        ("'Rome'", ["'rome'", "'Rome'"], 1),
        ("3.0", ["30", "3"], 1),
        ("'3'", ["3"], 0),
        ("3", ["'3'", "3"], 1),
        ("'Bob  Dylan'", ["'bob dylan'"], 0),
        ("'%a%'", ["'a'"], None),
        ("'it''s'", ["'IT''S'"], 0),
        ("7", [], None),
        ("1e5", ["100000"], None),
    ],
)
def test_the_candidate_for_a_gold_constant(gold: str, texts: list[str], index: int | None):
    assert gold_value(gold, candidates(*texts)) == index


def test_names_alone_link_when_the_index_is_closed(linker: Linker):
    index = CellIndex(sqlite3.connect(":memory:"))
    index.close()
    assert not index
    assert kind_of(Linker(SCHOOL, index).link("age of Ann"), "age", column=AGE) == EXACT


def test_linking_needs_no_torch():
    import subprocess

    code = "import sys, normlab.tasks.text2sql.linking.linker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_candidates_cover_the_gold_constants_of_the_real_validation_questions(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
):
    folder, cache = SpiderFolder(shared_data / "spider"), tmp_path_factory.mktemp("cells")
    linkers: dict[str, Linker] = {}
    found: dict[str, list[bool]] = {"=": [], "like": [], "limit": [], "number": []}
    counts = []
    for row in folder.val:
        schema = folder.schema(row.db_id)
        if row.db_id not in linkers:
            linkers[row.db_id] = Linker(schema, index_cells(folder.database(row.db_id), schema, cache))
        try:
            actions = to_actions(row.query, schema)
        except ParseError:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            values = linkers[row.db_id].link(row.question).values
        counts.append(len(values))
        before = ""
        for kind, text in actions:
            if kind == "value":
                group = before if before in ("like", "limit") else "=" if str(text).startswith("'") else "number"
                found[group].append(gold_value(str(text), values) is not None)
            elif kind == "word":
                before = str(text)
    share = {group: float(np.mean(hits)) for group, hits in found.items()}
    assert share["="] >= 0.94
    assert share["limit"] >= 0.99
    assert share["number"] >= 0.88
    assert share["like"] >= 0.75
    assert np.mean(counts) < 4
