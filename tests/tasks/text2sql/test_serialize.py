"""Question and schema as word pieces: every node's own pieces, and what goes first when room is short."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text2sql_school import ENTRY

from normlab.data.sql.schema import Column, Schema, Table
from normlab.errors import UserError
from normlab.tasks.text2sql.inputs.serialize import Serialized, serialize
from normlab.tasks.text2sql.linking.linker import Linked, Linker
from normlab.tasks.text2sql.linking.values import ValueCandidate

SCHOOL = Schema.from_entry(ENTRY)


class Letters:
    """A tokenizer whose pieces are short words, or else pairs of letters, numbered as they come."""

    def __init__(self) -> None:
        self.names = ["[PAD]", "[CLS]", "[SEP]"]
        self.pad, self.cls, self.sep = range(3)

    def pieces(self, text: str) -> tuple[int, ...]:
        found = []
        for word in text.split() or ["[UNK]"]:
            for piece in [word] if len(word) < 8 else [word[at : at + 2] for at in range(0, len(word), 2)]:
                if piece not in self.names:
                    self.names.append(piece)
                found.append(self.names.index(piece))
        return tuple(found)

    def text(self, serialized: Serialized) -> str:
        return " ".join(self.names[piece] for piece in serialized.pieces)

    def node(self, serialized: Serialized, node: int) -> str:
        inside = serialized.pieces[serialized.starts[node] : serialized.ends[node]]
        return " ".join(self.names[piece] for piece in inside)


def linked_to(question: str, *values: ValueCandidate) -> Linked:
    return replace(Linker(SCHOOL).link(question), values=values)


ROME = ValueCandidate("'Rome'", 3, 4, (4,), "cell")
ONE = ValueCandidate("1", 0, 0, (), "constant")
QUESTION = "Which students in Rome?"
WHOLE = (
    "[CLS] Which students in Rome ? [SEP] * [SEP] student : student id , name , age , city ( Rome ) [SEP] "
    "pet : pet id , kind , weight [SEP] owns : student id , pet id [SEP]"
).replace("students", "st ud en ts")


def test_the_sequence_reads_as_described():
    coder = Letters()
    assert coder.text(serialize(linked_to(QUESTION, ROME), SCHOOL, coder)) == WHOLE


def test_every_node_has_its_own_pieces():
    coder, linked = Letters(), linked_to(QUESTION, ROME, ONE)
    found = serialize(linked, SCHOOL, coder)
    names = [
        "Which",
        "st ud en ts",
        "in",
        "Rome",
        "?",
        "student",
        "pet",
        "owns",
        "*",
        "student id",
        "name",
        "age",
        "city",
    ]
    names += ["pet id", "kind", "weight", "student id", "pet id", "Rome", "[CLS]"]
    assert [coder.node(found, node) for node in range(len(names))] == names
    assert len(found.starts) == len(names)
    assert not found.dropped
    assert found.segments.tolist() == [0] * 10 + [1] * (len(found.pieces) - 10)


def test_tables_stand_in_the_order_asked_for_and_nodes_keep_theirs():
    coder, linked = Letters(), linked_to(QUESTION)
    found = serialize(linked, SCHOOL, coder, order=[2, 0, 1])
    text = coder.text(found)
    assert text.index("owns :") < text.index("student :") < text.index("pet :")
    assert coder.node(found, 5) == "student"
    assert found.key != serialize(linked, SCHOOL, coder).key
    assert found.key == serialize(linked, SCHOOL, coder, order=[2, 0, 1]).key


def test_a_table_that_is_left_out_has_no_pieces_and_neither_have_its_columns_and_cells():
    coder, linked = Letters(), linked_to(QUESTION, ROME)
    found = serialize(linked, SCHOOL, coder, order=[2, 1])
    assert coder.text(found) == (
        "[CLS] Which students in Rome ? [SEP] * [SEP] "
        "owns : student id , pet id [SEP] pet : pet id , kind , weight [SEP]"
    ).replace("students", "st ud en ts")
    assert [coder.node(found, node) for node in (5, 9, 12, 13)] == ["", "", "", "pet id"]
    assert found.dropped == (5, 9, 10, 11, 12)


@pytest.mark.parametrize("order", [[0, 0, 1], [0, 1, 3], [0, 1, 2, 3], [-1]])
def test_an_order_that_names_a_table_twice_or_one_that_is_not_there_is_refused(order: list[int]):
    with pytest.raises(ValueError, match="some of 3 tables"):
        serialize(linked_to(QUESTION), SCHOOL, Letters(), order=order)


def test_what_is_needed_least_goes_first():
    linked = linked_to("name of students in Rome", ROME)
    linked.cell_links[4, 4] = True
    whole = len(serialize(linked, SCHOOL, Letters()).pieces)
    gone: list[int] = []
    for limit in range(whole - 1, 7, -1):
        coder = Letters()
        found = serialize(linked, SCHOOL, coder, limit=limit)
        assert "( Rome )" not in coder.text(found)
        assert set(gone) <= set(found.dropped)
        gone += sorted(set(found.dropped) - set(gone), reverse=True)
    weight, kind, age, owns_pet, pet_id, owns_student, student_id, city, name = (
        8 + n for n in (7, 6, 3, 9, 5, 8, 1, 4, 2)
    )
    student, pet, owns, value = 5, 6, 7, 18
    columns = [weight, kind, age, owns_pet, pet_id, pet, owns_student, student_id, city, name]
    assert gone == [*columns, owns, student, 4, value, 3, 2]


def test_too_small_a_limit_is_the_users_mistake():
    with pytest.raises(UserError, match="at least 8"):
        serialize(linked_to(QUESTION), SCHOOL, Letters(), limit=7)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(8, 120))
def test_a_limit_holds_and_each_node_has_pieces_or_is_listed(seed: int, limit: int):
    rng = random.Random(seed)
    tables = tuple(Table(f"t{n}", rng.choice(["student", "a long long name", "unpronounceable"])) for n in range(4))
    columns = [Column(-1, "*", "*", "text")]
    for table in range(rng.randint(0, len(tables))):
        columns += [
            Column(table, "c", rng.choice(["name", "pet id", "x" * 60]), "text") for _ in range(rng.randint(0, 6))
        ]
    schema = Schema("d", tables, tuple(columns), (), ())
    words = rng.choices(["pet", "of", "student", "'Bob'", "3", "y" * 40], k=rng.randint(1, 40))
    linked = Linker(schema).link(" ".join(words) if any(w != "'" for w in words) else "pet")
    order = rng.sample(range(4), 4)
    coder = Letters()
    found = serialize(linked, schema, coder, limit=limit, order=order)
    assert len(found.pieces) == len(found.segments) <= limit
    assert coder.names[found.pieces[0]] == "[CLS]"
    assert coder.names[found.pieces[-1]] == "[SEP]"
    assert set(found.dropped) == set(np.flatnonzero(found.starts == found.ends).tolist())
    assert (found.starts <= found.ends).all()
    assert (found.ends <= len(found.pieces)).all()
    assert found.ends[0] > found.starts[0]  # the first word always stays
    names = [*linked.texts, *(t.natural for t in tables), *(c.natural for c in columns)]
    assert len(found.starts) == len(names) + len(linked.values)
    taken = np.zeros(len(found.pieces), dtype=int)
    for node, name in enumerate(names):
        if node not in found.dropped:
            pieces = coder.pieces(name)[:16]
            inside = tuple(found.pieces[found.starts[node] : found.ends[node]])
            assert inside == pieces or (node == 0 and inside == pieces[:1])
            taken[found.starts[node] : found.ends[node]] += 1
    assert taken.max() <= 1  # no piece belongs to two words or names
    if len(serialize(linked, schema, coder, limit=10**6, order=order).pieces) <= limit:
        assert set(found.dropped) <= set(range(len(names), len(found.starts)))
