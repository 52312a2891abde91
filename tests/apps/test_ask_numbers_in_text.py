"""Numbers kept as texts are sorted, compared and added as numbers; other texts are not added at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from normlab.apps.ask.answer import Reading
from normlab.apps.ask.cell_rules import CellRules
from normlab.apps.ask.database import Database
from normlab.apps.ask.numbers_in_text import with_numbers
from normlab.data.sql.text_numbers import NumberForm

FORMS = {
    ("product", "price"): NumberForm("N({c})", plain=False, example="$9", blanks=("n/a",)),
    ("product", "stock"): NumberForm("M({c})"),
    ("sale", "net sum"): NumberForm("K({c})"),
}


def _changed(sql: str) -> str:
    return with_numbers(sql, lambda table, column: FORMS.get((table.lower(), column.lower())))[0]


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        (
            "SELECT name FROM product ORDER BY stock DESC LIMIT 1",
            "SELECT name FROM product ORDER BY M(stock) DESC LIMIT 1",
        ),
        (
            "SELECT name FROM product ORDER BY price ASC LIMIT 1",
            "SELECT name FROM product ORDER BY N(price) ASC NULLS LAST LIMIT 1",
        ),
        (
            "SELECT name FROM product WHERE stock > 5 AND price BETWEEN 1 AND 2 OR stock != '7' AND stock < -3",
            "SELECT name FROM product WHERE M(stock) > 5 AND N(price) BETWEEN 1 AND 2 OR M(stock) != '7' "
            "AND M(stock) < -3",
        ),
        (
            "SELECT avg(stock) , sum(DISTINCT price) , count(stock) , stock FROM product GROUP BY stock",
            'SELECT avg(M(stock)) AS "avg(stock)" , sum(DISTINCT N(price)) , count(stock) , stock FROM product '
            "GROUP BY stock",
        ),
        (
            'SELECT T2.name FROM sale AS T1 JOIN Product AS T2 ON T1.id = T2.stock WHERE T1."net sum" > '
            "(SELECT avg(price) FROM product) ORDER BY T2.stock DESC",
            'SELECT T2.name FROM sale AS T1 JOIN Product AS T2 ON T1.id = T2.stock WHERE K(T1."net sum") > '
            "(SELECT avg(N(price)) FROM product) ORDER BY M(T2.stock) DESC",
        ),
        (
            "SELECT name FROM product WHERE price = (SELECT max(price) FROM product) UNION SELECT a FROM sale "
            'WHERE "net sum" NOT BETWEEN 1 AND 3',
            "SELECT name FROM product WHERE N(price) = (SELECT max(N(price)) FROM product) UNION SELECT a FROM sale "
            'WHERE K("net sum") NOT BETWEEN 1 AND 3',
        ),
        ("SELECT price * stock FROM product", "SELECT N(price) * M(stock) FROM product"),
        ("SELECT name FROM product WHERE price > stock", "SELECT name FROM product WHERE N(price) > M(stock)"),
        (
            "SELECT a FROM product GROUP BY a HAVING avg(stock) > 3 ORDER BY max(price) DESC",
            "SELECT a FROM product GROUP BY a HAVING avg(M(stock)) > 3 ORDER BY max(N(price)) DESC",
        ),
    ],
)
def test_numbers_take_the_place_of_texts(sql: str, changed: str) -> None:
    assert _changed(sql) == changed


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT price , stock FROM product",
        "SELECT count(DISTINCT price) FROM product GROUP BY price",
        "SELECT name FROM product WHERE stock IN (SELECT stock FROM product)",
        "SELECT name FROM product WHERE price LIKE '%5%' AND name = 'stock > 5'",
        "SELECT name FROM product WHERE price = '$9'",
        "SELECT name FROM product WHERE date(price) > '2020-01-01'",
        "SELECT T1.stock FROM other AS T1 ORDER BY T1.stock DESC",
        "SELECT sum(stock) FROM product , sale",  # whose column it is, is not plain
        "SELECT 'sum(price) FROM product'",
    ],
)
def test_other_uses_stay(sql: str) -> None:
    assert _changed(sql) == sql


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE product (id TEXT, name TEXT, price TEXT, stock TEXT, listed TEXT);"
            "INSERT INTO product VALUES ('1', 'Lamp', '$900', '12', '2024-01-03'),"
            "('2', 'Sofa', '$1,200', '7', '2024-02-03'), ('3', 'Desk', '$85', '100', '2023-12-01'),"
            "('4', 'Chair', 'n/a', '55', '2024-05-09');"
        )
    with Database(path, "spider-sql") as database:
        yield database


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("What is the most expensive product?", [("Sofa",)]),
        ("What is the cheapest product?", [("Desk",)]),
        ("What is the average price of products?", [(2185 / 3,)]),
        ("Show the names of products that cost more than 100.", [("Lamp",), ("Sofa",)]),
        ("List the products by stock, highest first.", [("Desk",), ("Chair",), ("Lamp",), ("Sofa",)]),
        ("What is the total stock?", [(174,)]),
    ],
)
def test_answers_go_by_the_numbers(shop: Database, question: str, rows: list[tuple[object, ...]]) -> None:
    answer = shop.question(question)
    assert answer.rows == rows
    assert any(note.startswith("texts are read as numbers: product.") for note in answer.notes)


def test_a_mean_has_a_title_without_the_cast(shop: Database) -> None:
    answer = shop.question("What is the average price of products?")
    assert answer.columns == ("avg(price)",)
    assert "texts are read as numbers: product.price (such as '$900', 'n/a' as no value)" in answer.notes


def test_what_cannot_be_compared_is_not_run(shop: Database) -> None:
    answer = shop.question("Which products were listed before 5?")
    assert answer.withheld
    assert not answer.rows
    why = "product.listed holds texts such as '2024-01-03', which cannot be compared with 5"
    assert f"not run: {why}: ask in other words" in answer.notes


READINGS = [
    Reading("SELECT avg(name) FROM product", 0.5),
    Reading("SELECT avg(price) FROM product", 0.3),
    Reading("SELECT min(listed) FROM product WHERE name > 5", 0.1),
]


def test_texts_are_not_compared_with_a_mean(shop: Database) -> None:
    rules = CellRules(shop.path, shop.run)
    checked = rules.check("SELECT name FROM product WHERE listed > (SELECT avg(stock) FROM product)")
    assert checked.wrong.endswith("which cannot be compared with an average or a sum")
    assert not rules.check("SELECT name FROM product WHERE stock > (SELECT avg(stock) FROM product)").wrong
    assert not rules.check("SELECT name FROM product WHERE listed > (SELECT min(listed) FROM product)").wrong


def test_a_column_that_the_question_does_not_name_is_passed_over(shop: Database) -> None:
    looked = CellRules(shop.path, shop.run).look_at(READINGS, lambda *column: False)
    assert [one.probability for one in looked.readings] == [0.3, 0.5, 0.1]
    assert looked.passed_over
    assert not looked.wrong
    assert looked.notes[0] == (
        "a better-ranked reading is passed over (product.name holds texts such as 'Lamp', which cannot be added or "
        "averaged): SELECT avg(name) FROM product"
    )


def test_a_column_that_the_question_names_is_not_replaced_by_another(shop: Database) -> None:
    looked = CellRules(shop.path, shop.run).look_at(READINGS, lambda *column: column == ("product", "name"))
    assert looked.readings[0].sql == READINGS[0].sql
    assert looked.wrong.startswith("product.name holds texts such as 'Lamp'")
    assert not looked.passed_over


def test_an_example_stays_as_its_user_wrote_it(shop: Database) -> None:
    example = Reading("SELECT avg(name) FROM product", 0.5, by_example=1)
    looked = CellRules(shop.path, shop.run).look_at([example], lambda *column: True)
    assert (looked.readings, looked.wrong) == ([example], "")


def test_a_list_sorted_letter_by_letter_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mixed.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE box (weight TEXT); INSERT INTO box VALUES ('5'), ('12'), ('about 7');")
    with Database(path, "spider-sql") as database:
        checked = CellRules(path, database.run).check("SELECT weight FROM box ORDER BY weight ASC")
    assert checked.notes == ("box.weight is sorted letter by letter: 'about 7' is no number of one form",)
