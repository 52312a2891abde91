"""What a run saw and what it left out: fingerprints over everything its numbers depend on, and notes."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import normlab
from normlab.cli import main
from normlab.data.sql.toy import write_toy
from normlab.engine.evaluation import data_to_measure
from normlab.errors import UserError
from normlab.tasks.text2sql.config import SETTINGS, Text2SqlConfig
from normlab.tasks.text2sql.inputs.data import Text2SqlData
from normlab.tasks.text2sql.task import TASK


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "toy").root


def prepared(root: Path, **changes: Any) -> Text2SqlData:
    made = SETTINGS.make("smoke", {"data": str(root), **changes}, "test")
    assert isinstance(made, Text2SqlConfig)
    return TASK.prepare(made)


def execute(root: Path, name: str, sql: str) -> None:
    with closing(sqlite3.connect(root / "database" / name / f"{name}.sqlite")) as connection, connection:
        connection.execute(sql)


def change_cell(root: Path) -> None:
    execute(root, "toy_harbour", "UPDATE Ship SET Flag = 'Malta' WHERE Ship_ID = 1 AND Flag != 'Malta' OR Ship_ID = 2")
    execute(root, "toy_harbour", "UPDATE Captain SET Name = 'Bligh' WHERE Captain_ID = 1")


def change_question(root: Path) -> None:
    with (root / "val.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["toy_harbour", "SELECT count(*) FROM Ship", "And how many ships?"])


def change_schema(root: Path) -> None:
    tables = json.loads((root / "tables.json").read_text())
    tables[0]["column_names"][1][1] = "another word"
    (root / "tables.json").write_text(json.dumps(tables))


def remove_database(root: Path) -> None:
    shutil.rmtree(root / "database" / "toy_bakery")


def damage_database(root: Path) -> None:
    (root / "database" / "toy_bakery" / "toy_bakery.sqlite").write_bytes(b"no database")


@pytest.mark.parametrize("change", [change_cell, change_question, change_schema, remove_database, damage_database])
@pytest.mark.parametrize("linking", ["names", "cells"])
def test_everything_that_a_result_depends_on_is_in_the_fingerprint(
    toy: Path, linking: str, change: Callable[[Path], None]
) -> None:
    before = prepared(toy, linking=linking)
    change(toy)
    after = prepared(toy, linking=linking)
    assert after.fingerprint != before.fingerprint
    changed = {
        name
        for name, value in before.card["fingerprint_parts"].items()
        if value != after.card["fingerprint_parts"][name]
    }
    assert changed == {"questions" if change in (change_question, change_schema) else "databases"}


def test_a_copy_of_the_data_has_the_same_fingerprint(toy: Path, tmp_path: Path) -> None:
    shutil.copytree(toy, tmp_path / "copy")
    assert prepared(toy).fingerprint == prepared(tmp_path / "copy").fingerprint


def test_how_questions_are_linked_is_a_setting_and_no_content(toy: Path) -> None:
    assert prepared(toy, linking="none").fingerprint == prepared(toy, linking="cells").fingerprint


def test_a_database_that_no_question_asks_about_is_no_content(toy: Path) -> None:
    before = prepared(toy).fingerprint
    other = toy / "database" / "other"
    other.mkdir()
    shutil.copy(toy / "database" / "toy_bakery" / "toy_bakery.sqlite", other / "other.sqlite")
    after = prepared(toy)
    assert after.fingerprint == before
    assert "databases: no question asks about: 1 (other)" in after.card["notes"]


TINY = ["--epochs", "1", "--limit-train", "8", "--hidden", "16", "--threads", "1", "--json"]
TINY += ["--monitor-rows", "2", "--train-rows", "2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("trained")
    root = write_toy(folder / "toy").root
    assert (
        main(["train", "text2sql", "--scale", "smoke", "--data", str(root), "--out", str(folder / "run"), *TINY]) == 0
    )
    return folder / "run", root


def copies(trained: tuple[Path, Path], folder: Path) -> tuple[Path, Path]:
    run, root = (shutil.copytree(path, folder / path.name) for path in trained)
    return run, root


@pytest.mark.parametrize(
    ("change", "name"), [(change_cell, "databases"), (remove_database, "databases"), (change_question, "questions")]
)
def test_a_run_is_not_measured_on_other_contents(
    trained: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
    name: str,
) -> None:
    run, root = copies(trained, tmp_path)
    change(root)
    assert main(["evaluate", str(run), "--data", str(root)]) == 2
    said = capsys.readouterr().err
    assert f"trained on {name}" in said
    assert f"give the same {name}" in said
    assert said.count("\n") == 1


def test_a_run_from_before_databases_were_fingerprinted_is_measured(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, root = copies(trained, tmp_path)
    card = json.loads((run / "card.json").read_text())
    card["fingerprint"] = card.pop("fingerprint_parts")["questions"]
    (run / "card.json").write_text(json.dumps(card))
    assert main(["evaluate", str(run), "--data", str(root)]) == 0
    change_question(root)
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(root)]) == 2
    assert "trained on data" in capsys.readouterr().err


def test_notes_are_told_before_training(trained: tuple[Path, Path]) -> None:
    run, _ = trained
    [note] = json.loads((run / "card.json").read_text())["notes"]
    assert note == "questions: train 100 (train.csv), val 26 (val.csv), used as train 8, val 10, test 26"
    log = (run / "log.txt").read_text()
    assert note in log
    assert log.index(note) < log.index("epoch")


def notes(root: Path, **changes: Any) -> str:
    return "\n".join(prepared(root, **changes).card["notes"])


def test_question_files_and_columns_that_nobody_reads_are_named(toy: Path) -> None:
    (toy / "dev.json").write_text("[]")
    (toy / "test.tsv").touch()
    lines = (toy / "train.csv").read_text().splitlines()
    text = "\n".join(line + (",level" if number == 0 else ",easy") for number, line in enumerate(lines))
    (toy / "train.csv").write_text(text)
    found = notes(toy)
    assert "; not read: dev.json, test.tsv" in found
    assert "train.csv: columns not read: 1 (level)" in found


def test_databases_that_are_not_found_are_named_with_what_looks_like_them(toy: Path) -> None:
    folder = toy / "database" / "toy_bakery"
    (folder / "toy_bakery.sqlite").rename(folder / "toy_bakery.db")
    found = notes(toy)
    assert f"databases: 1 of 3 have no file in {toy / 'database'} (toy_bakery)" in found
    assert "linked by names alone and queries not run" in found
    assert "found toy_bakery.db: name each DB/DB.sqlite" in found
    (folder / "toy_bakery.db").rename(toy / "database" / "toy_bakery.sqlite")
    assert "found toy_bakery.sqlite: name each DB/DB.sqlite" in notes(toy, linking="names")


def test_a_database_folder_that_is_not_there_is_named(toy: Path) -> None:
    found = notes(toy, databases=str(toy / "nowhere"))
    assert f"databases: 3 of 3 have no file in {toy / 'nowhere'}, which is no folder" in found


def test_columns_that_a_file_lacks_are_named_once(toy: Path) -> None:
    tables = json.loads((toy / "tables.json").read_text())
    [harbour] = [entry for entry in tables if entry["db_id"] == "toy_harbour"]
    harbour["column_names_original"].append([0, "Rank"])
    harbour["column_names"].append([0, "rank"])
    harbour["column_types"].append("text")
    (toy / "tables.json").write_text(json.dumps(tables))
    found = notes(toy)
    assert "databases: the files lack columns of tables.json: 1 (toy_harbour: 'captain.rank')" in found
    assert "cells that cannot be read" not in found


def test_a_database_that_cannot_be_read_is_linked_by_names_and_named(toy: Path) -> None:
    damage_database(toy)
    data = prepared(toy)
    assert data.card["without_cells"] == ["toy_bakery"]
    assert any("databases: cannot be read: 1" in line and "toy_bakery.sqlite" in line for line in data.card["notes"])


def test_gold_that_is_not_learned_is_named(toy: Path) -> None:
    with (toy / "val.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["toy_harbour", "SELECT FROM WHERE", "What?"])
    assert "test: gold queries not learned: 1 (" in notes(toy)
    assert "val.csv:28" in notes(toy)


def test_the_model_s_own_words_take_the_place_of_a_file_of_vectors_that_is_gone(toy: Path) -> None:
    trained = prepared(toy)
    lost = SETTINGS.make("smoke", {"data": str(toy), "embeddings": "glove", "glove": str(toy / "gone.txt")}, "test")
    assert isinstance(lost, Text2SqlConfig)
    with pytest.raises(UserError, match=r"gone\.txt"):
        TASK.prepare(lost)
    again = TASK.prepared_by(lost, trained.card)
    assert again is not None
    assert again.fingerprint == trained.fingerprint
    assert again.card["words"] == trained.card["words"]
    assert again.sizes == trained.sizes
    assert not any("vectors for" in note for note in again.card["notes"])  # none was read
    for old, new in zip(trained.items["test"], again.items["test"], strict=True):
        assert (old.words == new.words).all()


def test_a_split_is_measured_with_the_model_s_own_words_and_that_is_said(toy: Path, tmp_path: Path) -> None:
    run = normlab.train("text2sql", out=tmp_path / "run", preset="smoke", epochs=1, threads=1, data=str(toy))
    lost = run.config.model_copy(update={"embeddings": "glove", "glove": str(toy / "gone.txt")})
    data, notes = data_to_measure(run.task, run.folder, lost, "test", elsewhere=False)
    assert data.sizes == prepared(toy).sizes
    [note] = notes
    assert "gone.txt" in note
    assert "what the model holds of it was used instead" in note
    with pytest.raises(UserError, match="nowhere"):  # nothing is hidden where the data are not there either
        data_to_measure(
            run.task, run.folder, lost.model_copy(update={"data": str(toy / "nowhere")}), "test", elsewhere=True
        )
