"""Queries in processes of their own: bounded in time and memory, whatever the statement, and none disturbs the next."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from normlab.data.sql import sandbox
from normlab.data.sql.sqlite import QueryLimit, QueryRefused, QueryTimeout, run_query
from normlab.errors import UserError

TEXT = 500_000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE s (t)")
    connection.executemany("INSERT INTO s VALUES (?)", [("x" * TEXT,)] * 20)
    connection.commit()
    connection.close()
    return path


def chain(first: str, step: str) -> str:
    """Sixty common tables, each the double of the one before."""
    return (
        f"WITH c0 AS (SELECT {first} x)"
        + "".join(f", c{i} AS (SELECT {step} x FROM c{i - 1})" for i in range(1, 61))
        + " SELECT x FROM c60"
    )


BOMBS = {
    "a long call": "SELECT " + ",".join("instr(t, substr(t, 1, 250000) || 'b')" for _ in range(300)) + " FROM s",
    "texts that double": chain("'x'", "x||x"),
    "numbers that double": chain("1", "x+x"),
    "500 wide columns": "SELECT " + ",".join(["a.t"] * 500) + " FROM s a, s b",
    "a cell beyond the limit": "SELECT group_concat(a.t) FROM s a, s b",
    "a result beyond the limit": "SELECT a.t FROM s a, s b",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_as_a_limit_and_not_in_this_process(database: Path, name: str) -> None:
    run_query(database, "SELECT 1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(QueryLimit):
        run_query(database, BOMBS[name], seconds=1.0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10, "kilobytes"
    assert run_query(database, "SELECT count(*) FROM s").rows == [(20,)]


@pytest.mark.parametrize("count", [40, 4000])
def test_comments_before_a_statement_are_read_once(database: Path, count: int) -> None:
    with pytest.raises(QueryRefused, match="only one statement"):
        run_query(database, "/**/" * count + "DROP TABLE s")
    assert run_query(database, "/**/" * count + " -- and\n /* * ** */ SELECT 1").rows == [(1,)]


def test_values_of_every_kind_come_back_as_they_are(database: Path) -> None:
    sql = "SELECT 1, -9223372036854775808, 0.1, 9e999, NULL, 'h\u00e9\u2028\\\"', x'00ff', ''"
    assert run_query(database, sql).rows == [
        (1, -(2**63), 0.1, float("inf"), None, 'h\u00e9\u2028\\"', b"\x00\xff", "")
    ]


def test_large_cells_are_read_and_cut_where_asked(database: Path) -> None:
    assert run_query(database, "SELECT t || t || t FROM s LIMIT 1").rows == [("x" * 3 * TEXT,)]
    assert run_query(database, "SELECT t FROM s", max_cell=3).rows == [("xxx",)] * 20


def test_a_lock_is_waited_for_until_the_deadline_only(database: Path) -> None:
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UserError, match="locked by another program"):
        run_query(database, "SELECT count(*) FROM s", seconds=0.2)
    writer.execute("ROLLBACK")
    assert run_query(database, "SELECT count(*) FROM s").rows == [(20,)]
    writer.close()


def test_threads_get_their_own_answers(database: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: run_query(database, f"SELECT {number}").rows, range(60)))
    assert answers == [[(number,)] for number in range(60)]


def test_an_interrupted_query_leaves_no_answer_to_the_next(database: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_query(database, endless, seconds=600)
    assert run_query(database, "SELECT 'mine'").rows == [("mine",)]


def test_a_killed_process_is_replaced(database: Path) -> None:
    assert run_query(database, "SELECT 1").rows == [(1,)]
    for process in sandbox._idle:
        process._process.kill()
        process._process.wait()
    assert run_query(database, "SELECT 2").rows == [(2,)]


def _ask_in_fork(path: Path, answers: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    answers.put(run_query(path, "SELECT 'child'").rows)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_starts_its_own(database: Path) -> None:
    run_query(database, "SELECT 1")
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_ask_in_fork, args=(database, answers))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    assert answers.get() == [("child",)]
    assert run_query(database, "SELECT 'parent'").rows == [("parent",)]


def test_no_process_outlives_a_killed_parent(database: Path) -> None:
    program = (
        "import sys, time; from normlab.data.sql import sandbox; from normlab.data.sql.sqlite import run_query\n"
        "run_query(sys.argv[1], 'SELECT 1'); print(sandbox._idle[0]._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(database)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 60
    while _is_running(pid):
        assert time.monotonic() < end, "still there"
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_endless_query_is_a_timeout(database: Path) -> None:
    with pytest.raises(QueryTimeout):
        run_query(
            database,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
            seconds=0.1,
        )
