"""The databases of examples/strangers: queries that run and return rows, and the tool that asks their questions."""

from __future__ import annotations

import re
import runpy
import sqlite3
from pathlib import Path

import pytest

from normlab.apps.ask.answer import Answer
from normlab.apps.ask.database import Database
from normlab.data.sql.schema import Schema
from normlab.engine.api import load_run
from normlab.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "examples" / "strangers").glob("*.py"))
BLIND = sorted((ROOT / "examples" / "strangers" / "blind").glob("*.py"))
TOOL = runpy.run_path(str(ROOT / "tools" / "stranger_questions.py"))


@pytest.mark.parametrize("file", [*FILES, *BLIND], ids=lambda file: file.stem)
def test_each_question_has_a_query_with_rows(file: Path) -> None:
    stranger = runpy.run_path(str(file))
    connection = sqlite3.connect(":memory:")
    connection.executescript(stranger["SCRIPT"])
    questions = stranger["QUESTIONS"]
    assert len({question for question, _ in questions}) == len(questions) == (25 if file in BLIND else 20)
    for question, sql in questions:
        rows = connection.execute(sql).fetchall()
        assert rows, question
        assert rows != [(None,)], question


def test_there_are_five_two_without_keys_and_one_of_sixty_tables(tmp_path: Path) -> None:
    paths = [TOOL["make_database"](runpy.run_path(str(file)), tmp_path, file.stem) for file in FILES]
    schemas = {path.stem: Schema.from_sqlite(path) for path in paths}
    assert len(schemas) == 5
    assert not schemas["shop"].foreign_keys
    assert not schemas["clinic"].foreign_keys
    assert len(schemas["works"].tables) == 60


def test_an_answer_is_right_by_its_rows_and_a_refusal_is_no_answer(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gold = dict(runpy.run_path(str(FILES[0]))["QUESTIONS"])
    wrong, withheld, refused = list(gold)[:3]

    def question(_: Database, text: str) -> Answer:
        if text == refused:
            raise UserError("no question")
        sql = "SELECT 'nothing'" if text == wrong else gold[text]
        return Answer(text, sql, 0.1, 0.05, text == withheld, (), [], False, (), ())

    monkeypatch.setattr(Database, "question", question)
    outcomes = TOOL["ask_all"](FILES[0], load_run(run))
    assert [kind for _, kind, _ in outcomes] == ["wrong", "no answer", "no answer", *["right"] * 17]
    assert [said for _, _, said in outcomes][1:3] == [f"not run: confidence 5% of `{gold[withheld]}`", "no question"]


def test_the_page_counts_as_many_failures_as_it_lists() -> None:
    page = (ROOT / "docs" / "text-to-sql.md").read_text(encoding="utf-8")
    table = page.split(TOOL["MARKS"][0])[1].split(TOOL["MARKS"][1])[0]
    right = [int(count) for count in re.findall(r"\| (\d+) of 20 \|", table)]
    listed = [line for line in table.splitlines() if re.search(r"\((?:clinic|ferry|league|shop|works)\) \|", line)]
    assert len(right) == 5
    assert sum(right) + len(listed) == 100
    table = page.split(TOOL["BLIND_MARKS"][0])[1].split(TOOL["BLIND_MARKS"][1])[0]
    right = [int(count) for count in re.findall(r"\| (\d+) of 25 \|", table)]
    listed = [line for line in table.splitlines() if re.search(r"\((?:bees|garage|huts)\) \|", line)]
    assert len(right) == len(BLIND) == 3
    assert sum(right) + len(listed) == 75
