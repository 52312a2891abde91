"""One connection for many looks: who shares it, and when it is closed."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from normlab.data.sql.kept_open import kept_open, reading
from normlab.errors import UserError


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "one.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    return path


def is_closed(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_looks_within_share_a_connection_that_is_closed_at_the_end(database: Path) -> None:
    with kept_open(database):
        with reading(database) as first:
            assert first.execute("SELECT count(*) FROM t").fetchone() == (0,)
        with kept_open(database), reading(database) as second:
            assert second is first
        assert not is_closed(first), "the inner one is not the last"
    assert is_closed(first)


def test_a_look_alone_has_a_connection_of_its_own(database: Path) -> None:
    with reading(database) as first, reading(database) as second:
        assert first is not second
    assert is_closed(first)
    assert is_closed(second)


def test_a_connection_is_kept_for_its_thread_alone(database: Path) -> None:
    found = []

    def look() -> None:
        with reading(database) as connection:
            found.append(connection)
            connection.execute("SELECT 1")  # SQLite refuses another thread's

    with kept_open(database), reading(database) as mine:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert found[0] is not mine


def test_after_an_error_nothing_stays_open(database: Path) -> None:
    with pytest.raises(KeyError), kept_open(database), reading(database) as connection:
        raise KeyError
    assert is_closed(connection)
    with reading(database) as again:
        assert again is not connection


def test_a_file_that_cannot_be_opened_is_told_at_each_look(tmp_path: Path) -> None:
    with kept_open(tmp_path / "missing.sqlite"):
        for _ in range(2):
            with pytest.raises(UserError, match="no SQLite database"), reading(tmp_path / "missing.sqlite"):
                pass
