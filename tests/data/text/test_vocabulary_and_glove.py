"""Vocabularies and the GloVe vectors of their words."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest

from normlab.data.text.glove import glove_fingerprint, glove_words, load_glove
from normlab.data.text.vocabulary import UNKNOWN, Vocabulary, spellings
from normlab.errors import UserError

TEXT = "the 1 2 3\ncat 4 5 6\n0000 7 8 9\n. . 1 1 1\ncat 0 0 0\nCat -1e-2 .5 0\n"


def test_words_are_numbered_by_frequency_then_name():
    vocabulary = Vocabulary.from_words(["b", "a", "c", "a", "b", "d", "<unk>", "a"], min_count=1)
    assert vocabulary.words == ("<pad>", "<unk>", "a", "b", "c", "d")
    assert vocabulary.counts == (0, 0, 3, 2, 1, 1)
    assert vocabulary.singletons() == [4, 5]
    assert len(Vocabulary.from_words("aab", min_count=2)) == 3


def test_the_first_known_spelling_counts():
    assert spellings("Ab1") == ["Ab1", "ab1", "Ab0", "ab0"]
    vocabulary = Vocabulary(["us", "US", "0000", "x0"])
    assert vocabulary.ids(["US", "Us", "1987", "X7", "new"]) == [3, 2, 4, 5, UNKNOWN]


def test_a_saved_vocabulary_comes_back(tmp_path):
    vocabulary = Vocabulary.from_words(["é", "\u2028", "a b", "a b"])
    vocabulary.save(tmp_path / "words.json")
    loaded = Vocabulary.load(tmp_path / "words.json")
    assert (loaded.words, loaded.counts) == (vocabulary.words, vocabulary.counts)


@pytest.mark.parametrize("content", ["[]", "{", '{"words": ["a", "a"], "counts": [1, 1]}'])
def test_another_file_is_no_vocabulary(tmp_path, content):
    (tmp_path / "words.json").write_text(content)
    with pytest.raises(UserError, match="not a vocabulary"):
        Vocabulary.load(tmp_path / "words.json")


def glove_files(folder):
    (folder / "g.3d.txt").write_text(TEXT)
    with gzip.open(folder / "g.3d.txt.gz", "wt") as file:
        file.write(TEXT)
    with zipfile.ZipFile(folder / "g.zip", "w") as archive:
        archive.writestr("g.3d.txt", TEXT)
        archive.writestr("g.2d.txt", "the 1 2\n")
    (folder / "g.vec").write_text("6 3\n" + TEXT)
    return [folder / name for name in ("g.3d.txt", "g.3d.txt.gz", "g.zip", "g.vec")]


@pytest.mark.parametrize("cached", [False, True])
def test_every_container_gives_the_same_rows(tmp_path, cached):
    cache = tmp_path / "cache" if cached else None
    words = ["The", "cat", "Cat", "CAT", "1987", ". .", "missing"]
    paths = glove_files(tmp_path)
    assert len(paths) == 4
    for path in paths:
        for _ in range(2):
            vectors = load_glove(path, words, dimension=3, cache_dir=cache)
            assert vectors.found.tolist() == [True, True, True, True, True, True, False]
            expected = [[1, 2, 3], [4, 5, 6], [-0.01, 0.5, 0], [4, 5, 6], [7, 8, 9], [1, 1, 1], [0, 0, 0]]
            np.testing.assert_array_equal(vectors.matrix, np.array(expected, dtype=np.float32))


def test_a_file_is_parsed_once_whatever_is_asked(tmp_path, monkeypatch):
    paths = glove_files(tmp_path)
    assert len(paths) == 4
    for path in paths:
        dimension = 3 if path.suffix == ".zip" else None
        cache = tmp_path / f"cache-{path.suffix}"
        first = load_glove(path, ["cat"], dimension=dimension, cache_dir=cache)
        with monkeypatch.context() as patch:
            patch.setattr("normlab.data.text.glove.vector_entries", lambda *_: pytest.fail("parsed again"))
            again = load_glove(path, ["cat"], dimension=3, cache_dir=cache)
            assert glove_words(path, dimension=dimension, cache_dir=cache) == ["the", "cat", "0000", ". .", "Cat"]
            assert glove_fingerprint(path, dimension=3, cache_dir=cache).startswith("3d-")
        np.testing.assert_array_equal(first.matrix, again.matrix)
        with pytest.raises(UserError, match=r"expected 9|which dimension"):
            load_glove(path, ["cat"], dimension=9, cache_dir=cache)


def test_a_changed_file_is_parsed_again(tmp_path):
    path = tmp_path / "g.txt"
    path.write_text("a 1 2\n")
    load_glove(path, ["a"], cache_dir=tmp_path / "cache")
    path.write_text("a 1 2\nb 33 4\n")
    assert load_glove(path, ["b"], cache_dir=tmp_path / "cache").matrix.tolist() == [[33, 4]]


def test_a_vocabulary_without_any_known_word_still_has_its_dimension(tmp_path):
    path = glove_files(tmp_path)[0]
    assert load_glove(path, ["zzz"]).matrix.shape == (1, 3)


def test_the_files_words_in_order_without_repetition(tmp_path):
    path = glove_files(tmp_path)[0]
    assert glove_words(path) == ["the", "cat", "0000", ". .", "Cat"]


def test_real_glove_covers_the_corpus_and_agrees_with_a_plain_parse(shared_data):
    path = shared_data / "glove" / "glove.6B.50d.subset.txt.gz"
    vectors = load_glove(path, ["the", "Spain", "qqqqzzzz"], dimension=50)
    assert vectors.found.tolist() == [True, True, False]
    with gzip.open(path, "rt", encoding="utf-8") as file:
        first = file.readline().split(" ")
    np.testing.assert_array_equal(vectors.matrix[0], np.array(first[1:], dtype=np.float32))


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a 1 2\nb 1\n", {}, r"g.txt:2: 1 number after the word, expected 2"),
        ("a 1 2\nb 1 x\n", {}, r"g.txt:2: what follows 'b' is not all numbers"),
        ("a 1 2\n", {"dimension": 3}, r"g.txt:1: 2 numbers after the word, expected 3"),
        ("", {}, r"g.txt: holds no vectors"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, content, options, message):
    (tmp_path / "g.txt").write_text(content)
    with pytest.raises(UserError, match=message):
        load_glove(tmp_path / "g.txt", ["a", "b"], **options)


def test_a_zip_with_several_files_asks_for_the_dimension(tmp_path):
    with pytest.raises(UserError, match="say which dimension"):
        load_glove(glove_files(tmp_path)[2], ["a"])


def test_a_missing_or_damaged_file_is_the_users_mistake(tmp_path):
    (tmp_path / "g.zip").write_text("not a zip")
    (tmp_path / "g.gz").write_text("not gzip")
    for name in ("none.txt", "g.zip", "g.gz"):
        for cache in (None, tmp_path / "cache"):
            with pytest.raises(UserError, match="cannot be read"):
                load_glove(tmp_path / name, ["a"], cache_dir=cache)
