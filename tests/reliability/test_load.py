"""The load programs in short: a few users at a real playground, and that a wrong answer would be seen."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
needs_gradio = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None, reason="gradio is not installed: pip install 'normlab[playground]'"
)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("httpx", reason="httpx comes with gradio, which is not installed")
    monkeypatch.syspath_prepend(str(HERE))
    import playground_load

    return playground_load


@pytest.mark.slow
@needs_gradio
def test_every_user_of_the_playground_gets_his_own_answer() -> None:
    command = [
        sys.executable,
        str(HERE / "playground_load.py"),
        "--users",
        "10",
        "--minutes",
        "0.05",
        "--growth",
        "1000",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ", 0 wrong ones" in ended.stdout
    for seen in ("plain: answered", "slow: answered", "gone before the answer", "uploads broken off"):
        assert seen in ended.stdout


class Stream:
    """An answer of a server as `httpx` streams it."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def aiter_lines(self) -> Any:
        for line in self.lines:
            yield line


class Client:
    """A server that gives everybody one answer."""

    def __init__(self, answer: str) -> None:
        completed = {"msg": "process_completed", "output": {"data": ["", answer, ""]}}
        self.lines = ["data: " + json.dumps(event) for event in ({"msg": "estimation"}, completed)]

    async def post(self, path: str, json: Any) -> Any:
        import httpx

        return httpx.Response(200, request=httpx.Request("POST", "http://here"))

    def stream(self, *arguments: Any, **options: Any) -> Stream:
        return Stream(self.lines)


@pytest.mark.parametrize(("answer", "wrong"), [("<mark>Visitor1x0</mark>", False), ("Visitor2x0", True), ("", True)])
def test_the_answer_of_another_user_or_none_is_seen(load: Any, answer: str, wrong: bool) -> None:
    import asyncio
    from types import SimpleNamespace

    users = load.Users(SimpleNamespace(function=3, rest=[]), 0)
    visit = users._once(Client(answer), "plain", "Visitor1x0")
    if wrong:
        with pytest.raises(load.WrongAnswerError):
            asyncio.run(visit)
    else:
        asyncio.run(visit)
    assert len(users.seconds) == (not wrong)


def test_the_99th_percentile_is_not_exceeded_by_99_of_100(load: Any) -> None:
    assert load.percentile([float(n) for n in range(1, 101)], 0.99) == 99.0
    assert load.percentile([2.0, 1.0], 0.5) == 1.0


def test_hostile_statements_change_nothing_and_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.chdir(tmp_path)  # the program changes the folder that relative names belong to
    import sql_statements

    counted: Counter[str] = Counter()
    files = sql_statements.databases(tmp_path)
    before = sql_statements.contents(tmp_path)
    statements = sql_statements.Statements(0, tmp_path)
    for number in range(250):
        sql = statements.one()
        assert sql_statements.wrong(files[number % 3], sql, counted, slack=100.0) == "", sql
    assert sql_statements.contents(tmp_path) == before
    assert counted["rows"] > 5
    assert counted["refused"] > 5


def test_a_statement_that_changes_a_file_or_leaves_an_undeclared_error_would_be_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    import sql_statements

    files = sql_statements.databases(tmp_path)
    before = sql_statements.contents(tmp_path)
    with closing(sqlite3.connect(files[2])) as connection:
        connection.execute("DELETE FROM sale")
        connection.commit()
    assert sql_statements.contents(tmp_path) != before
    monkeypatch.setattr(sql_statements, "run_query", lambda *_, **__: 1 / 0)
    assert "ZeroDivisionError" in sql_statements.wrong(files[0], "SELECT 1", Counter())
