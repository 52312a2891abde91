"""`normlab ask --learn`: a model that is better on one's own database, killed in between, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import runpy
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from normlab.apps.ask.database import Database
from normlab.apps.ask.plain_names import make_names_plain, with_plain_names
from normlab.cli import main
from normlab.data.sql.pairs import read_pairs, wrong_queries
from normlab.data.sql.sqlite import run_query
from normlab.engine.api import load_run
from normlab.engine.checkpoint import load_weights

TOWNS = ("Bergen", "Oslo", "Turku", "Narvik")


@pytest.fixture
def works(tmp_path: Path) -> Path:
    path = tmp_path / "works.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE worker (id INTEGER PRIMARY KEY, name TEXT, town TEXT, age INTEGER);")
    rows = [(f"Name{number}", TOWNS[number % 4], 20 + number) for number in range(12)]
    connection.executemany("INSERT INTO worker (name, town, age) VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    rows = [
        ("How many worker are there?", "SELECT count(*) FROM worker"),
        *(
            (f"What is the name of worker from {town}?", f"SELECT name FROM worker WHERE town = '{town}'")
            for town in TOWNS
        ),
        *(
            (f"What is the age of worker from {town}?", f"SELECT age FROM worker WHERE town = '{town}'")
            for town in TOWNS
        ),
        ("What is the first letter?", "SELECT substr(name, 1, 1) FROM worker"),
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("question", "sql"), *rows])
    return path


def command(works: Path, pairs: Path, run: Path, out: Path) -> list[str]:
    return ["ask", str(works), "--learn", str(pairs), "--out", str(out), "--model", str(run), "--epochs", "3"]


def test_a_killed_learning_goes_on_to_the_same_model(
    works: Path, pairs: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    before = works.read_bytes(), (run / "checkpoints" / "model.safetensors").read_bytes()
    assert main([*command(works, pairs, run, whole), "--json"]) == 0
    scores, said = capsys.readouterr()
    answer = json.loads(scores)
    assert answer["held_out"] == 2
    assert set(answer["before"]) == set(answer["after"]) == {"test/execution_sound", "test/exact_match"}
    assert "10 pairs: 7 to learn from, 1 to watch, 2 held out" in said

    process = subprocess.Popen([sys.executable, "-m", "normlab", *command(works, pairs, run, killed)])
    while not (killed / "checkpoints" / "last.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert main([*command(works, pairs, run, killed), "--json"]) == 0
    assert {**json.loads(capsys.readouterr().out), "run": ""} == {**answer, "run": ""}
    weights = [(folder / "checkpoints" / "model.safetensors").read_bytes() for folder in (whole, killed)]
    assert weights[0] == weights[1] != before[1]
    assert (works.read_bytes(), (run / "checkpoints" / "model.safetensors").read_bytes()) == before

    works.unlink()  # neither is needed any more, nor is the model that it started from
    (whole / "learned_from" / "start.safetensors").unlink()
    assert main(["publish", str(whole), "--out", str(tmp_path / "published")]) == 0
    assert main(["export", str(whole), "--to", "safetensors", "--out", str(tmp_path / "one.safetensors")]) == 0
    for model in (whole, tmp_path / "published", tmp_path / "one.safetensors"):
        with Database(killed / "learned_from" / "database" / "works" / "works.sqlite", model) as database:
            assert database.question("How many worker are there?").sql


def test_training_starts_from_the_weights_of_the_model(works: Path, pairs: Path, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main([*command(works, pairs, run, out), "--json"]) == 0
    start, learned = load_run(run), load_run(out)
    fresh = load_run(run).model
    load_weights(learned.folder.weights, fresh)  # of one and the same network
    far = sum(
        float((a - b).detach().abs().sum()) for a, b in zip(start.model.parameters(), fresh.parameters(), strict=True)
    )
    size = sum(float(a.detach().abs().sum()) for a in start.model.parameters())
    assert 0 < far < 0.1 * size  # new weights would differ by about their size
    assert learned.folder.card()["words"] == start.folder.card()["words"]
    assert len(learned.folder.card()["fingerprints"]["start"]) == 16


def test_all_wrong_queries_are_listed_at_once(
    works: Path, pairs: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pairs.open("a") as file:
        file.write("Who?,SELECT nobody FROM worker\nWho else?,SELEC 1\n")
    assert main(command(works, pairs, run, tmp_path / "out")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines[:2]] == [f"{pairs}:12", f"{pairs}:13"]
    assert "2 of 12 pairs have SQL that does not run" in lines[2]
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_learned_is_named_and_other_pairs_are_refused(
    works: Path, pairs: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = pairs.read_text()
    pairs.write_text("question,sql\nOne?,SELECT 1\nTwo?,SELECT 2\n")
    assert main(command(works, pairs, run, tmp_path / "out")) == 2
    assert "2 pairs: give at least 8" in capsys.readouterr().err
    odd = (f'Which sign number {place}?,"SELECT substr(name, {place}, 1) FROM worker"' for place in range(9))
    pairs.write_text("\n".join(["question,sql", *odd]))
    assert main(command(works, pairs, run, tmp_path / "out")) == 2
    assert "too few of these queries can be learned" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    pairs.write_text(text)
    assert main(command(works, pairs, run, tmp_path / "out")) == 0
    assert f"{pairs}:11: the model cannot write such SQL, nor learn it: SELECT substr" in capsys.readouterr().err
    pairs.write_text(text.replace("How many worker are there?", "How many of worker are there?"))
    assert main(command(works, pairs, run, tmp_path / "out")) == 2
    assert "was begun with other pairs, settings or another database" in capsys.readouterr().err
    assert main(command(works, pairs, run, run)) == 2
    assert "holds another run" in capsys.readouterr().err


def test_the_example_to_learn_from_has_two_wordings_of_each_query_and_all_run(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "examples" / "learning" / "library.py"
    database, file = runpy.run_path(str(script))["write"](tmp_path / "library")
    found = read_pairs(file)
    assert wrong_queries(found, database) == []
    assert len({pair.question for pair in found}) == len(found) == 120
    assert set(Counter(pair.sql for pair in found).values()) == {2}


def test_names_that_need_quotes_are_made_plain_in_the_copy_that_is_learned_from(tmp_path: Path) -> None:
    path = tmp_path / "odd.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        'CREATE TABLE "order" (id INTEGER PRIMARY KEY, "Größe in cm" REAL, Town TEXT);'
        'CREATE TABLE "2 lines" ("order" INTEGER REFERENCES "order" (id), "a-b" TEXT, a_b TEXT);'
        "INSERT INTO \"order\" VALUES (1, 2.5, 'a \"b\" c'); INSERT INTO \"2 lines\" VALUES (1, 'x', 'y');"
    )
    connection.close()
    queries = (
        'SELECT "Größe in cm", [Town] FROM `order` WHERE Town = \'a "b" c\'',
        'SELECT T1."a-b", T1.a_b FROM "2 lines" AS T1 JOIN "order" AS T2 ON T1."order" = T2.id',
    )
    before = [run_query(path, sql).rows for sql in queries]
    renamed = make_names_plain(path)
    plain = [with_plain_names(sql, renamed) for sql in queries]
    assert plain == [
        "SELECT grosse_in_cm, Town FROM order_ WHERE Town = 'a \"b\" c'",
        "SELECT T1.a_b_, T1.a_b FROM n_2_lines AS T1 JOIN order_ AS T2 ON T1.order_ = T2.id",
    ]
    assert [run_query(path, sql).rows for sql in plain] == before
