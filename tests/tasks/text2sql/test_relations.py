"""Relations between nodes: what each pair is called, and that every relation has its reverse."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text2sql_school import ENTRY

from normlab.data.sql.cells import CellIndex
from normlab.data.sql.schema import Column, Schema, Table
from normlab.tasks.text2sql.linking.linker import Linked, Linker
from normlab.tasks.text2sql.linking.relations import RELATIONS, REVERSE, relation_ids
from normlab.tasks.text2sql.linking.values import ValueCandidate

SCHOOL = Schema.from_entry(ENTRY)
QUESTION = "What is the name of students who own a pet of 12?"
WORDS = Linker(SCHOOL).link(QUESTION)


def node(kind: str, name: str | int, linked: Linked = WORDS, schema: Schema = SCHOOL) -> int:
    start = {"word": 0, "table": len(linked.words)}
    start["column"] = start["table"] + len(schema.tables)
    start["value"] = start["column"] + len(schema.columns)
    if kind == "word":
        return linked.words.index(str(name))
    if kind == "table":
        return start["table"] + [table.name for table in schema.tables].index(str(name))
    return start[kind] + int(name)


def between(one: tuple[str, str | int], other: tuple[str, str | int]) -> str:
    return RELATIONS[relation_ids(WORDS, SCHOOL)[node(*one), node(*other)]]


@pytest.mark.parametrize(
    "one, other, name",
    [
        (("word", "what"), ("word", "what"), "word 0"),
        (("word", "what"), ("word", "is"), "word +1"),
        (("word", "name"), ("word", "what"), "word -2"),
        (("word", "name"), ("column", 2), "word-column exact"),
        (("column", 2), ("word", "name"), "column-word exact"),
        (("word", "students"), ("table", "Student"), "word-table stem"),
        (("word", "students"), ("column", 1), "word-column partial"),
        (("word", "who"), ("table", "Pet"), "word-table none"),
        (("table", "Student"), ("table", "Student"), "table same"),
        (("table", "Owns"), ("table", "Pet"), "table refers"),
        (("table", "Pet"), ("table", "Owns"), "table referred"),
        (("table", "Pet"), ("table", "Student"), "table other"),
        (("column", 1), ("column", 1), "column same"),
        (("column", 1), ("column", 2), "column same table"),
        (("column", 8), ("column", 1), "column refers"),
        (("column", 1), ("column", 8), "column referred"),
        (("column", 2), ("column", 6), "column other"),
        (("column", 0), ("column", 6), "column other"),
        (("table", "Student"), ("column", 1), "table-column key"),
        (("table", "Student"), ("column", 2), "table-column own"),
        (("table", "Student"), ("column", 8), "table-column referring"),
        (("table", "Owns"), ("column", 8), "table-column own"),
        (("table", "Pet"), ("column", 0), "table-column star"),
        (("column", 0), ("table", "Pet"), "column-table star"),
        (("word", "12"), ("value", 0), "word-value inside"),
        (("value", 0), ("word", "12"), "value-word inside"),
        (("value", 0), ("word", "pet"), "value-word other"),
        (("value", 0), ("value", 0), "value same"),
        (("value", 0), ("value", 1), "value other"),
        (("value", 2), ("word", "12"), "value-word other"),
    ],
)
def test_a_pair_has_its_relation(one: tuple[str, str | int], other: tuple[str, str | int], name: str):
    assert between(one, other) == name


def test_a_cell_relates_word_value_column_and_table():
    linked = Linker(SCHOOL).link("students in Rome")
    linked.cell_links[2, 4] = True
    rome = ValueCandidate("'Rome'", 2, 3, (4,), "cell")
    linked = replace(linked, values=(rome,))
    ids = relation_ids(linked, SCHOOL)
    word, city, value = (node(kind, name, linked) for kind, name in (("word", "rome"), ("column", 4), ("value", 0)))
    assert RELATIONS[ids[word, city]] == "word-column cell"
    assert RELATIONS[ids[value, city]] == "value-column holds"
    assert RELATIONS[ids[node("table", "Student", linked), value]] == "table-value holds"
    assert RELATIONS[ids[node("table", "Pet", linked), value]] == "table-value other"


def test_tables_that_refer_to_each_other_are_both():
    columns = (Column(-1, "*", "*", "text"), Column(0, "a", "a", "text"), Column(1, "b", "b", "text"))
    schema = Schema("d", (Table("x", "x"), Table("y", "y")), columns, (), ((1, 2), (2, 1), (1, 1)))
    linked = Linker(schema).link("q")
    ids = relation_ids(linked, schema)
    assert RELATIONS[ids[1, 2]] == RELATIONS[ids[2, 1]] == "table both"
    assert np.array_equal(ids.T, REVERSE[ids])


def random_schema(rng: random.Random) -> Schema:
    tables = tuple(Table(f"t{n}", rng.choice(["student", "pet house", "x"])) for n in range(rng.randint(0, 6)))
    columns = [Column(-1, "*", "*", "text")]
    for table in range(len(tables)):
        columns += [
            Column(table, f"c{n}", rng.choice(["name", "pet id", "y"]), "text") for n in range(rng.randint(1, 5))
        ]
    numbers = range(len(columns))
    keys = tuple(rng.sample(numbers, rng.randint(0, len(columns) - 1)))
    pairs = tuple((rng.choice(numbers), rng.choice(numbers)) for _ in range(rng.randint(0, 8)))
    return Schema("d", tables, tuple(columns), keys, pairs)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(["pet", QUESTION, "Ann's 2 pets in 'Rome'", "x y name of Bob Dylan 3"]))
def test_every_relation_has_its_reverse_and_its_place(seed: int, question: str):
    rng = random.Random(seed)
    schema = random_schema(rng)
    linked = Linker(schema, CellIndex()).link(question)
    for column in range(1, len(schema.columns)):
        linked.cell_links[:, column] = rng.random() < 0.3
    columns = range(1, len(schema.columns))
    own = [replace(value, columns=(rng.choice(columns),) if columns else ()) for value in linked.values]
    linked = replace(linked, values=tuple(own))
    ids = relation_ids(linked, schema)
    sizes = (len(linked.words), len(schema.tables), len(schema.columns), len(linked.values))
    assert ids.dtype == np.uint8
    assert ids.shape == (sum(sizes), sum(sizes))
    assert np.array_equal(ids.T, REVERSE[ids])
    kinds = np.repeat(["word", "table", "column", "value"], sizes)
    for i, j in np.ndindex(*ids.shape):
        ends = {RELATIONS[ids[i, j]].split(" ")[0], "-".join(dict.fromkeys((kinds[i], kinds[j])))}
        assert len(ends) == 1


def test_relations_are_named_once_and_reversing_twice_changes_nothing():
    assert len(set(RELATIONS)) == len(RELATIONS) <= 256
    assert np.array_equal(REVERSE[REVERSE], np.arange(len(RELATIONS)))
    assert RELATIONS[0] == "none"


def test_the_part_of_the_schema_is_computed_once():
    from normlab.tasks.text2sql.linking.relations import _schema_relations

    relation_ids(WORDS, SCHOOL)
    before = _schema_relations.cache_info()
    relation_ids(WORDS, Schema.from_entry(ENTRY))
    after = _schema_relations.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 1)


def test_a_result_may_be_changed_without_changing_the_next():
    relation_ids(WORDS, SCHOOL)[:] = 0
    assert relation_ids(WORDS, SCHOOL).any()
