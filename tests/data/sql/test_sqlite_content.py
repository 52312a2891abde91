"""The hash of a database's content: another cell, another hash; the same content, the same hash."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from normlab.data.sql.sqlite_content import content_hash
from normlab.errors import UserError


def write(path: Path, cell: str, *, journal: str = "DELETE") -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.execute("CREATE TABLE item (name TEXT)")
    connection.execute("INSERT INTO item VALUES (?)", (cell,))
    return connection


def test_another_cell_of_the_same_length_is_another_content(tmp_path: Path) -> None:
    write(tmp_path / "a.sqlite", "pen").close()
    write(tmp_path / "b.sqlite", "ink").close()
    assert content_hash(tmp_path / "a.sqlite") != content_hash(tmp_path / "b.sqlite")


def test_a_copy_is_the_same_content(tmp_path: Path) -> None:
    write(tmp_path / "a.sqlite", "pen").close()
    shutil.copy(tmp_path / "a.sqlite", tmp_path / "b.sqlite")
    assert content_hash(tmp_path / "a.sqlite") == content_hash(tmp_path / "b.sqlite")


def test_the_writing_librarys_version_and_its_counters_are_no_content(tmp_path: Path) -> None:
    write(tmp_path / "a.sqlite", "pen").close()
    content = bytearray((tmp_path / "a.sqlite").read_bytes())
    content[24:28], content[92:100] = b"\1\2\3\4", b"\1\2\3\4\5\6\7\x08"
    (tmp_path / "b.sqlite").write_bytes(content)
    assert content_hash(tmp_path / "a.sqlite") == content_hash(tmp_path / "b.sqlite")
    content[100] ^= 1
    (tmp_path / "c.sqlite").write_bytes(content)
    assert content_hash(tmp_path / "a.sqlite") != content_hash(tmp_path / "c.sqlite")


def test_what_stands_in_the_log_of_writes_counts_and_taking_it_in_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    writer = write(path, "pen", journal="WAL")
    first = content_hash(path)
    writer.execute("UPDATE item SET name = 'ink'")
    second = content_hash(path)
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert first != second == content_hash(path)
    writer.close()
    assert content_hash(path) == second


def test_a_file_changed_behind_its_time_and_size_is_hashed_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    write(path, "pen").close()
    before, state = content_hash(path), path.stat()
    path.write_bytes(path.read_bytes().replace(b"pen", b"ink"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert content_hash(path) != before


def test_a_large_file_is_hashed_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(3 * 2**20))
    (tmp_path / "b").write_bytes(bytes(3 * 2**20 - 1) + b"x")
    assert content_hash(tmp_path / "a") != content_hash(tmp_path / "b")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.sqlite"):
        content_hash(tmp_path / "gone.sqlite")
