"""The task from the command line: train, resume, evaluate, predict, and what a user gets wrong."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from normlab.cli import main
from normlab.data.sql.toy import HELD_OUT, write_toy
from normlab.engine.api import Run, load_run
from normlab.errors import UserError
from normlab.tasks.text2sql.config import SETTINGS, Text2SqlConfig
from normlab.tasks.text2sql.evaluation import evaluate_rows
from normlab.tasks.text2sql.inputs.rows import read_rows
from normlab.tasks.text2sql.task import TASK

FLAGS = ["--epochs", "2", "--hidden", "16", "--threads", "1", "--json"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy")).root


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, toy: Path) -> Path:
    out = tmp_path_factory.mktemp("text2sql") / "run"
    flags = ["--data", str(toy), "--beam-size", "3", "--execution-filter", "true", *FLAGS]
    assert main(["train", "text2sql", "--scale", "smoke", "--out", str(out), *flags]) == 0
    return out


@pytest.fixture(scope="module")
def run(path: Path) -> Run:
    return load_run(path)


def config(**changes: object) -> Text2SqlConfig:
    made = SETTINGS.make("smoke", changes, "test")
    assert isinstance(made, Text2SqlConfig)
    return made


def test_a_smoke_run_measures_every_split(path: Path) -> None:
    result = json.loads((path / "result.json").read_text())
    metrics = result["metrics"]
    assert {f"{split}/{name}" for split in ("train", "val", "test") for name in ("loss", "exact_match")} <= set(metrics)
    assert {"test/execution", "test/execution_sound", "test/valid", "test/nearest_exact_match"} <= set(metrics)
    assert result["headline"] == "test/exact_match"
    tables = result["tables"]["test"]
    assert set(tables["scores"]["levels"]) == {"easy", "medium", "hard", "extra", "all"}
    shown = tables["examples"][0]
    assert {"question", "gold", "prediction", "alternatives", "linked_columns", "values", "rows"} <= set(shown)
    assert tables["leakage"].startswith("leakage: database seen in training for 26 of 26")


def test_every_answer_parses_officially_and_runs(path: Path) -> None:
    metrics = json.loads((path / "result.json").read_text())["metrics"]
    assert metrics["test/valid"] == metrics["val/valid"] == 1.0


def test_evaluate_repeats_the_numbers_of_training(run: Run) -> None:
    found = run.evaluate("test")["metrics"]
    for name in ("loss", "exact_match", "execution_sound"):
        assert found[f"test/{name}"] == pytest.approx(run.result["metrics"][f"test/{name}"], rel=1e-5)


def test_predictions_written_with_the_run_score_as_its_result_says(run: Run, toy: Path) -> None:
    with (run.path / "predictions" / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    data = TASK.prepare(run.config)  # type: ignore[arg-type]
    gold = [(row.query, row.db_id) for row in data.rows.splits["test"]]
    scores = evaluate_rows(gold, [row["prediction"] for row in rows], schemas=data.rows.schemas)
    assert scores.exact_match == pytest.approx(run.result["metrics"]["test/exact_match"])


def test_a_resumed_run_ends_in_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from normlab.engine.loop import Training

    flags = ["--scale", "smoke", *FLAGS, "--dropout", "0.2", "--limit-train", "40"]
    assert main(["train", "text2sql", *flags, "--out", str(tmp_path / "whole")]) == 0
    real = Training.run_epoch

    def stopped(self: Training) -> Generator[None]:
        if self.counters.epoch == 1:
            raise KeyboardInterrupt
        yield from real(self)

    monkeypatch.setattr(Training, "run_epoch", stopped)
    main(["train", "text2sql", *flags, "--out", str(tmp_path / "halves")])
    monkeypatch.undo()
    assert main(["resume", str(tmp_path / "halves"), "--json"]) == 0
    weights = [tmp_path / name / "checkpoints" / "model.safetensors" for name in ("whole", "halves")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    one, other = (json.loads((tmp_path / name / "result.json").read_text())["metrics"] for name in ("whole", "halves"))
    timed = {name for name in one if name.startswith("speed/")}
    assert {k: v for k, v in one.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}


def test_questions_of_every_form_get_the_same_answer(run: Run, tmp_path: Path) -> None:
    question, db_id = "How many ships are there?", "toy_harbour"
    (tmp_path / "in.csv").write_text(f"db_id,question\n{db_id},{question}\n")
    (tmp_path / "in.jsonl").write_text(json.dumps({"question": question, "db_id": db_id}) + "\n")
    (tmp_path / "in.txt").write_text(f"{question}\t{db_id}\n")
    sources = [*(tmp_path / f"in.{suffix}" for suffix in ("csv", "jsonl", "txt")), [(question, db_id)]]
    answers = [list(run.predict(source)) for source in sources]
    assert all(answer == answers[0] for answer in answers)
    [record] = answers[0]
    assert record["sql"] == record["alternatives"][0]["sql"]
    assert len(record["alternatives"]) == 3


def test_a_file_of_one_query_a_line(path: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.sql"
    source.write_text("How many ships are there?\ttoy_harbour\nHow many books are there?\ttoy_library\n")
    assert main(["predict", str(path), str(source), "--out", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("SELECT") for line in lines)


def test_a_run_answers_without_its_training_data(path: Path, toy: Path, tmp_path: Path) -> None:
    copy, hidden = tmp_path / "run", toy.with_name(f"{toy.name}-gone")
    shutil.copytree(path, copy)
    toy.rename(hidden)
    try:
        [record] = load_run(copy).predict([("How many ships are there?", "toy_harbour")])
    finally:
        hidden.rename(toy)
    assert record["sql"].startswith("SELECT")
    assert record["cells"] is False


def test_a_database_file_that_training_never_saw(run: Run, toy: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.sqlite"
    shutil.copy(toy / "database" / "toy_bakery" / "toy_bakery.sqlite", file)
    [record] = run.predict([{"question": "How many cakes are there?", "database": str(file)}])
    assert record["db_id"] == str(file)
    assert record["cells"] is True


def test_missing_databases_are_named_and_do_not_stop_the_run(toy: Path, tmp_path: Path) -> None:
    data = TASK.prepare(config(data=str(toy), databases=str(tmp_path)))
    assert data.card["without_cells"] == ["toy_bakery", "toy_harbour", "toy_library"]
    assert all(item.values for item in data.items["test"])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("How many ships are there?\tharbour", "in.txt:1: unknown database 'harbour'"),
        ("How many ships are there?", "in.txt:1 names no database"),
        ("\ttoy_harbour", "in.txt:1 has no question"),
        ("?!\ttoy_harbour", "in.txt:1: the question '\\?!' has no words"),
    ],
)
def test_a_bad_line_is_named(run: Run, tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "in.txt").write_text(line + "\n")
    with pytest.raises(UserError, match=problem):
        list(run.predict(tmp_path / "in.txt"))


def test_a_very_long_question_is_cut_and_answered(run: Run) -> None:
    with pytest.warns(UserWarning, match="cut after 256"):
        [record] = run.predict([("ships " * 5000, "toy_harbour")])
    assert record["sql"].startswith("SELECT")


def test_a_csv_that_lacks_a_column_is_refused(run: Run, tmp_path: Path, toy: Path) -> None:
    (tmp_path / "in.csv").write_text("database,question\nx,y\n")
    with pytest.raises(UserError, match=r"in\.csv:1 lacks the column 'db_id'"):
        list(run.predict(tmp_path / "in.csv"))


def test_gold_outside_the_grammar_is_named_and_still_scored(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(toy, folder)
    with (folder / "train.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["toy_harbour", "SELECT count(*) FROM nowhere", "How many are nowhere?"])
    data = TASK.prepare(config(data=str(folder)))
    skipped = data.card["skipped"]
    assert sum(part["count"] for part in skipped.values()) == 1
    assert any("train.csv:" in line and "nowhere" in line for part in skipped.values() for line in part["first"])
    assert data.sizes["train"] + data.sizes["val"] == 101


def test_an_unknown_database_in_the_training_file_is_named(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(toy, folder)
    with (folder / "train.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["toy_harbor", "SELECT 1", "What?"])
    with pytest.raises(UserError, match=r"train\.csv:\d+: no database 'toy_harbor'.*toy_harbour"):
        TASK.prepare(config(data=str(folder)))


def test_the_unseen_view_keeps_its_databases_out_of_training_and_validation(toy: Path) -> None:
    rows = read_rows(config(data="generated", view="unseen", validation=0.3))
    by_split = {split: {row.db_id for row in examples} for split, examples in rows.splits.items()}
    assert by_split["test"] == HELD_OUT
    assert not by_split["train"] & (by_split["val"] | by_split["test"])
    assert rows.leakage.same_database == 0


def test_test_rows_choose_nothing(toy: Path) -> None:
    rows = read_rows(config(data=str(toy)))
    sources = [{row.source for row in rows.splits[split]} for split in ("train", "val", "test")]
    assert not sources[0] & sources[1]
    assert all("val.csv" in source for source in sources[2])
    assert len(rows.splits["train"]) + len(rows.splits["val"]) == 100


def test_a_missing_folder_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "text2sql", "--scale", "smoke", "--data", "/nowhere", "--json"]) == 2
    assert "/nowhere: no such folder: give --data" in capsys.readouterr().err


def test_the_search_can_be_chosen_anew_and_nothing_that_was_trained(path: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("How many ships are there?\ttoy_harbour\n")
    predict = ["predict", str(path), str(tmp_path / "in.txt"), "--out", str(tmp_path / "out.jsonl")]
    for size in (1, 3):
        assert main([*predict, "--beam-size", str(size)]) == 0
        [record] = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
        assert len(record["alternatives"]) == size
    assert load_run(path, execution_filter=True).config.execution_filter
    with pytest.raises(UserError, match="'hidden' cannot be changed after training: only beam_size, length_penalty"):
        load_run(path, hidden=3)


def test_a_run_is_measured_on_mutated_copies_too(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "measured"
    assert main(["evaluate", str(path), "--copies", "3", "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    metrics, copies = found["metrics"], found["tables"]["copies"]
    assert metrics["test/test_suite_keep_distinct"] <= metrics["test/execution_sound"]
    part = copies["keep_distinct"]
    assert metrics["test/test_suite_lost"] == part["wrong_on_a_copy"] / max(part["right_on_one_database"], 1)
    assert (copies["number"], copies["problems"]) == (3, {})
    assert json.loads((out / "evaluation.json").read_text())["metrics"]["test/test_suite"] == metrics["test/test_suite"]
    assert (tmp_path / "cache" / "copies").is_dir()


def test_a_wrong_search_is_one_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(path), "--beam-size", "0"]) == 2
    assert capsys.readouterr().err.strip().count("\n") == 0


def test_how_many_words_have_a_vector_is_said(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "v.txt").write_text("qqq 1 2\nzzz 3 4\n")
    base = {"data": str(toy), "encoder": "lstm", "embeddings": "glove", "glove": str(tmp_path / "v.txt")}
    questions, note = TASK.prepare(Text2SqlConfig(**base)).card["notes"]  # type: ignore[arg-type]
    assert questions.startswith("questions: train ")
    assert note.startswith("vectors for 0 of ")
    drawn = TASK.prepare(Text2SqlConfig(**(base | {"embeddings": "random"}))).card["notes"]  # type: ignore[arg-type]
    assert drawn == [questions]
