"""The small school as a schema, and as a folder in Spider's layout."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from text2sql_school import ENTRY, SCRIPT

from normlab.data.sql.schema import Schema


@pytest.fixture(scope="session")
def school() -> Schema:
    return Schema.from_entry(ENTRY)


@pytest.fixture(scope="session")
def school_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("spider")
    (root / "tables.json").write_text(json.dumps([ENTRY]), encoding="utf-8")
    path = root / "database" / "school" / "school.sqlite"
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    connection.executescript(SCRIPT)
    connection.close()
    return root
