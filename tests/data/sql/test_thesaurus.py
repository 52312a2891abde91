"""Everyday words for tables and columns: what they name, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from normlab.data.sql.schema import Column, Schema, Table
from normlab.data.sql.thesaurus import further_names, together
from normlab.tasks.text2sql.linking.linker import NONE, PARTIAL, STEM, Linker


def schema_of(**tables: list[str]) -> Schema:
    columns = [Column(-1, "*", "*", "text")]
    for number, names in enumerate(tables.values()):
        columns += [Column(number, name, name.replace("_", " "), "text") for name in names]
    return Schema("made", tuple(Table(name, name.replace("_", " ")) for name in tables), tuple(columns), (), ())


SHOP = schema_of(employee=["name", "salary"], product=["title", "unit_price"])


def links(question: str, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    linked = Linker(schema, further=further_names(schema)).link(question)
    return linked.table_links, linked.column_links


@pytest.mark.parametrize(
    "word, table",
    [("staff", 0), ("workers", 0), ("items", 1), ("merchandise", 1)],
)
def test_another_word_for_a_table_links_as_its_name_does(word: str, table: int) -> None:
    found, _ = links(f"How many {word} are there?", SHOP)
    assert found[2, table] >= STEM
    assert found[2, 1 - table] == NONE


def test_another_word_for_a_column_links_and_for_a_part_of_its_name_links_as_a_part() -> None:
    _, whole = links("Show the wage", SHOP)
    assert whole[2, 2] >= STEM
    _, part = links("Show the cost", SHOP)
    assert part[2].tolist() == [NONE, NONE, NONE, NONE, PARTIAL]


def test_a_word_that_the_schema_has_itself_is_given_to_nothing_else() -> None:
    schema = schema_of(employee=["name"], staff_meeting=["day"])
    assert not any("staff" in name for names in further_names(schema).tables for name in names)
    found, _ = links("List all staff", schema)
    assert found[2, 0] == NONE
    assert found[2, 1] == PARTIAL


def test_names_of_both_are_joined() -> None:
    one = further_names(SHOP)
    assert together(one, None) == one
    both = together(one, one)
    assert both.tables[0] == one.tables[0] * 2
    assert both.column_parts[4].split() == one.column_parts[4].split() * 2
