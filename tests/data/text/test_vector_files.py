"""Files of word vectors as people have them: other separators, marks, headers, packings, copies and damage."""

from __future__ import annotations

import gzip
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.data.text.glove import glove_fingerprint, glove_words, load_glove
from normlab.errors import UserError

ROWS = {"the": [0.5, -1.0], "cat": [0.25, 2.0], "dog": [4.0, 8.0]}
PLAIN = "".join(f"{word} {a} {b}\n" for word, (a, b) in ROWS.items())


@pytest.fixture
def at_any_time(monkeypatch):
    """Let files that were written just now count as old: what was seen of them may be kept."""
    monkeypatch.setattr("normlab.data.text.glove._COARSE_CLOCK", -1.0)


def read(path, cache=None):
    words = glove_words(path, cache_dir=cache)
    return dict(zip(words, load_glove(path, words, cache_dir=cache).matrix.tolist(), strict=True))


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace(" ", "\t"),
        PLAIN.replace(" ", ","),
        PLAIN.replace(" ", ", "),
        PLAIN.replace(" ", ";"),
        PLAIN.replace(" ", "   "),
        PLAIN.replace("the ", "the\t"),
        "".join(f'"{line.replace(" ", chr(34) + ",", 1)}' for line in PLAIN.splitlines(True)).replace(" ", ","),
        "word,d1,d2\n" + PLAIN.replace(" ", ","),
        PLAIN + "\n \n",
        "\n" + PLAIN.replace("\n", "\n\n"),
        " " + PLAIN,
        PLAIN.replace("\n", " \r\n"),
        "3 2\n" + PLAIN,
        "\ufeff3 2\n" + PLAIN,
        PLAIN.rstrip("\n"),
    ],
)
def test_every_separator_mark_header_and_blank_line_gives_the_same_vectors(tmp_path, content, cached):
    (tmp_path / "v.txt").write_text(content, encoding="utf-8", newline="")
    assert read(tmp_path / "v.txt", tmp_path / "cache" if cached else None) == ROWS


def test_a_first_word_that_holds_a_space_does_not_make_all_vectors_longer(tmp_path):
    (tmp_path / "v.txt").write_text(". . 9 9\n" + PLAIN)
    assert read(tmp_path / "v.txt") == {". .": [9.0, 9.0], **ROWS}


def test_a_word_that_is_a_number_is_no_number_of_its_vector(tmp_path):
    (tmp_path / "v.txt").write_text("1987 9 9\n2 1 1\n" + PLAIN)
    assert read(tmp_path / "v.txt") == {"1987": [9.0, 9.0], "2": [1.0, 1.0], **ROWS}


@pytest.mark.parametrize("number", ["nan", "NaN", "inf", "-inf", "Infinity", "1e400", "1e39", "-1e39"])
@pytest.mark.parametrize("cached", [False, True])
def test_what_is_not_finite_is_refused_with_its_line(tmp_path, number, cached):
    (tmp_path / "v.txt").write_text(f"{PLAIN}bad 1 {number}\n")
    cache = tmp_path / "cache" if cached else None
    with pytest.raises(UserError, match=rf"v.txt:4: '{number}' in the vector of 'bad' is not a finite number"):
        load_glove(tmp_path / "v.txt", ["bad"], cache_dir=cache)


def archive(path, mode):
    (path.parent / "inside.txt").write_text(PLAIN)
    with tarfile.open(path, mode) as file:
        file.add(path.parent / "inside.txt", "inside.txt")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_text("the 0,5 1,0\ncat 0,2 2,0\n"), "decimal commas"),
        (lambda p: p.write_text("the\ncat\n"), "v.txt:1: 0 numbers after the word, expected a word vector"),
        (lambda p: p.write_text("a b c\nd e f\n"), "v.txt:1: 0 numbers after the word"),
        (lambda p: p.write_text(""), "v.txt: holds no vectors"),
        (lambda p: p.write_text("\n\n"), "v.txt: holds no vectors, only blank lines"),
        (lambda p: p.write_text("3 2\n"), "v.txt: holds no vectors, only word2vec's header"),
        (lambda p: p.write_text(PLAIN.replace(" ", ",") + ",1.0,2.0\n"), "v.txt:4: 2 numbers and no word"),
        (
            lambda p: p.write_text("<!DOCTYPE html><html>"),
            "v.txt: is a web page \\(HTML\\), not a text of word vectors",
        ),
        (lambda p: p.write_bytes(b"SQLite format 3\0" + bytes(100)), "v.txt: is an SQLite database"),
        (lambda p: archive(p, "w"), "v.txt: is a tar archive that is not compressed"),
        (lambda p: p.write_bytes(b"3 2\nthe \0\1\2\3\0\0\0\0"), "v.txt:2: holds a NUL byte.*word2vec's binary format"),
        (lambda p: p.write_text(PLAIN, encoding="utf-16"), "v.txt:1: holds a NUL byte.*UTF-16"),
        (lambda p: p.write_text("x" * 2**21), "v.txt:1: .*a line beyond 1 MiB"),
        (lambda p: p.mkdir(), "v.txt: is no file"),
        (lambda p: os.mkfifo(p), "v.txt: is no file"),
        (lambda p: p.write_bytes(gzip.compress(PLAIN.encode())[:30]), "v.txt: cannot be read"),
    ],
)
@pytest.mark.parametrize("cached", [False, True])
def test_the_cause_is_named_where_a_file_cannot_be_read(tmp_path, make, message, cached):
    path = tmp_path / "v.txt"
    make(path)
    with pytest.raises(UserError, match=message) as caught:
        load_glove(path, ["the"], cache_dir=tmp_path / "cache" if cached else None)
    assert "\n" not in str(caught.value)


