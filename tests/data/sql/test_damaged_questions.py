"""Damaged `tables.json` and question files: one line with file and place, or a result; never a traceback or a hang."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from normlab.data.sql.schema import Schema, read_tables
from normlab.data.sql.spider import SpiderFolder, read_examples
from normlab.errors import UserError

SHOP: dict[str, Any] = {
    "db_id": "shop",
    "table_names": ["item", "sale"],
    "table_names_original": ["Item", "Sale"],
    "column_names": [[-1, "*"], [0, "item id"], [0, "name"], [1, "item id"]],
    "column_names_original": [[-1, "*"], [0, "Item_ID"], [0, "Name"], [1, "Item_ID"]],
    "column_types": ["text", "number", "text", "number"],
    "primary_keys": [1],
    "foreign_keys": [[3, 1]],
}
QUESTION = {"db_id": "shop", "query": "SELECT Name FROM Item", "question": "Which items are there?"}


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """The shop with another value at a place, given by keys and numbers."""
    entry: Any = copy.deepcopy(SHOP)
    inner = entry
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return entry  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (changed("db_id", to=7), "db_id: is a whole number"),
        (changed("db_id", to=" "), "db_id: is a text"),
        (changed("db_id", to="../shop"), "database '../shop': db_id names a folder"),
        (changed("table_names", to={}), "database 'shop': table_names: is an object, not a list"),
        (changed("table_names", 1, to=None), "table_names[1]: is null, not a text"),
        (changed("table_names", to=["item"]), "table_names: has 1 entry, but table_names_original has 2"),
        (changed("table_names_original", 1, to="ITEM"), "table_names_original[1]: 'ITEM' is there already, at [0]"),
        (changed("table_names_original", to=[]), "table_names_original: names no table"),
        (changed("column_names_original", to=[]), 'column_names_original[0]: is not [-1, "*"]'),
        (changed("column_names_original", 0, to=[0, "*"]), 'column_names_original[0]: is not [-1, "*"]'),
        (changed("column_names_original", 2, to=[0]), "column_names_original[2]: is a list, not a pair"),
        (changed("column_names_original", 2, to="Name"), "column_names_original[2]: is a text, not a pair"),
        (changed("column_names_original", 2, 0, to=2), "column_names_original[2]: is of table 2, but there are 2"),
        (changed("column_names_original", 2, 0, to=-1), "column_names_original[2]: is of table -1"),
        (changed("column_names_original", 2, 0, to=True), "names its table by true or false"),
        (changed("column_names_original", 2, 1, to=3), "column_names_original[2]: is a whole number, not a text"),
        (changed("column_names_original", 2, 1, to="a\0"), "column_names_original[2]: holds a NUL"),
        (changed("column_names", 1, 1, to="\ud800"), "text with half a character"),
        (changed("column_types", to=["text"]), "column_types: has 1 entry, but column_names_original has 4"),
        (changed("primary_keys", to=[4]), "primary_keys[0]: is column 4, but they go from 1 to 3"),
        (changed("primary_keys", to=[0]), "primary_keys[0]: is column 0"),
        (changed("primary_keys", to=[1.5]), "primary_keys[0]: is a fraction"),
        (changed("primary_keys", to=[[1, "x"]]), "primary_keys[0]: is a text"),
        (changed("foreign_keys", to=[[3]]), "foreign_keys[0]: is a list, not a pair"),
        (changed("foreign_keys", to=[[3, 9]]), "foreign_keys[0]: is column 9"),
        (changed("foreign_keys", to=[3, 1]), "foreign_keys[0]: is a whole number, not a pair"),
        ({"db_id": "shop"}, "database 'shop' lacks the field 'table_names_original'"),
        ([], "tables.json[0]: holds a list where an object"),
        ("shop", "tables.json[0]: holds a text where an object"),
    ],
)
def test_a_damaged_schema_is_named_with_its_place(tmp_path: Path, entry: Any, place: str) -> None:
    path = tmp_path / "tables.json"
    path.write_text(json.dumps([entry]), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_tables(path)
    assert "tables.json" in str(caught.value)
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_is_described_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tables.json").write_text(json.dumps([SHOP, SHOP]))
    with pytest.raises(UserError, match="'shop' is described twice"):
        read_tables(tmp_path / "tables.json")


def test_a_whole_schema_is_read(tmp_path: Path) -> None:
    (tmp_path / "tables.json").write_bytes(b"\xef\xbb\xbf" + json.dumps([SHOP]).encode())
    schema = read_tables(tmp_path / "tables.json")["shop"]
    assert schema.names == {"item": ("item_id", "name"), "sale": ("item_id",)}
    assert (schema.primary_keys, schema.foreign_keys) == ((1,), ((3, 1),))


def test_compound_keys_foreign_types_and_missing_words_are_read() -> None:
    schema = Schema.from_entry(changed("primary_keys", to=[[1, 2], 3]))
    assert schema.primary_keys == (1, 2, 3)
    schema = Schema.from_entry(changed("column_types", to=["text", "integer", "varchar(9)", "real"]))
    assert [column.type for column in schema.columns] == ["text", "number", "text", "number"]
    schema = Schema.from_entry(changed("column_names", 1, 1, to=" "))
    assert schema.columns[1].natural == "item id"


CONTENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty|not valid JSON"),
    "blank": (b" \n", "not valid JSON|lacks the column"),
    "utf16": ("[]".encode("utf-16"), "UTF-16 text|lacks the column"),
    "nul": (b'db_id,query,question\nshop,"SELECT \0",x\n', "NUL byte|not valid JSON"),
    "binary": (bytes(range(256)) * 20, "NUL byte|not UTF-8"),
    "latin": (b'[{"db_id": "caf\xe9"}]', "not UTF-8"),
    "deep": (b"[" * 100_000, "nested too deep|lacks the column"),
    "digits": (b"[" + b"9" * 5000 + b"]", "not valid JSON|lacks the column|is no object|whole number"),
    "object": (b"{}", "holds no list|lacks the column"),
    "numbers": (b"[1, 2]", "is no object|whole number|lacks the column"),
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(
    ("file", "read"), [("tables.json", read_tables), ("dev.json", read_examples), ("val.csv", read_examples)]
)
def test_files_of_other_kinds_are_one_line(tmp_path: Path, name: str, file: str, read: Callable[[Path], Any]) -> None:
    content, problem = CONTENTS[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=problem) as caught:
        read(tmp_path / file)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({**QUESTION, "question": 5}, "dev.json:1: question is no text"),
        ({**QUESTION, "query": None}, "dev.json:1 has no query"),
        ({**QUESTION, "query": ["SELECT"]}, "dev.json:1: query is no text"),
        ({**QUESTION, "db_id": "a\0"}, "dev.json:1: db_id holds a NUL"),
        ([1], "dev.json:1 is no object"),
    ],
)
def test_a_damaged_question_is_named(tmp_path: Path, row: Any, problem: str) -> None:
    (tmp_path / "dev.json").write_text(json.dumps([row]))
    with pytest.raises(UserError) as caught:
        read_examples(tmp_path / "dev.json")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("db_id;query;question\nshop;SELECT 1;What?\n", "separated by semicolons"),
        ("db_id\tquery\tquestion\nshop\tSELECT 1\tWhat?\n", "separated by tabs"),
        ('db_id,query,question\nshop,"SELECT 1,What?\n' + "x" * 200_000, "is a quote never closed"),
    ],
)
def test_a_csv_of_another_form_says_what_was_seen(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "val.csv").write_bytes(text.encode())
    with pytest.raises(UserError, match=problem) as caught:
        read_examples(tmp_path / "val.csv")
    assert "val.csv:1" in str(caught.value) or "val.csv:" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_marks_and_quotes_do_not_matter(tmp_path: Path, line_end: str) -> None:
    lines = ["db_id,query,question,level", 'shop,"SELECT ""a""', 'FROM t",What?,easy', "", "shop,SELECT 1,Which?"]
    (tmp_path / "val.csv").write_bytes(b"\xef\xbb\xbf" + line_end.join(lines).encode())
    first, second = read_examples(tmp_path / "val.csv")
    assert first.query.split() == ["SELECT", '"a"', "FROM", "t"]
    assert (second.question, second.source) == ("Which?", f"{tmp_path / 'val.csv'}:5")


def test_a_folder_in_place_of_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "tables.json").mkdir()
    (tmp_path / "val.csv").mkdir()
    with pytest.raises(UserError, match=r"tables\.json: a folder"):
        read_tables(tmp_path / "tables.json")
    with pytest.raises(UserError, match=r"val\.csv: cannot be read"):
        read_examples(tmp_path / "val.csv")


def test_questions_under_another_name_are_named(tmp_path: Path) -> None:
    (tmp_path / "tables.json").write_text("[]")
    (tmp_path / "validation.csv").write_text("db_id,query,question\n")
    with pytest.raises(UserError, match=r"no val\.csv or dev\.json in .*found: validation\.csv"):
        _ = SpiderFolder(tmp_path).val


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, ...]]:
    """Every place inside a JSON value, as keys and numbers."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, one in inner for path in [(key,), *((key, *rest) for rest in places(one))]]


