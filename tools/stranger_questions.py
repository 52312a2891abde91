"""`python tools/stranger_questions.py [MODEL] [--write]`: questions about databases that were made up for it.

Each file of examples/strangers holds a database and twenty questions with a query that gives the wanted rows, each of
examples/strangers/blind 25 by somebody who knew neither the model nor the rules. They are asked as `normlab ask` does.
An answer counts as right if its rows are those (order-insensitive, unless the query sorts). `--write` puts the tables
between the marks in docs/text-to-sql.md, failures included.
"""

from __future__ import annotations

import runpy
import sqlite3
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from normlab.apps.ask.answer import Answer
from normlab.apps.ask.database import Database
from normlab.data.sql.schema import Schema
from normlab.engine.api import Run, load_run
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation import Evaluator

ROOT = Path(__file__).resolve().parent.parent
STRANGERS = sorted((ROOT / "examples" / "strangers").glob("*.py"))
BLIND = sorted((ROOT / "examples" / "strangers" / "blind").glob("*.py"))
PAGE = ROOT / "docs" / "text-to-sql.md"
MARKS = ("<!-- strangers: begin -->\n", "<!-- strangers: end -->\n")
BLIND_MARKS = ("<!-- blind: begin -->\n", "<!-- blind: end -->\n")


def main(words: list[str]) -> int:
    """Ask, print, write."""
    names = [word for word in words if word != "--write"]
    if len(names) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    run = load_run(names[0] if names else "spider-sql")
    for files, marks in ((STRANGERS, MARKS), (BLIND, BLIND_MARKS)):
        text = table_of(files, run)
        print(text)
        if "--write" in words:
            page = PAGE.read_text(encoding="utf-8")
            head, tail = page.split(marks[0])[0], page.split(marks[1])[1]
            PAGE.write_text(f"{head}{marks[0]}{text}{marks[1]}{tail}", encoding="utf-8")
    return 0


def table_of(files: list[Path], run: Run) -> str:
    """Return the tables of the answers that are right, and of those that are not."""
    lines = ["| database | right | wrong | withheld or refused |", "|---|---:|---:|---:|"]
    failures = ["", "| not right | what was written instead |", "|---|---|"]
    for file in files:
        outcomes = ask_all(file, run)
        counts = [sum(outcome == kind for _, outcome, _ in outcomes) for kind in ("right", "wrong", "no answer")]
        lines.append(f"| `{file.stem}` | {counts[0]} of {len(outcomes)} | {counts[1]} | {counts[2]} |")
        failures += [f"| {question} ({file.stem}) | {said} |" for question, kind, said in outcomes if kind != "right"]
    return "\n".join([*lines, *(failures if len(failures) > 3 else [])]) + "\n"


def ask_all(file: Path, run: Run) -> list[tuple[str, str, str]]:
    """Return each question, "right", "wrong" or "no answer", and the query or the reason for none."""
    stranger = runpy.run_path(str(file))
    found = []
    with tempfile.TemporaryDirectory(prefix="normlab-strangers-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = make_database(stranger, Path(scratch), file.stem)
        evaluator = Evaluator({file.stem: Schema.from_sqlite(path, file.stem)}, Path(scratch))
        with Database(path, run) as database:
            for number, (question, gold) in enumerate(stranger["QUESTIONS"], start=1):
                kind, said = outcome_of(database, evaluator, (gold, file.stem), f"{file.name}:{number}", question)
                found.append((question, kind, said.replace("|", "\\|")))
    return found


def make_database(stranger: dict[str, Any], folder: Path, name: str) -> Path:
    """Write a stranger's database as FOLDER/NAME/NAME.sqlite."""
    path = folder / name / f"{name}.sqlite"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript(stranger["SCRIPT"])
    connection.close()
    return path


def outcome_of(
    database: Database, evaluator: Evaluator, gold: tuple[str, str], place: str, question: str
) -> tuple[str, str]:
    """Ask one question; return what came of it, and the query or the reason for none."""
    try:
        answer: Answer = database.question(question)
    except UserError as error:
        return "no answer", str(error)
    if answer.withheld:
        return "no answer", f"not run: confidence {answer.confidence:.0%} of `{answer.sql}`"
    right = evaluator.score(place, gold, answer.sql).executed_sound
    return ("right" if right else "wrong"), f"`{answer.sql}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
