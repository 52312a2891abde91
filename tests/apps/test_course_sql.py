"""The text-to-SQL assignment's command: infer, as its marker calls it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from normlab.cli import main
from normlab.data.sql.toy import write_toy
from normlab.engine.api import load_run

QUICK = ["--scale", "smoke", "--epochs", "1", "--hidden", "16", "--limit-train", "40", "--threads", "1", "--json"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy")).root


@pytest.fixture(scope="module")
def run(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("course") / "run"
    flags = ["--model", "lstm", "--data", str(toy), "--view", "course"]
    assert main(["train", "text2sql", *flags, "--out", str(out), *QUICK]) == 0
    return out


@pytest.fixture(scope="module")
def model(run: Path) -> Path:
    path = run.with_name("lstm.safetensors")
    assert main(["course", "save_model", str(run), "--output_file", str(path)]) == 0
    return path


@pytest.fixture
def questions(toy: Path, tmp_path: Path) -> Path:
    """The first ten rows of val.csv, the gold queries among their columns as the course hands them out."""
    with (toy / "val.csv").open(newline="") as file:
        rows = list(csv.reader(file))[:11]
    with (tmp_path / "questions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return tmp_path / "questions.csv"


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(["course", "infer", *map(str, words)]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    return line


def test_the_output_is_one_query_a_line_in_the_order_of_the_questions(
    run: Path, model: Path, questions: Path, tmp_path: Path
) -> None:
    out, native = tmp_path / "out.csv", tmp_path / "native.sql"
    words = ["-model_file", model, "-model_type", "lstm_lstm", "-test_data_file", questions, "-output_file", out]
    assert main(["course", "infer", *map(str, words)]) == 0
    assert main(["predict", str(run), str(questions), "--out", str(native), "--format", "sql"]) == 0
    assert out.read_bytes() == native.read_bytes()
    assert out.read_text() == "".join(f"{record['sql']}\n" for record in load_run(model).predict(questions))


def test_a_beam_is_the_users_choice(run: Path, model: Path, questions: Path, tmp_path: Path) -> None:
    out, native = tmp_path / "out.txt", tmp_path / "native.sql"
    words = ["--model_file", model, "--test_data_file", questions, "--output_file", out, "--beam_size", 3]
    assert main(["course", "infer", *map(str, words)]) == 0
    command = ["predict", str(run), str(questions), "--out", str(native), "--beam-size", "3"]
    assert main(command) == 0
    assert out.read_bytes() == native.read_bytes()


@pytest.mark.parametrize(
    ("published", "setting"),
    [
        ("lstm_lstm", "lstm"),
        ("lstm_lstm_attn", "lstm_attention"),
        ("bert_lstm_attn_frozen", "bert_frozen"),
        ("bert_lstm_attn_tuned", "bert_finetuned"),
    ],
)
def test_each_published_model_is_one_of_ours(published: str, setting: str) -> None:
    from typing import get_args

    from normlab.apps.course.sql import MODEL_TYPES
    from normlab.tasks.text2sql.config import Text2SqlConfig

    assert MODEL_TYPES[published] == setting
    assert setting in get_args(Text2SqlConfig.model_fields["model"].annotation)


def test_another_model_than_the_flags_say_is_refused(
    model: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["-model_file", model, "-test_data_file", questions, "-output_file", tmp_path / "out"]
    line = fails(capsys, *files, "-model_type", "lstm_lstm_attn")
    assert (
        line == f"normlab: --model_type lstm_lstm_attn: the model in {model} has lstm_lstm: give that, or leave it out"
    )
    assert "a text-to-SQL model: leave the flag out" in fails(capsys, *files, "--normalization", "bn")
    assert "unknown --model_type 'lstm'" in fails(capsys, *files, "--model_type", "lstm")
    assert "--beam-size 0: give 1 or more" in fails(capsys, *files, "--beam_size", 0)
    assert not (tmp_path / "out").exists()


def test_a_database_that_training_did_not_show_is_read_from_the_folder(
    model: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("db_id,question\ntoy_harbour,How many ships are there?\nmine,How many ships?\n")
    files = ["-model_file", model, "-test_data_file", tmp_path / "in.csv", "-output_file", tmp_path / "out.sql"]
    assert "unknown database 'mine'" in fails(capsys, *files)
    (tmp_path / "database" / "mine").mkdir(parents=True)
    shutil.copy(toy / "database" / "toy_harbour" / "toy_harbour.sqlite", tmp_path / "database" / "mine" / "mine.sqlite")
    assert main(["course", "infer", *map(str, files), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 2
    (tmp_path / "elsewhere").mkdir()
    assert "unknown database 'mine'" in fails(capsys, *files, "--databases", tmp_path / "elsewhere")


def test_the_model_answers_without_its_training_data(model: Path, toy: Path, questions: Path, tmp_path: Path) -> None:
    files = ["-model_file", model, "-test_data_file", questions, "-output_file", tmp_path / "out.sql"]
    hidden = toy.with_name(f"{toy.name}-hidden")
    toy.rename(hidden)
    try:
        assert main(["course", "infer", *map(str, files)]) == 0
    finally:
        hidden.rename(toy)
    assert len((tmp_path / "out.sql").read_text().splitlines()) == 10


def test_a_file_without_the_columns_is_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("question\nHow many?\n")
    files = ["-model_file", model, "-test_data_file", tmp_path / "in.csv", "-output_file", tmp_path / "out"]
    assert "db_id" in fails(capsys, *files)
    assert "gone.csv" in fails(capsys, *files, "-test_data_file", tmp_path / "gone.csv")
