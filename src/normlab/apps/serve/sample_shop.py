"""A small shop as an SQLite file, made by code: a database to ask for people who have none at hand."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

QUESTIONS = (
    "How many customers are there?",
    "What is the average price of products?",
    "List the names of customers from Berlin.",
    "Which product has the highest price?",
    "How many orders did each customer make?",
    "Show the names of products that were never ordered.",
)

_TABLES = """
CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, name TEXT, city TEXT, age INTEGER);
CREATE TABLE product (product_id INTEGER PRIMARY KEY, name TEXT, category TEXT, price REAL);
CREATE TABLE orders (
  order_id INTEGER PRIMARY KEY,
  customer_id INTEGER REFERENCES customer(customer_id),
  product_id INTEGER REFERENCES product(product_id),
  quantity INTEGER,
  order_date TEXT
);
"""
_CUSTOMERS = (
    *(("Ada Novak", "Berlin", 34), ("Ben Okafor", "Lagos", 51), ("Carla Rossi", "Rome", 28)),
    *(("Deepa Rao", "Mumbai", 45), ("Emil Larsen", "Oslo", 39), ("Fatima Haddad", "Cairo", 23)),
    *(("Goran Petrov", "Berlin", 62), ("Hana Sato", "Tokyo", 31), ("Ivan Costa", "Lisbon", 47)),
    *(("Julia Meyer", "Berlin", 19), ("Kofi Mensah", "Accra", 36), ("Lucia Perez", "Madrid", 55)),
)
_PRODUCTS = (
    *(("lamp", "home", 39.9), ("desk", "home", 189.0), ("kettle", "kitchen", 24.5), ("pan", "kitchen", 31.0)),
    *(("novel", "books", 12.9), ("atlas", "books", 45.0), ("tent", "outdoor", 129.0), ("compass", "outdoor", 18.5)),
)
_NEVER_ORDERED = 1  # the last products of the list
_ORDERS = 40


def write_shop(path: Path) -> Path:
    """Write the shop to a new file and return its path."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(_TABLES)
        connection.executemany("INSERT INTO customer (name, city, age) VALUES (?, ?, ?)", _CUSTOMERS)
        connection.executemany("INSERT INTO product (name, category, price) VALUES (?, ?, ?)", _PRODUCTS)
        connection.executemany(
            "INSERT INTO orders (customer_id, product_id, quantity, order_date) VALUES (?, ?, ?, ?)",
            [_order(number) for number in range(_ORDERS)],
        )
    return path


def _order(number: int) -> tuple[int, int, int, str]:
    """Return an order that looks arbitrary and is the same every time."""
    customer = number * 7 % (len(_CUSTOMERS) - 1) + 1
    product = number * 5 % (len(_PRODUCTS) - _NEVER_ORDERED) + 1
    return customer, product, number * 3 % 4 + 1, f"2025-{number % 12 + 1:02d}-{number * 11 % 28 + 1:02d}"
