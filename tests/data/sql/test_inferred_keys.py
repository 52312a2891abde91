"""Keys that a database does not declare: what names and values must say together, and what a query does without."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from normlab.data.sql.inferred_keys import infer_keys
from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.grammar.automaton import END, word
from normlab.tasks.text2sql.grammar.linearize import joined_without_key, to_actions, to_sql


def inferred(path: Path, script: str) -> tuple[Schema, set[tuple[str, str]]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    schema = infer_keys(path, Schema.from_sqlite(path))
    assert schema.inferred_keys is not None

    def name(number: int) -> str:
        column = schema.columns[number]
        return f"{schema.tables[column.table].name}.{column.name}"

    return schema, {(name(child), name(parent)) for child, parent in schema.inferred_keys}


CUSTOMERS = "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO customers VALUES (1,'a'),(2,'b');"


@pytest.mark.parametrize("column", ["customer_id", "customerId", "customer", "Customers_ID"])
def test_names_and_values_together_make_a_key(tmp_path: Path, column: str) -> None:
    orders = f"""CREATE TABLE orders (id INTEGER PRIMARY KEY, {column} INT);
        INSERT INTO orders VALUES (1,2),(2,2),(3,NULL);"""
    schema, keys = inferred(tmp_path / "shop.sqlite", CUSTOMERS + orders)
    assert keys == {(f"orders.{column}", "customers.id")}
    actions = [("table", 0), ("table", 1), word("select"), word("count"), ("column", 0), END]
    assert to_sql(actions, schema) == (f"SELECT count(*) FROM customers AS T1 JOIN orders AS T2 ON T1.id = T2.{column}")
    assert joined_without_key(actions, schema) == ()


@pytest.mark.parametrize(
    "orders",
    [
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INT)",  # no values
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INT); INSERT INTO orders VALUES (1,2),(2,9)",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id TEXT); INSERT INTO orders VALUES (1,'b')",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INT); INSERT INTO orders VALUES (1,2)",
    ],
)
def test_without_support_there_is_no_key_and_the_join_is_told(tmp_path: Path, orders: str) -> None:
    schema, keys = inferred(tmp_path / "shop.sqlite", CUSTOMERS + orders)
    assert keys == set()
    actions = [("table", 0), ("table", 1), word("select"), word("count"), ("column", 0), END]
    assert joined_without_key(actions, schema) == ("orders",)


def test_a_referred_column_with_a_value_twice_is_no_key(tmp_path: Path) -> None:
    script = """CREATE TABLE customers (id INT); INSERT INTO customers VALUES (1),(1),(2);
        CREATE TABLE orders (id INT, customer_id INT); INSERT INTO orders VALUES (1,1);"""
    assert inferred(tmp_path / "shop.sqlite", script)[1] == set()


@pytest.mark.parametrize("first, second", [("origin", "destination"), ("destination", "origin")])
def test_of_two_keys_the_named_one_joins(tmp_path: Path, first: str, second: str) -> None:
    keys = f"{first} TEXT REFERENCES airport, {second} TEXT REFERENCES airport"
    script = f"""CREATE TABLE airport (code TEXT PRIMARY KEY, city TEXT);
        CREATE TABLE flight (no INTEGER PRIMARY KEY, {keys});"""
    schema, _ = inferred(tmp_path / "air.sqlite", script)
    actions = [("table", 0), ("table", 1), word("select"), word("count"), ("column", 0), END]
    for wanted in (first, second):
        named = [int(column.name == wanted) for column in schema.columns]
        assert to_sql(actions, schema, named).endswith(f"ON T1.code = T2.{wanted}")


def test_inferring_keys_leaves_the_fingerprint_of_questions_as_it_was(tmp_path: Path) -> None:
    """Fingerprints are made of schemas as text: runs trained before keys were inferred must stay measurable."""
    schema, _ = inferred(tmp_path / "shop.sqlite", CUSTOMERS)
    assert "inferred_keys" not in repr(schema)


def test_the_key_that_the_query_uses_elsewhere_joins(tmp_path: Path) -> None:
    script = f"""{CUSTOMERS}
    CREATE TABLE likes (giver INTEGER REFERENCES customers(id), taker INTEGER REFERENCES customers(id));"""
    schema, _ = inferred(tmp_path / "shop.sqlite", script)
    number = {column.name: index for index, column in enumerate(schema.columns)}
    sql = "SELECT count(*) FROM customers AS T1 JOIN likes AS T2 ON T1.id = T2.{0} GROUP BY T2.{0}"
    for key in ("giver", "taker"):
        named = [0] * len(schema.columns)
        named[number["giver" if key == "taker" else "taker"]] = 3  # the question names the other one
        assert to_sql(to_actions(sql.format(key), schema), schema, named) == sql.format(key)


GARAGE = """
    CREATE TABLE cust (cid INTEGER, nm TEXT, code TEXT);
    INSERT INTO cust VALUES (1, 'Ann', 'a'), (2, 'Bo', 'b'), (3, 'Cy', 'c');
    CREATE TABLE veh (vid INTEGER, cid INTEGER, code TEXT);
    INSERT INTO veh VALUES (10, 1, 'a'), (11, 3, 'b'), (12, 3, 'a');
    CREATE TABLE job (jno INTEGER, vid INTEGER);
    INSERT INTO job VALUES (100, 10), (101, 12), (102, 10);
    CREATE TABLE part (jno INTEGER, qty INTEGER);
    INSERT INTO part VALUES (100, 2), (100, 1), (102, 3);
"""


def test_the_first_column_of_a_table_without_a_primary_key_is_referred_to_by_its_own_name(tmp_path: Path) -> None:
    _, keys = inferred(tmp_path / "garage.sqlite", GARAGE)
    assert keys == {("veh.cid", "cust.cid"), ("job.vid", "veh.vid"), ("part.jno", "job.jno")}


def test_first_columns_called_id_are_not_the_same(tmp_path: Path) -> None:
    script = "CREATE TABLE a (id INTEGER, x TEXT); INSERT INTO a VALUES (1, 'p'), (2, 'q');"
    _, keys = inferred(
        tmp_path / "ids.sqlite", script + script.replace("TABLE a", "TABLE b").replace("INTO a", "INTO b")
    )
    assert keys == set()