def test_a_packed_file_is_known_by_its_content_whatever_its_name(tmp_path):
    (tmp_path / "gzip.txt").write_bytes(gzip.compress(PLAIN.encode()))
    with zipfile.ZipFile(tmp_path / "zip.txt", "w") as file:
        file.writestr("glove.vec", PLAIN)
    assert read(tmp_path / "gzip.txt") == read(tmp_path / "zip.txt") == ROWS


@pytest.mark.usefixtures("at_any_time")
def test_files_of_one_name_size_and_time_in_two_folders_are_two_files(tmp_path):
    found = []
    for folder, number in (("a", 1), ("b", 9)):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "glove.txt"
        path.write_text(f"word {number} 2\n")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        fingerprint = glove_fingerprint(path, cache_dir=tmp_path / "cache")
        found.append((fingerprint, load_glove(path, ["word"], cache_dir=tmp_path / "cache").matrix.tolist()))
    assert [matrix for _, matrix in found] == [[[1, 2]], [[9, 2]]]
    assert found[0][0] != found[1][0]


def write_at_a_new_tick(path, text):
    """Write a file of one size and modification time so that its last change differs from the one before."""
    before = path.stat().st_ctime_ns if path.exists() else 0
    while not path.exists() or path.stat().st_ctime_ns == before:
        path.write_text(text)
        os.utime(path, (1_700_000_000, 1_700_000_000))


@pytest.mark.parametrize("write", [Path.write_text, write_at_a_new_tick])
def test_new_content_of_one_path_is_read_anew(tmp_path, write, monkeypatch):
    if write is write_at_a_new_tick:
        monkeypatch.setattr("normlab.data.text.glove._COARSE_CLOCK", -1.0)
    path = tmp_path / "glove.txt"
    for number in (1, 9):
        write(path, f"word {number} 2\n")
        assert load_glove(path, ["word"], cache_dir=tmp_path / "cache").matrix.tolist() == [[number, 2]]


@pytest.mark.usefixtures("at_any_time")
def test_a_copy_is_not_parsed_again(tmp_path, monkeypatch):
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(PLAIN)
    assert read(tmp_path / "one.txt", tmp_path / "cache") == ROWS
    monkeypatch.setattr("normlab.data.text.glove.vector_entries", lambda *_: pytest.fail("parsed again"))
    assert read(tmp_path / "two.txt", tmp_path / "cache") == ROWS


def test_a_damaged_cache_is_filled_again(tmp_path):
    (tmp_path / "v.txt").write_text(PLAIN)
    read(tmp_path / "v.txt", tmp_path / "cache")
    (matrix,) = (tmp_path / "cache").glob("*.float32")
    matrix.write_bytes(matrix.read_bytes()[:-3])
    assert read(tmp_path / "v.txt", tmp_path / "cache") == ROWS


@settings(max_examples=150, deadline=None)
@given(
    content=st.binary(max_size=200)
    | st.lists(
        st.sampled_from(
            [
                b"a 1 2\n",
                b"\xef\xbb\xbf",
                b"b,1,2\n",
                b"2 2\n",
                b"\n",
                b"\t",
                b"nan ",
                b"1e999",
                b"\xff",
                b"\0",
                b"\x1f\x8b",
                b"PK\x03\x04",
                b'"',
            ]
        ),
        max_size=12,
    ).map(b"".join)
)
def test_any_bytes_give_vectors_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("vectors") / "v.txt"
    path.write_bytes(content)
    for cache in (None, path.parent / "cache"):
        try:
            found = load_glove(path, glove_words(path, cache_dir=cache), cache_dir=cache)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert np.isfinite(found.matrix).all()
