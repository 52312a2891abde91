"""The text-to-SQL assignment: one query a line for a file of questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from normlab.apps.course.model import open_model, refuse_other_model
from normlab.data.sql.spider import find_database
from normlab.data.text.csv_rows import csv_rows

if TYPE_CHECKING:
    from normlab.tasks.text2sql.config import Text2SqlConfig

MODEL_TYPES = {
    "lstm_lstm": "lstm",
    "lstm_lstm_attn": "lstm_attention",
    "bert_lstm_attn_frozen": "bert_frozen",
    "bert_lstm_attn_tuned": "bert_finetuned",
}


def answer(
    model_file: Path,
    test_data_file: Path,
    output_file: Path,
    *,
    model_type: str | None = None,
    databases: Path | None = None,
    beam_size: int | None = None,
    device: str | None = None,
) -> int:
    """Write one query a line, in the order of the questions; return their number.

    Args:
        test_data_file: a CSV with columns question and db_id (others are left alone); or what `normlab predict` takes.
        model_type: what the model was trained as; None: not compared.
        databases: folder of DB_ID/DB_ID.sqlite; None: `database` beside the test file, else that of training. A
            database that training did not show is read from it.
        beam_size: hypotheses; None: the model's own.
    Raises: UserError if the model is another, or a question cannot be read.
    """
    run = open_model(model_file, "text2sql", device=device, beam_size=beam_size)
    config = cast("Text2SqlConfig", run.config)
    trained_as = next(name for name, setting in MODEL_TYPES.items() if setting == config.model)
    refuse_other_model(model_file, model_type=(model_type, trained_as))
    beside = test_data_file.parent / "database"
    folder = databases if databases is not None else beside if beside.is_dir() else None
    if folder is not None:
        run.config = config.with_values("--databases", databases=str(folder))
    known = {entry["db_id"] for entry in run.folder.card()["schemas"]}
    return run.predict_to(_questions(test_data_file, known, folder), output_file, "sql")


def _questions(path: Path, known: set[str], databases: Path | None) -> Any:
    """Return the file itself, or its rows with the files of databases that the model does not know."""
    if path.suffix.lower() != ".csv" or databases is None:
        return path
    names = {row["db_id"] for _, row in csv_rows(path, ("question", "db_id"))}
    files = {name: find_database(databases, name) for name in names - known}
    return _with_files(path, {name: file for name, file in files.items() if file}) if any(files.values()) else path


def _with_files(path: Path, files: dict[str, Path]) -> Iterator[dict[str, str]]:
    for _, row in csv_rows(path, ("question", "db_id")):
        name = row["db_id"]
        yield {"question": row["question"], "database": str(files.get(name, name))}
