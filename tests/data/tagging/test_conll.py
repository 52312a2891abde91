"""Column files: layouts, what may stand in a token, mistakes with their place, constant memory."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import pytest

from normlab.data.tagging.conll import COURSE_COLUMNS, ColumnFile
from normlab.errors import UserError

CONLL = "-DOCSTART- -X- -X- O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\nPeter NNP I-NP B-PER\n"


@pytest.fixture
def file_of(tmp_path):
    def write(content, name="file.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_the_courses_layout_is_recognised_in_real_data(shared_data):
    reader = ColumnFile(shared_data / "gmb" / "dev.txt")
    assert reader.layout().columns == COURSE_COLUMNS
    sentences = list(reader)
    assert (len(sentences), sum(map(len, sentences))) == (9592, 207632)
    assert len({tag for sentence in sentences for tag in sentence.tags}) == 17
    assert sentences[0].tokens[0] == sentences[0].words[0].lower()
    assert sentences[0].line == 2, "the file begins with a blank line"


def test_conll_2003_with_document_marks(file_of):
    first, second = ColumnFile(file_of(CONLL))
    assert (first.words, first.tags, first.line) == (("EU", "rejects"), ("B-ORG", "O"), 3)
    assert (second.words, second.number, second.line) == (("Peter",), 2, 6)


def test_lemmas_in_the_first_column_are_still_the_courses_layout(file_of):
    (sentence,) = ColumnFile(file_of("he PRP He O\nbe VBD was O\nhere RB here O\n"))
    assert sentence.words == ("He", "was", "here")
    assert sentence.tokens == ("he", "be", "here")


def test_any_column_order_by_name_and_tabs(file_of):
    path = file_of("B-a\tx\tNew York\nI-a\ty\tCity\n")
    (sentence,) = ColumnFile(path, columns="tag,pos,word")
    assert sentence.words == ("New York", "City"), "a tab-separated word may hold spaces"
    assert sentence.tags == ("B-a", "I-a")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_a_missing_last_one_change_nothing(file_of, end, last):
    text = end + end + "a O" + end + "b O" + end + "  " + end + end + "c O" + (end if last else "")
    assert [s.words for s in ColumnFile(file_of(text))] == [("a", "b"), ("c",)]


@pytest.mark.parametrize("token", ["\u00a0", "\u0085", "a\u2028b", "None", "nan", "NULL", '"', ","])
def test_a_token_stays_as_it_is_written(file_of, token):
    assert next(iter(ColumnFile(file_of(f"{token} O\nb O\n")))).words == (token, "b")


def test_a_byte_order_mark_belongs_to_no_word(file_of):
    assert next(iter(ColumnFile(file_of(b"\xef\xbb\xbfa O\n")))).words == ("a",)


def test_a_single_column_is_words_without_tags(file_of):
    (sentence,) = ColumnFile(file_of("a\nb\n"))
    assert sentence.words == ("a", "b")
    assert sentence.tags is None


def test_repairs_are_counted_anew_on_every_pass(file_of):
    reader = ColumnFile(file_of("a I-x\nb I-x\n\nc O\nd I-x\n"), fix_tags=True)
    for _ in range(2):
        assert [s.tags for s in reader] == [("B-x", "I-x"), ("O", "B-x")]
        assert reader.repaired == 2


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a O\nb\n", {}, r"file.txt:2: sentence 1: 1 space-separated columns, expected 2 \(word tag\)"),
        ("a O\n\nb NN O\n", {}, r"file.txt:3: sentence 2: 3 space-separated"),
        ("a\tO\nb O\n", {}, r"file.txt:2: sentence 1: 1 tab-separated"),
        ("a\tO\nb\t\n", {}, r"file.txt:2: sentence 1: 1 tab-separated"),
        ("a O\nb Q-x\n", {}, r"file.txt:2: sentence 1, word 2: 'Q-x' is no BIO tag"),
        ("a B-\n", {}, r"'B-' is no BIO tag"),
        ("word tag\na O\n", {}, r"file.txt:1: .*'tag' is no BIO tag: is the first line a header\? Remove it"),
        ("a E-x\n", {}, r"'E-x' is no BIO tag"),
        (
            "a B-geo\n",
            {"known_tags": ["B-gpe", "O"]},
            r"file.txt:1: .*unknown tag 'B-geo': did you mean 'B-gpe'",
        ),
        ("\na O\nb I-x\n", {}, r"file.txt:3: sentence 1, word 2: 'I-x' may not follow 'O'; --fix-tags"),
        ("a I-x\n", {}, r"'I-x' may not follow a sentence's beginning"),
        ("a B-x\n", {"scheme": "bioes"}, r"'B-x' may not end a sentence"),
        ("", {}, r"file.txt: the file is empty"),
        ("\n \n\n", {}, r"file.txt: holds no sentence"),
        ("a O\n" * 10_000, {}, r"file.txt:1: sentence 1 has more than 5000 words.*max_tokens"),
        ("a O\n\nb\0 O\n", {}, r"file.txt:3: holds a NUL byte"),
        (b"a O\ncaf\xe9 O\n", {}, r"file.txt:2: not utf-8 \(byte 0xe9 at column 4\).*cp1252"),
        ("a O\n", {"columns": "token tag"}, r"name `word` once"),
        ("a O\n", {"scheme": "bil"}, r"unknown tagging scheme"),
    ],
)
def test_a_mistake_is_named_with_its_place_in_one_line(file_of, content, options, message):
    with pytest.raises(UserError, match=message) as caught:
        list(ColumnFile(file_of(content), **options))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        list(ColumnFile(tmp_path / "none.txt"))


def test_a_long_sentence_is_read_when_it_is_meant(file_of):
    (sentence,) = ColumnFile(file_of("a O\n" * 10_000), max_tokens=10_000)
    assert len(sentence) == 10_000


def test_reading_takes_the_same_memory_however_long_the_file(file_of):
    peaks = []
    for copies in (200, 4000):
        reader = ColumnFile(file_of("word NN word O\nis VB is O\n\n" * copies))
        tracemalloc.start()
        assert sum(1 for _ in reader) == copies
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 20_000


def test_iteration_is_lazy_and_reports_a_mistake_only_when_it_comes_to_it(file_of):
    reader = ColumnFile(file_of("a O\n\nb O\n\nc\n"))
    assert [s.words for s in islice(reader, 2)] == [("a",), ("b",)]
