"""What a file to be tagged is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab.errors import UserError
from normlab.tasks.ner.reading import open_input

COURSE = {"columns": ["token", "pos", "word", "tag"]}
TWO = {"columns": ["word", "tag"]}


def read(folder: Path, text: str, card: dict[str, list[str]], **options: str) -> tuple[str, list[tuple[str, ...]]]:
    path = folder / "input.txt"
    path.write_bytes(text.encode(options.get("encoding", "utf-8")))
    kind, sentences = open_input(path, card, **options)
    return kind, [(s.words[0], s.tokens[0]) for s in sentences]


@pytest.mark.parametrize("card", [COURSE, TWO], ids=["trained on it", "trained on another order"])
def test_the_courses_columns_are_found_whatever_training_saw(card: dict[str, list[str]], tmp_path: Path) -> None:
    text = "\nparis NNP Paris B-geo\nis VBZ is O\n\nlima NNP Lima O\n"
    assert read(tmp_path, text, card) == ("columns", [("Paris", "paris"), ("Lima", "lima")])


def test_the_last_column_may_hold_dummies(tmp_path: Path) -> None:
    assert read(tmp_path, "paris NNP Paris _\n" * 3, COURSE)[0] == "columns"


def test_the_tag_column_may_be_missing(tmp_path: Path) -> None:
    assert read(tmp_path, "paris NNP Paris\n" * 6, COURSE) == ("columns without tags", [("Paris", "paris")])
    assert read(tmp_path, "Paris\n" * 6, COURSE)[0] == "columns without tags"


@pytest.mark.parametrize("text", ["He went to Paris", "One two three.\nA longer line it is.\n", "Is it so ?\n"])
def test_running_text_is_not_taken_for_columns(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text, COURSE)[0] == "text"


def test_the_encoding_of_the_run_is_that_of_its_inputs(tmp_path: Path) -> None:
    assert read(tmp_path, "Málaga O\n", TWO, encoding="cp1252")[1][0][0] == "Málaga"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        open_input(tmp_path / "nothing.txt", TWO)
