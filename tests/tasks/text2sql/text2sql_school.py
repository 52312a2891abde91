"""A small school for the text-to-SQL tests: its entry of `tables.json` and its SQL script."""

from __future__ import annotations

from typing import Any

ENTRY: dict[str, Any] = {
    "db_id": "school",
    "table_names": ["student", "pet", "owns"],
    "table_names_original": ["Student", "Pet", "Owns"],
    "column_names": [
        [-1, "*"],
        [0, "student id"],
        [0, "name"],
        [0, "age"],
        [0, "city"],
        [1, "pet id"],
        [1, "kind"],
        [1, "weight"],
        [2, "student id"],
        [2, "pet id"],
    ],
    "column_names_original": [
        [-1, "*"],
        [0, "StuID"],
        [0, "Name"],
        [0, "Age"],
        [0, "City"],
        [1, "PetID"],
        [1, "Kind"],
        [1, "Weight"],
        [2, "StuID"],
        [2, "PetID"],
    ],
    "column_types": [
        "text",
        "number",
        "text",
        "number",
        "text",
        "number",
        "text",
        "number",
        "number",
        "number",
    ],
    "primary_keys": [1, 5],
    "foreign_keys": [[8, 1], [9, 5]],
}

SCRIPT = """
CREATE TABLE Student (StuID INTEGER PRIMARY KEY, Name TEXT, Age INTEGER, City TEXT);
CREATE TABLE Pet (PetID INTEGER PRIMARY KEY, Kind TEXT, Weight REAL);
CREATE TABLE Owns (StuID INTEGER REFERENCES Student (StuID), PetID INTEGER REFERENCES Pet (PetID));
INSERT INTO Student VALUES (1, 'Ann', 20, 'Rome'), (2, 'Bob', 22, 'Oslo'), (3, 'Cid', 20, 'Rome');
INSERT INTO Pet VALUES (1, 'dog', 12.5), (2, 'cat', 4.0), (3, 'dog', 30.0);
INSERT INTO Owns VALUES (1, 1), (1, 2), (3, 3);
"""