def attempt(read: Callable[[], Any]) -> tuple[Any, str]:
    """What comes out, or None and the message of a UserError; every other error fails the test."""
    try:
        return read(), ""
    except UserError as error:
        return None, str(error)


once = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@once
@given(place=st.sampled_from(places(SHOP)), value=values)
def test_any_value_in_any_place_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    schema, message = attempt(lambda: Schema.from_entry(changed(*place, to=value), "tables.json"))
    assert "\n" not in message
    if schema is not None:
        assert Schema.from_entry(schema.entry()) == schema
        assert all(column.table < len(schema.tables) for column in schema.columns)


@once
@given(
    cut=st.integers(0, 400),
    junk=st.binary(max_size=6),
    file=st.sampled_from(["tables.json", "dev.json", "val.csv"]),
)
def test_any_damage_to_the_bytes_is_read_or_refused(tmp_path: Path, cut: int, junk: bytes, file: str) -> None:
    csv = ",".join(QUESTION) + "\n" + ",".join(QUESTION.values()) + "\n"
    whole = {"tables.json": json.dumps([SHOP]), "dev.json": json.dumps([QUESTION]), "val.csv": csv}[file].encode()
    cut %= len(whole)
    path = tmp_path / file
    path.write_bytes(whole[:cut] + junk + whole[cut + len(junk) :])
    found, message = attempt(lambda: (read_tables if file == "tables.json" else read_examples)(path))
    assert (found is None) == (file in message)
    assert "\n" not in message


@once
@given(text=st.text(alphabet=string.printable + "é\u2028\x85", max_size=60))
def test_any_text_is_a_question_file_or_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "val.csv"
    path.write_bytes(("db_id,query,question\n" + text).encode())
    rows, message = attempt(lambda: read_examples(path))
    assert "\n" not in message
    assert all(row.db_id and row.query and row.question for row in rows or [])
    assert all(set(row.query).isdisjoint("\t\r\n") for row in rows or [])
