"""What people hand to a tagger by mistake: one line that names the place and the way out, exit code 2, nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab.cli import main

GOOD = b"Paris B-geo\nis O\n\n" * 20

MISTAKES = {
    "column count": (b"a O\n\nParis B-geo\nis O x\n", r"dev.txt:4: sentence 2: 3 space-separated columns, expected 2"),
    "malformed tag": (b"a O\n\nParis Q-geo\n", "dev.txt:3: sentence 2, word 1: 'Q-geo' is no BIO tag"),
    "I- without B-": (b"a O\n\nis O\nParis I-geo\n", "dev.txt:4: sentence 2, word 2: 'I-geo' may not follow 'O'"),
    "empty file": (b"", "dev.txt: the file is empty"),
    "only blank lines": (b"\n \n\n", "dev.txt: holds no sentence, only blank lines"),
    "10,000 words": (b"a O\n\n" + b"a O\n" * 10_000, "dev.txt:3: sentence 2 has more than 5000 words"),
    "NUL bytes": (b"a O\nb\0 O\n", "dev.txt:2: holds a NUL byte"),
    "encoding": (b"a O\n\ncaf\xe9 O\n", "dev.txt:3: not utf-8 (byte 0xe9 at column 4)"),
}


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    out = folder / "run"
    base = ["train", "ner", "--scale", "smoke", "--layer-norm", "none", "--threads", "1", "--data", str(folder)]
    assert main([*base, "--out", str(out), *flags]) == 2
    assert not out.exists()
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    extra = b"Lima B-geo\nRica I-geo\n"  # so that I-geo is a known tag
    (tmp_path / "train.txt").write_bytes(GOOD + extra)
    (tmp_path / "dev.txt").write_bytes(GOOD)
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_bad_file_is_refused_in_one_line_with_its_place(
    mistake: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, hint = MISTAKES[mistake]
    (folder / "dev.txt").write_bytes(content)
    assert hint in refused(folder, capsys, "--embeddings", "random")


@pytest.mark.parametrize(
    ("content", "flags", "hint"),
    [
        ("the 1 2\n", ["--embedding-dim", "100"], "g.txt:1: 2 numbers after the word, expected 100"),
        ("the 1 2\ncat 1\n", [], "g.txt:2: 1 number after the word, expected 2"),
        ("the 1 2\ncat 1 x\n", [], "g.txt:2: what follows 'cat' is not all numbers"),
    ],
    ids=["another dimension", "a short line", "not a number"],
)
def test_bad_vectors_are_refused_in_one_line_with_their_place(
    content: str,
    flags: list[str],
    hint: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NORMLAB_CACHE", str(folder / "cache"))
    (folder / "g.txt").write_text(content)
    assert hint in refused(folder, capsys, "--embeddings", "glove", "--glove", str(folder / "g.txt"), *flags)


def test_an_encoding_that_nobody_knows_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--embeddings", "random", "--encoding", "klingon"]
    assert "train.txt:1: unknown encoding 'klingon'" in refused(folder, capsys, *flags)


def test_a_bare_fix_tags_repairs_and_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "dev.txt").write_bytes(b"is O\nParis I-geo\n\nLima I-geo\nRica I-geo\n")
    flags = ["--embeddings", "random", "--layer-norm", "none", "--threads", "1", "--hidden", "4", "--epochs", "1"]
    out = folder / "run"
    base = ["train", "ner", "--scale", "smoke", "--data", str(folder), "--out", str(out), *flags]
    assert main([*base, "--fix-tags"]) == 0
    said = "dev.txt: --fix-tags repaired 2 of 4 tags"
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    assert said in (out / "log.txt").read_text()


def test_lazy_rows_with_an_optimizer_that_changes_every_row_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--embeddings", "random", "--embedding-updates", "lazy", "--optimizer", "rmsprop"]
    assert "rmsprop cannot update rows lazily: use adam" in refused(folder, capsys, *flags)
