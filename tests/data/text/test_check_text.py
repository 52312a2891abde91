"""`normlab data check` of sentences and word vectors."""

from __future__ import annotations

import json

import pytest

from normlab.cli import main
from normlab.data.check import check
from normlab.errors import UserError

ROWS = "Paris B-geo\nis O\n\nNew B-geo\nYork I-geo\nhas O\n\n"


def test_a_folder_of_sentences_is_counted_by_file(tmp_path, capsys):
    (tmp_path / "train.txt").write_text(ROWS * 3)
    (tmp_path / "valid.txt").write_text("# id = 1\n" + ROWS)
    (tmp_path / "more.txt").write_text(ROWS)
    assert main(["data", "check", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "sentences"
    assert found["train"]["sentences"] == 6
    assert found["train"]["entities"] == {"geo": 6}
    assert found["val"]["read_as"] == "words from column 1, tags BIO from column 2"
    assert found["val"]["left_out"] == "comment lines: 1"
    assert found["left_out"] == ["more.txt"]


def test_all_bad_files_are_named_at_once_in_one_line(tmp_path):
    (tmp_path / "train.txt").write_text(ROWS)
    (tmp_path / "dev.txt").write_text("Paris B-geo\nis O\nbig O O\n")
    (tmp_path / "test.txt").write_bytes(b"a\xff O\n")
    with pytest.raises(UserError) as caught:
        check(tmp_path)
    message = str(caught.value)
    assert message.startswith("2 of 3 files cannot be used: ")
    assert "dev.txt:3: sentence 1: 3 space-separated columns, expected 2" in message
    assert "test.txt:1: not utf-8" in message
    assert "\n" not in message


def test_tags_that_training_lacks_are_counted(tmp_path):
    (tmp_path / "train.txt").write_text(ROWS)
    (tmp_path / "dev.txt").write_text("Paris B-gep\nis O\n\nLima B-gep\n")
    assert check(tmp_path)["val"]["tags_not_in_training"] == {"B-gep": 2}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a I-x\nb I-x\n\nc I-x\nd B-x\n", "words from column 1, tags IOB1 from column 2"),
        ("a B-x\nb E-x\nc S-y\n", "words from column 1, tags BIOES from column 2"),
        ("a B-x _\nb O _\n\nc O _\nd O _\n", "words from column 1, tags BIO from column 2"),
    ],
)
def test_the_scheme_of_a_file_is_told(tmp_path, rows, said):
    (tmp_path / "some.conll").write_text(rows)
    assert check(tmp_path / "some.conll")["file"]["read_as"] == said


def test_a_file_to_be_tagged_is_checked_without_its_placeholders(tmp_path):
    (tmp_path / "in.txt").write_text("a NN _\nb NN _\n\nc NN _\n")
    found = check(tmp_path / "in.txt")["file"]
    assert (found["sentences"], found["sentences_without_tags"]) == (2, 2)


def test_tables_of_words_and_of_pixels_are_told_apart(tmp_path):
    (tmp_path / "words.csv").write_text("Sentence #,Word,POS,Tag\n1,a,NN,B-x\n1,b,NN,O\n2,c,NN,O\n")
    assert check(tmp_path / "words.csv")["file"]["sentences"] == 2
    (tmp_path / "pixels.csv").write_text(",".join(["7"] * 3072) + "\n")
    assert check(tmp_path / "pixels.csv") == {"kind": "images without labels (CSV)", "rows": 1}


@pytest.mark.parametrize("name", ["glove.txt", "some.txt", "v.csv", "x.vec"])
def test_word_vectors_are_counted_and_a_bad_line_is_named(tmp_path, name):
    (tmp_path / name).write_text("the 1 2 3 4\ncat 5 6 7 8\n")
    assert check(tmp_path / name) == {"kind": "word vectors", "words": 2, "dimension": 4}
    (tmp_path / name).write_text("the 1 2 3 4\n" * 9 + "cat 5 6 nan 8\n")
    with pytest.raises(UserError, match=rf"{name}:10: 'nan' in the vector of 'cat'"):
        check(tmp_path / name)
