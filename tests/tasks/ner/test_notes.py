"""What a run says before it trains, and keeps in its card: what was found, changed and left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normlab.cli import main
from normlab.errors import UserError
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.data import prepare

ROWS = "Paris B-geo\nis O\n\nLima B-geo\nhas O\n\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "corpus"
    place.mkdir()
    (place / "train.txt").write_text(ROWS * 20)
    return place


def notes(data: Path, **settings: object) -> list[str]:
    found: list[str] = prepare(NerConfig(data=str(data), **settings)).card["notes"]  # type: ignore[arg-type]
    return found


def test_the_files_that_were_found_and_left_out_are_said_in_one_line(folder: Path) -> None:
    (folder / "valid.txt").write_text(ROWS)
    (folder / "extra.txt").write_text(ROWS)
    first, layout = notes(folder)
    assert first == (
        "sentences: train 40 (train.txt), dev 2 (valid.txt), test none; left out: extra.txt "
        "(name a file train.txt, dev.txt or test.txt, or give --dev, --test)"
    )
    assert layout == "train.txt, valid.txt: words from column 1, tags BIO from column 2"


def test_a_part_that_is_held_out_is_counted(folder: Path) -> None:
    assert notes(folder)[0].startswith(
        "sentences: train 40 (train.txt), dev none (4 of these are held out; --dev names a file), test none"
    )


def test_a_development_file_beside_the_training_file_is_named_when_it_is_not_used(folder: Path) -> None:
    for name in ("dev.txt", "testb.txt", "notes.txt"):
        (folder / name).write_text(ROWS)
    assert "left out: dev.txt beside it, testb.txt beside it (" in notes(folder / "train.txt")[0]
    assert "left out: testb.txt beside it (" in notes(folder / "train.txt", dev=str(folder / "dev.txt"))[0]


def test_a_named_file_stands_in_for_the_folders(folder: Path) -> None:
    for name in ("dev.txt", "mine.txt"):
        (folder / name).write_text(ROWS)
    said = notes(folder, dev=str(folder / "mine.txt"))[0]
    assert "dev 2 (mine.txt)" in said
    assert "left out: dev.txt (" in said


def test_what_was_changed_left_out_and_doubtful_in_a_file_is_said(folder: Path) -> None:
    (folder / "dev.txt").write_text("# sent_id = 1\nParis I-geo\n\nLima B-geo\n\nis O\n\n")
    (folder / "train.txt").write_text(ROWS * 20 + "Rica B-geo\nSur I-geo\n")
    said = notes(folder, fix_tags=True)
    assert "dev.txt: --fix-tags repaired 1 of 3 tags" in said
    assert "dev.txt: left out: comment lines: 1" in said
    assert "dev.txt: 3 of 3 sentences have one word: are they divided at the right lines?" in said


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ("paris 1 2\nlima 3 4\nis 5 6\nzebra 7 8\n", "vectors for 3 of 4 words (v.txt)"),
        (
            "París 1 2\nes 3 4\n",
            "vectors for 0 of 4 words (v.txt): is the file of this language, and in this letter case?",
        ),
    ],
)
def test_how_many_words_have_a_vector_is_always_said(
    folder: Path, tmp_path: Path, vectors: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "cache"))
    (folder / "dev.txt").write_text(ROWS)
    (tmp_path / "v.txt").write_text(vectors)
    for vocabulary in ("train", "auto"):
        found = notes(folder, embeddings="glove", glove=str(tmp_path / "v.txt"), vocabulary=vocabulary)
        assert found[-1] == said


def test_the_notes_are_said_before_training_and_kept_in_the_card(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    flags = ["--embeddings", "random", "--layer-norm", "none", "--threads", "1", "--epochs", "1", "--hidden", "4"]
    assert main(["train", "ner", "--scale", "smoke", "--data", str(folder), "--out", str(out), *flags]) == 0
    captured = capsys.readouterr()
    kept = json.loads((out / "card.json").read_text())["notes"]
    assert len(kept) == 2
    for note in kept:
        assert captured.err.index(note) < captured.err.index("epoch ")
        assert note in (out / "log.txt").read_text()


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("a O\nb O\n\nc O\n", "train.txt: every word has the tag 'O', so there is nothing to learn"),
        ("a B-x\n\nb B-x\n", "every word has the tag 'B-x'"),
        ("a\nb\n", "train.txt:1: sentence 1 has no tags: training needs them"),
        ("a B-x\nb O\n", "validation: 0.1 of 1 sentence is none: give a --dev file"),
    ],
)
def test_a_corpus_that_teaches_nothing_is_refused(folder: Path, train: str, message: str) -> None:
    (folder / "train.txt").write_text(train)
    with pytest.raises(UserError, match=message):
        prepare(NerConfig(data=str(folder)))


def test_json_lines_without_tags_are_answered_by_the_keys_that_were_found(folder: Path) -> None:
    (folder / "train.txt").unlink()
    (folder / "train.jsonl").write_text('{"tokens": ["a"], "pos": ["NN"]}\n')
    with pytest.raises(UserError, match=r"has no tags: training needs them; found keys: tokens, pos"):
        prepare(NerConfig(data=str(folder)))


def test_a_folder_without_a_training_file_says_what_it_holds(folder: Path) -> None:
    (folder / "train.txt").rename(folder / "corpus.txt")
    with pytest.raises(UserError, match=r"holds no train.txt .*; it holds corpus.txt"):
        prepare(NerConfig(data=str(folder)))


def test_a_folder_that_may_not_be_listed_is_named_and_a_file_in_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    assert notes(folder / "train.txt")[0].startswith("sentences: train 40 (train.txt)")
    with pytest.raises(UserError, match=r"corpus: cannot be read .Permission denied."):
        notes(folder)
