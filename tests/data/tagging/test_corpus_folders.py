"""Which files of a folder serve as training, development and test file, and which are named as left out."""

from __future__ import annotations

import pytest

from normlab.data.tagging.corpus_folder import corpus_folder, role_of
from normlab.errors import UserError


def folder_of(folder, *names):
    for name in names:
        (folder / name).write_text("a O\n")
    return folder


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train.txt", "dev.txt", "test.txt"),
        ("train.txt", "valid.txt", "test.txt"),
        ("train.txt", "validation.txt", "test.txt"),
        ("eng.train", "eng.testa", "eng.testb"),
        ("ned.train.txt", "ned.testa.txt", "ned.testb.txt"),
        ("train", "testa", "testb"),
        ("en_ewt-ud-train.conllu", "en_ewt-ud-dev.conllu", "en_ewt-ud-test.conllu"),
        ("NER-de-train.tsv", "NER-de-dev.tsv", "NER-de-test.tsv"),
        ("TRAIN.TXT", "Dev.txt", "Test.txt"),
        ("train.jsonl", "val.jsonl", "test.jsonl"),
        ("wnut17train.conll", "wnut17.dev.conll", "wnut17.test.conll"),
        ("training.iob2", "devel.iob2", "testing.iob2"),
        ("train1.txt", "dev1.txt", "test1.txt"),
    ],
)
def test_files_are_known_by_a_word_of_their_names(tmp_path, train, val, test):
    found = corpus_folder(folder_of(tmp_path, train, val, test))
    assert {role: path.name for role, path in found.files.items()} == {"train": train, "val": val, "test": test}
    assert found.left_out == []


def test_the_plainest_name_is_taken_and_the_others_are_named(tmp_path):
    names = ["train.txt", "train.csv", "big-train.txt", "dev.txt", "valid.txt", "notes.txt", "test.zip"]
    found = corpus_folder(folder_of(tmp_path, *names, "README.md", "glove.txt", ".hidden"))
    assert [path.name for path in found.files.values()] == ["train.txt", "dev.txt"]
    assert found.left_out == ["big-train.txt", "notes.txt", "test.zip", "train.csv", "valid.txt"]


@pytest.mark.parametrize("name", ["contest.txt", "train-dev.txt", "strain.txt", "train.zip", "train.md", "device.txt"])
def test_other_words_give_no_role(tmp_path, name):
    assert role_of(tmp_path / name) is None


def test_several_files_for_a_role_must_be_chosen_from(tmp_path):
    folder_of(tmp_path, "eng.train", "deu.train")
    with pytest.raises(
        UserError, match=r"holds 2 training files \(deu.train, eng.train\): give the training file itself"
    ):
        corpus_folder(tmp_path)
    folder_of(tmp_path, "train.txt", "a.dev", "b.dev")
    with pytest.raises(UserError, match=r"holds 2 development files \(a.dev, b.dev\): say --dev"):
        corpus_folder(tmp_path)
    found = corpus_folder(tmp_path, {"val": tmp_path / "b.dev"})
    assert found.files["val"].name == "b.dev"
    assert found.left_out == ["a.dev", "deu.train", "eng.train"]
