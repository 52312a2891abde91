"""A text-to-SQL model of a few seconds, and a shop to ask."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import normlab


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ask") / "run"
    return normlab.train("text2sql", out=out, preset="smoke", epochs=2, threads=1).path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop #1?.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);"
        "INSERT INTO item (name, price) VALUES ('pen', 1.5), ('ink', 4), ('map', NULL);"
    )
    connection.close()
    return path
