"""Generated databases and questions, for runs of seconds and for tests. Every number on them is a smoke test.

Three small databases (library, harbour, bakery) of two tables with a foreign key, filled from a seed, and
questions from templates that cover every clause. The files have Spider's layout, so the readers are the real
ones; each `db_id` begins with `toy_` and a LABEL file says what they are.
"""

from __future__ import annotations

import csv
import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from normlab.data.sql.schema import Schema, split_words
from normlab.data.sql.spider import COLUMNS, Example, SpiderFolder

LABEL = "Generated databases and questions; scores on them say nothing about real ones.\n"
HELD_OUT = frozenset({"toy_bakery"})
"""The database that the `unseen` view keeps out of training."""


@dataclass(frozen=True)
class _World:
    """One database: the parent table with a name and a number, the child with a kind and a number."""

    db_id: str
    parent: str
    child: str
    number: str
    kind: str
    amount: str
    names: tuple[str, ...]
    kinds: tuple[str, ...]


_WORLDS = (
    _World(
        "toy_library", "Author", "Book", "Birth_Year", "Genre", "Pages",
        ("Ada", "Bela", "Cora", "Dino", "Emil", "Fay"), ("poetry", "crime", "travel"),
    ),
    _World(
        "toy_harbour", "Captain", "Ship", "Age", "Flag", "Tonnage",
        ("Hook", "Nemo", "Ahab", "Sparrow", "Cook", "Drake"), ("Panama", "Malta", "Norway"),
    ),
    _World(
        "toy_bakery", "Baker", "Cake", "Experience", "Flavour", "Price",
        ("Gus", "Ines", "Jon", "Kim", "Lea", "Max"), ("lemon", "cocoa", "vanilla"),
    ),
)  # fmt: skip


def write_toy(folder: Path | str, *, seed: int = 0) -> SpiderFolder:
    """Write the databases, `tables.json`, `train.csv` and `val.csv` into a folder, and return it opened.

    The same seed gives the same rows. An existing database file there is replaced.
    """
    root = Path(folder)
    rng = random.Random(seed)
    rows: list[Example] = []
    entries = []
    for world in _WORLDS:
        path = root / "database" / world.db_id / f"{world.db_id}.sqlite"
        _write_database(path, world, rng)
        entries.append(Schema.from_sqlite(path, world.db_id).entry())
        rows += [Example(world.db_id, query, question) for question, query in _questions(world)]
    (root / "tables.json").write_text(json.dumps(entries), encoding="utf-8")
    (root / "LABEL").write_text(LABEL, encoding="utf-8")
    rng.shuffle(rows)
    cut = len(rows) * 4 // 5
    _write_csv(root / "train.csv", rows[:cut])
    _write_csv(root / "val.csv", rows[cut:])
    return SpiderFolder(root)


def _write_database(path: Path, world: _World, rng: random.Random) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    key = f"{world.parent}_ID"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"CREATE TABLE {world.parent} ({key} INTEGER PRIMARY KEY, Name TEXT, {world.number} INTEGER)"
        )
        connection.execute(
            f"CREATE TABLE {world.child} ({world.child}_ID INTEGER PRIMARY KEY, Title TEXT, "
            f"{world.kind} TEXT, {world.amount} INTEGER, {key} INTEGER REFERENCES {world.parent} ({key}))"
        )
        for number, name in enumerate(world.names, start=1):
            connection.execute(f"INSERT INTO {world.parent} VALUES (?, ?, ?)", (number, name, rng.randrange(20, 70)))
        for number in range(1, 21):
            row = (number, f"{world.child} {number}", rng.choice(world.kinds), rng.randrange(5, 500))
            connection.execute(
                f"INSERT INTO {world.child} VALUES (?, ?, ?, ?, ?)",
                (*row, rng.randrange(1, len(world.names))),
            )


def _questions(world: _World) -> Iterator[tuple[str, str]]:
    """Pairs (question, SQL) from templates: each clause, each aggregate, joins, nesting, set operations."""
    p, c, number, kind, amount = world.parent, world.child, world.number, world.kind, world.amount
    key = f"{p}_ID"
    join = f"FROM {p} AS T1 JOIN {c} AS T2 ON T1.{key} = T2.{key}"
    one, many = split_words(p), f"{split_words(c)}s"
    size, sort, years = split_words(amount), split_words(kind), split_words(number)
    yield f"List the names of all {one}s.", f"SELECT Name FROM {p}"
    yield f"How many {many} are there?", f"SELECT count(*) FROM {c}"
    yield f"Which {sort}s do the {many} have?", f"SELECT DISTINCT {kind} FROM {c}"
    for word, function in (("highest", "max"), ("lowest", "min"), ("average", "avg"), ("total", "sum")):
        yield f"What is the {word} {size} of the {many}?", f"SELECT {function}({amount}) FROM {c}"
    for value in world.kinds:
        yield f"Which {many} are of {sort} {value}?", f"SELECT Title FROM {c} WHERE {kind} = '{value}'"
        yield (
            f"How many {many} have the {sort} {value} and a {size} above 100?",
            f"SELECT count(*) FROM {c} WHERE {kind} = '{value}' AND {amount} > 100",
        )
        yield (
            f"Name the {one}s with {many} of {sort} {value}.",
            f"SELECT T1.Name {join} WHERE T2.{kind} = '{value}'",
        )
    for name in world.names:
        yield f"What is the {years} of {name}?", f"SELECT {number} FROM {p} WHERE Name = '{name}'"
        yield f"Give the titles of the {many} of {name}.", f"SELECT T2.Title {join} WHERE T1.Name = '{name}'"
    for bound in (30, 40, 50):
        yield f"Which {one}s have a {years} over {bound}?", f"SELECT Name FROM {p} WHERE {number} > {bound}"
    yield f"Order the {one}s by {years}.", f"SELECT Name FROM {p} ORDER BY {number} ASC"
    yield (
        f"Which of the {many} has the largest {size}?",
        f"SELECT Title FROM {c} ORDER BY {amount} DESC LIMIT 1",
    )
    yield f"Count the {many} of each {sort}.", f"SELECT {kind} , count(*) FROM {c} GROUP BY {kind}"
    for bound in (1, 3, 5):
        yield (
            f"Which {sort}s have more than {bound} {many}?",
            f"SELECT {kind} FROM {c} GROUP BY {kind} HAVING count(*) > {bound}",
        )
    yield f"How many {many} has each {one}?", f"SELECT T1.Name , count(*) {join} GROUP BY T1.{key}"
    yield f"Which {one}s have no {many}?", f"SELECT Name FROM {p} WHERE {key} NOT IN (SELECT {key} FROM {c})"
    yield (
        f"Which {many} have more than the average {size}?",
        f"SELECT Title FROM {c} WHERE {amount} > (SELECT avg({amount}) FROM {c})",
    )
    first, second = world.kinds[:2]
    for word in ("INTERSECT", "EXCEPT"):
        link = "and also" if word == "INTERSECT" else "but not"
        yield (
            f"Which {one}s have {many} of {sort} {first} {link} of {second}?",
            f"SELECT T1.Name {join} WHERE T2.{kind} = '{first}' {word} "
            f"SELECT T1.Name {join} WHERE T2.{kind} = '{second}'",
        )


def _write_csv(path: Path, rows: list[Example]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows((row.db_id, row.query, row.question) for row in rows)
