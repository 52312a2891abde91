"""The Kaggle CSV, JSON lines and plain text, and which format a file's name stands for."""

from __future__ import annotations

import csv
import json

import pytest

from normlab.data.tagging.conll import ColumnFile
from normlab.data.tagging.corpus import FORMATS, open_sentences
from normlab.data.tagging.corpus_folder import corpus_folder
from normlab.data.tagging.gmb_csv import GmbCsv
from normlab.data.tagging.jsonl import SentenceJsonLines
from normlab.data.tagging.plain_text import PlainText
from normlab.data.tagging.sentence_ends import sentence_bounds
from normlab.data.tagging.sentences import Sentence, SentenceFile
from normlab.data.tagging.tokenizer import word_offsets
from normlab.errors import UserError

ROWS = [
    ("Sentence: 1", "Café", "NNP", "B-org"),
    ("", "None", "NN", "O"),
    ("", "\u00a0", "NN", "O"),
    ("Sentence: 2", '"', "``", "O"),
    ("", ",", ",", "O"),
]


def write_gmb(path, rows=ROWS, encoding="cp1252"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(["Sentence #", "Word", "POS", "Tag"])
        writer.writerows(rows)
    return path


def test_the_kaggle_file_keeps_none_no_break_spaces_and_quotes(tmp_path):
    first, second = GmbCsv(write_gmb(tmp_path / "ner.csv"))
    assert first.words == ("Café", "None", "\u00a0")
    assert first.tags == ("B-org", "O", "O")
    assert (second.words, second.number, second.line) == (('"', ","), 2, 5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("Sentence: 1", "a", "NN")], r"ner.csv:2: 3 fields, expected 4"),
        ([("Sentence: 1", "a", "NN", "O"), ("", "b", "NN", "I-x")], r"ner.csv:3: .*word 2: 'I-x' may not"),
        ([("Sentence: 1", "", "NN", "O")], r"ner.csv:2: the word is empty"),
        ([], r"holds no sentence"),
    ],
)
def test_a_mistake_in_the_kaggle_file_is_named_with_its_line(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        list(GmbCsv(write_gmb(tmp_path / "ner.csv", rows)))


def test_another_csv_is_told_by_its_header(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"other.csv:1: the header must be"):
        list(GmbCsv(path))


def test_a_utf8_copy_of_the_kaggle_file_is_read_when_told(tmp_path):
    path = write_gmb(tmp_path / "ner.csv", encoding="utf-8")
    assert next(iter(GmbCsv(path, encoding="utf-8"))).words[0] == "Café"


def test_json_lines_with_and_without_tags(tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_text('{"tokens": ["a", "b"], "tags": ["B-x", "O"]}\n\n{"tokens": ["ü"], "id": 7}\n')
    first, second = SentenceJsonLines(path)
    assert (first.words, first.tags) == (("a", "b"), ("B-x", "O"))
    assert (second.words, second.tags, second.number, second.line) == (("ü",), None, 2, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"file.jsonl:1: sentence 1: not JSON"),
        ("[]", r"holds no sentence"),
        ('{"tokens": []}', r'an object with "tokens"'),
        ('{"tokens": ["a"], "tags": ["O", "O"]}', r'"tags" must be a list of 1 string'),
        ('{"tokens": ["a"], "tags": [3]}', r'"tags" holds numbers: write their names'),
        ('{"tokens": ["a"], "tags": [true]}', r'"tags" must be a list of 1 string'),
        ('{"tokens": ["a", "b"], "tags": ["O", "I-x"]}', r"file.jsonl:1: sentence 1, word 2: 'I-x' may not"),
    ],
)
def test_a_mistake_in_json_lines_is_named_with_its_line(tmp_path, line, message):
    path = tmp_path / "file.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        list(SentenceJsonLines(path))


def test_plain_text_words_stand_where_their_offsets_say(tmp_path):
    path = tmp_path / "file.txt"
    line = 'Mr. Smith left the U.S. on Jan. 5. "He paid $1,000.50," she said... Don\'t ask José!'
    path.write_text(f"\n{line}\n   \nNext line\n", encoding="utf-8")
    sentences = list(PlainText(path))
    for sentence in sentences[:-1]:
        assert sentence.words == tuple(line[a:b] for a, b in sentence.offsets)
    assert [len(s) for s in sentences] == [9, 10, 5, 2]
    assert sentences[0].words == ("Mr.", "Smith", "left", "the", "U.S.", "on", "Jan.", "5", ".")
    assert sentences[2].words == ("Do", "n't", "ask", "José", "!")
    assert [s.line for s in sentences] == [2, 2, 2, 4]


@pytest.mark.parametrize("text", ["", "   ", "a", "...", "\u00a0x\u2028y", "A. B. C. Dd", "x" * 3000 + "."])
def test_sentences_and_words_lose_no_visible_character(text):
    bounds = sentence_bounds(text)
    assert "".join(text[a:b] for a, b in bounds) == text
    words = "".join(text[a:b] for start, end in bounds for a, b in word_offsets(text, start, end))
    assert words == "".join(text.split())


def test_the_name_tells_the_format(tmp_path):
    assert isinstance(open_sentences("a.csv"), GmbCsv)
    assert isinstance(open_sentences("a.JSONL"), SentenceJsonLines)
    assert isinstance(open_sentences("a.conll", columns="word tag"), ColumnFile)
    assert isinstance(open_sentences("a.csv", "text"), PlainText)
    with pytest.raises(UserError, match="did you mean 'jsonl'"):
        open_sentences("a", "json")
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"tokens": ["a"]}))
    assert len(list(open_sentences(path))) == 1


class SlashFile(SentenceFile):
    """A sentence a line, each word with its tag after a slash."""

    suffixes = (".slash",)
    title = "words with slashes"
    _lines_per_word = 0

    def _drafts(self):
        for number, line in enumerate(self.path.read_text().splitlines(), start=1):
            words, tags = zip(*(token.rsplit("/", 1) for token in line.split()), strict=True)
            yield Sentence(words, tags, words, number, number)


def test_a_new_format_needs_its_class_and_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "slash", SlashFile)
    path = tmp_path / "train.slash"
    path.write_text("Ada/B-per left/O\n")
    [sentence] = open_sentences(path)
    assert (sentence.words, sentence.tags) == (("Ada", "left"), ("B-per", "O"))
    assert corpus_folder(tmp_path).files == {"train": path}
