"""Text files as people have them, for every reader: encodings, line ends, files that are no text, and any bytes."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import sqlite3
import tarfile
import zipfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from normlab.data.tagging.conll import ColumnFile
from normlab.data.tagging.gmb_csv import GmbCsv
from normlab.data.tagging.jsonl import SentenceJsonLines
from normlab.data.tagging.plain_text import PlainText
from normlab.data.text.vocabulary import Vocabulary
from normlab.errors import UserError

READERS = {"columns": ColumnFile, "csv": GmbCsv, "jsonl": SentenceJsonLines, "text": PlainText}
CONTENT = {
    "columns": "Málaga B-geo\n\nist O\n",
    "csv": "Sentence #,Word,POS,Tag\nSentence: 1,Málaga,NNP,B-geo\nSentence: 2,ist,VBZ,O\n",
    "jsonl": '{"tokens": ["Málaga"], "tags": ["B-geo"]}\n{"tokens": ["ist"], "tags": ["O"]}\n',
    "text": "Málaga\nist\n",
}
CODINGS = {
    "utf-8": "utf-8",
    "UTF-8 with a mark": "utf-8-sig",
    "UTF-16": "utf-16",
    "UTF-32": "utf-32",
    "UTF-16, big end first": "utf-16-be",
}


def marked(text, coding):
    mark = codecs.BOM_UTF16_BE if coding == "utf-16-be" else b""
    return mark + text.encode(coding)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS)
@pytest.mark.parametrize("reader", READERS)
def test_a_byte_order_mark_tells_the_encoding_to_every_reader(tmp_path, reader, coding, end):
    (tmp_path / "f").write_bytes(marked(CONTENT[reader].replace("\n", end), coding))
    sentences = list(READERS[reader](tmp_path / "f"))
    assert [s.words for s in sentences] == [("Málaga",), ("ist",)]


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_told_by_its_zeros(tmp_path, coding):
    (tmp_path / "f").write_bytes("Paris B-geo\nis O\n".encode(coding))
    assert [s.words for s in ColumnFile(tmp_path / "f")] == [("Paris", "is")]


@pytest.mark.parametrize("coding", ["cp1252", "utf-8"])
def test_kaggles_table_is_utf8_if_it_can_be_and_else_cp1252(tmp_path, coding):
    (tmp_path / "f").write_bytes(CONTENT["csv"].encode(coding))
    assert next(iter(GmbCsv(tmp_path / "f"))).words == ("Málaga",)


@pytest.mark.parametrize("name", ["utf-16-le", "latin-1", "cp1252", "utf-8"])
def test_an_encoding_that_is_asked_for_is_taken(tmp_path, name):
    (tmp_path / "f").write_bytes("é O\n".encode(name))
    assert next(iter(ColumnFile(tmp_path / "f", encoding=name))).words == ("é",)


@pytest.mark.parametrize("name", ["klingon", "hex", "rot13", "a\0b", ""])
def test_what_is_no_encoding_of_text_is_refused(tmp_path, name):
    (tmp_path / "f").write_text("a O\n")
    with pytest.raises(UserError, match="f:1: unknown encoding"):
        list(ColumnFile(tmp_path / "f", encoding=name))


def database(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")


def archive(path, mode):
    (path.parent / "inside").write_text("a O\n" * 100)
    with tarfile.open(path, mode) as file:
        file.add(path.parent / "inside", "inside")


def zipped(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("train.txt", "a O\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (database, "is an SQLite database, not text; give a text file"),
        (zipped, r"is a zip archive, not text; unpack it first"),
        (lambda p: archive(p, "w"), "is a tar archive that is not compressed, not text; unpack it first"),
        (lambda p: archive(p, "w:gz"), "is gzip data, not text; unpack it first"),
        (lambda p: archive(p, "w:bz2"), "is bzip2 data"),
        (lambda p: archive(p, "w:xz"), "is xz data"),
        (lambda p: p.write_bytes(gzip.compress(b"a O\n")), "is gzip data"),
        (
            lambda p: p.write_text("\n <!doctype HTML>\n<html>"),
            "is a web page \\(HTML\\), not text; was a web page saved",
        ),
        (lambda p: p.write_text("\ufeff<html><body>", encoding="utf-8"), r"is a web page \(HTML\)"),
        (lambda p: p.write_text("<?xml version='1.0'?><a/>"), "is an XML document"),
        (lambda p: p.write_bytes(b"%PDF-1.7\n"), "is a PDF"),
        (lambda p: p.write_bytes(b"PAR1\x15\x04"), "is a Parquet file"),
        (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"), "is a PNG image"),
        (lambda p: p.write_bytes(b"\x80\x04\x95"), "is a pickle"),
        (lambda p: p.write_bytes(b"a\0b O\n" * 9), ":1: holds a NUL byte"),
        (lambda p: p.write_bytes(b""), "the file is empty"),
        (lambda p: p.mkdir(), r"cannot be read \(Is a directory\)"),
        (lambda p: os.mkfifo(p), "is a pipe, which can be read only once"),
        (lambda p: p.write_bytes(b"\xff\xfe\x00\xd8a\0\n\0"), "not utf-16-le"),
        (lambda p: p.write_bytes(b"a" * (16 * 2**20 + 2)), "longer than 16 MiB"),
    ],
)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_text_is_called_what_it_is(tmp_path, reader, make, message):
    make(tmp_path / "f")
    with pytest.raises(UserError, match=rf"/f:?.*{message}") as caught:
        list(READERS[reader](tmp_path / "f"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "word", ["BZh", "PAR1", "GIF8", "PK", "Rar", "Rar!", "MZ", "aRIFF_WEBP", "Convert_WEBP", "qoif"]
)
def test_a_word_that_begins_like_another_kind_of_file_is_a_word(tmp_path, word):
    (tmp_path / "f").write_text(f"{word} O\nb O\n")
    assert next(iter(ColumnFile(tmp_path / "f"))).words == (word, "b")


BITS = {
    "columns": [b"a O\n", b"a\tB-x\n", b"# x = 1\n", b"1\ta\tO\n", b"1-2\tab\t_\n", b"-DOCSTART- O\n", b"b I-x\r\n"],
    "csv": [b"Sentence #,Word,POS,Tag\n", b"Sentence: 1,a,NN,O\n", b",b,NN,B-x\r\n", b'"', b"\r", b";", b",,,\n"],
    "jsonl": [b'{"tokens": ["a"], "tags": ["O"]}\n', b'{"tokens": ', b"[" * 3000, b'"\\ud800"', b"1e999", b'["a"]}\n'],
    "text": [b"He is. She is.\n", b"a", b"...", b"Mr. X\r\n"],
}
ODD = [
    b"\n",
    b" ",
    b"\t",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xe2\x80\xa8",
    b"\xc2\xa0",
    b"\x1f\x8b",
]


@pytest.mark.parametrize("reader", READERS)
def test_any_bytes_give_sentences_or_one_line(tmp_path_factory, reader):
    folder = tmp_path_factory.mktemp(reader)

    @settings(max_examples=150, deadline=None)
    @given(content=st.binary(max_size=120) | st.lists(st.sampled_from(BITS[reader] + ODD), max_size=14).map(b"".join))
    @example(content=b"".join(BITS[reader]))
    def check(content):
        (folder / "f").write_bytes(content)
        for options in ({}, {"tagged": False}, {"fix_tags": True, "encoding": "latin-1"}):
            try:
                sentences = list(READERS[reader](folder / "f", **options))
            except UserError as error:
                assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
            else:
                assert sentences
                assert all(s.tags is None or len(s.tags) == len(s.words) for s in sentences)
                "".join(word for s in sentences for word in s.words).encode()

    check()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["words", "counts", "x"]), inner),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=40) | VALUES.map(lambda value: json.dumps(value).encode()))
@example(content=b"[" * 100_000)
@example(content=b'{"words": [1, 2], "counts": [1, 1]}')
@example(content=b'{"words": ["a"], "counts": ["x"]}')
@example(content=b'{"words": "ab", "counts": [1, 1]}')
def test_any_bytes_give_a_vocabulary_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("vocabulary") / "words.json"
    path.write_bytes(content)
    try:
        vocabulary = Vocabulary.load(path)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert all(isinstance(word, str) for word in vocabulary.words)
        assert all(isinstance(count, int) for count in vocabulary.counts)
