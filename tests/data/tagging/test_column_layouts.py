"""What stands where in column files that others wrote: CoNLL-U, comments, odd first lines, tags of other styles."""

from __future__ import annotations

import pytest

from normlab.data.tagging.conll import ColumnFile
from normlab.data.tagging.gmb_csv import GmbCsv
from normlab.data.tagging.jsonl import SentenceJsonLines
from normlab.data.tagging.predicted_columns import write_predicted_columns
from normlab.data.tagging.scheme import tag_style
from normlab.data.tagging.sentences import doubts
from normlab.errors import UserError

CONLLU = """\
# global.columns = ID FORM LEMMA UPOS MISC
# sent_id = 1
# text = Vámonos a París
1-2\tVámonos\t_\t_\t_
1\tVamos\tir\tVERB\tO
2\tnos\tnosotros\tPRON\tO
3\ta\ta\tADP\tO
3.1\tsomos\tser\tAUX\t_
4\tParís\tParís\tPROPN\tB-LOC

# newpar
# a remark
1\tElla\tella\tPRON\tO
2\tvive\tvivir\tVERB\tO
"""


@pytest.fixture
def file_of(tmp_path):
    def write(content, name="f.txt"):
        (tmp_path / name).write_text(content, encoding="utf-8", newline="")
        return tmp_path / name

    return write


def test_conllu_words_are_in_column_2_and_ranges_empty_nodes_and_comments_are_counted(file_of):
    reader = ColumnFile(file_of(CONLLU))
    first, second = reader
    assert first.words == ("Vamos", "nos", "a", "París")
    assert first.tags == ("O", "O", "O", "B-LOC")
    assert first.lines == (5, 6, 7, 9)
    assert second.words == ("Ella", "vive")
    assert reader.layout().columns == ("number", "word", "column3", "column4", "tag")
    assert reader.read_as() == "words from column 2, tags BIO from column 5"
    assert reader.left_out() == "comment lines: 5, token ranges or empty nodes: 2"


def test_looking_at_the_first_sentences_does_not_forget_what_a_whole_pass_has_counted(file_of, monkeypatch):
    monkeypatch.setattr("normlab.data.tagging.sentences._SENTENCES_TO_LOOK_AT", 1)
    reader = ColumnFile(file_of(CONLLU))
    assert len(list(reader)) == 2
    assert reader.read_as() == "words from column 2, tags BIO from column 5"
    assert reader.left_out() == "comment lines: 5, token ranges or empty nodes: 2"


def test_tagging_conllu_keeps_comments_ranges_and_empty_nodes_byte_for_byte(file_of, tmp_path):
    reader = ColumnFile(file_of(CONLLU))
    write_predicted_columns(reader, tmp_path / "out.txt", [["X"] * len(s) for s in reader])
    before, after = CONLLU.splitlines(), (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()
    words = [number for number, line in enumerate(before) if line[:1].isdigit() and line.split("\t")[0].isdigit()]
    assert len(words) == 6
    assert [after[n] for n in words] == [before[n].rpartition("\t")[0] + "\tX" for n in words]
    rest = [n for n in range(len(before)) if n not in words]
    assert [after[n] for n in rest] == [before[n] for n in rest]


def test_a_mistake_after_a_range_is_named_with_its_own_line(file_of):
    with pytest.raises(UserError, match=r"f.txt:9: sentence 1, word 4: 'I-LOC' may not follow 'O'"):
        list(ColumnFile(file_of(CONLLU.replace("B-LOC", "I-LOC"))))


@pytest.mark.parametrize("comment", ["# sent_id = 1", "# text = Ann left", "# one two three", "#!", "# newdoc id = 3"])
def test_comments_of_a_file_of_four_columns_change_no_sentence(file_of, comment):
    rows = "Ann NNP x B-PER\nleft VBD x O\n"
    reader = ColumnFile(file_of(f"{comment}\n{rows}\n{comment}\n{comment}\n{rows}"))
    assert [s.words for s in reader] == [("Ann", "left")] * 2
    assert reader.left_out() == "comment lines: 3"


@pytest.mark.parametrize("word", ["# O", "#tbt O", "#\tO", "#1 B-x"])
def test_a_word_that_begins_with_a_hash_is_a_word(file_of, word):
    for text in (f"{word}\nb O\n\nc O\n{word}\n", f"{word}\n", f"c O\n\n{word}\n"):
        reader = ColumnFile(file_of(text.replace(" ", "\t") if "\t" in word else text))
        assert word.split()[0] in [w for s in reader for w in s.words]
        assert reader.left_out() == ""


def test_the_delimiter_is_that_of_most_lines_and_not_of_the_end_of_the_first(file_of):
    reader = ColumnFile(file_of("Name _ O B-PER\t\t\nLast _ O I-PER\nran _ O O\n\n" * 3))
    assert [s.words for s in reader] == [("Name", "Last", "ran")] * 3


def test_one_line_that_is_longer_than_the_others_is_named_and_not_the_others(file_of):
    with pytest.raises(UserError, match=r"f.txt:1: sentence 1: 3 space-separated columns, expected 2"):
        list(ColumnFile(file_of("a b O\n" + "c O\nd O\n\n" * 5)))


def test_tags_in_another_column_than_the_last_are_found(file_of):
    reader = ColumnFile(file_of("Ann B-PER NNP 1.0\nleft O VBD 0.5\n\n" * 5))
    assert next(iter(reader)).tags == ("B-PER", "O")
    assert reader.read_as() == "words from column 1, tags BIO from column 2"


def test_chunks_before_a_last_column_without_entities_are_not_taken_for_tags(file_of):
    reader = ColumnFile(file_of("Ann NNP I-NP O\nleft VBD I-VP O\n\n" * 5))
    assert next(iter(reader)).tags == ("O", "O")


@pytest.mark.parametrize(
    ("tags", "style"),
    [
        ("B-ORG L-ORG U-LOC", "BILOU"),
        ("ORG ORG LOC LOC O", "types without"),
        ("B_ORG I_ORG B_X", "BIO with an underscore"),
    ],
)
def test_chunks_before_tags_of_another_style_are_not_taken_for_tags(file_of, tags, style):
    rows = "".join(f"w{n} NNP B-NP {tag}\n" for n, tag in enumerate(tags.split()))
    with pytest.raises(UserError, match=rf"f.txt:\d: .*tags look like {style}"):
        list(ColumnFile(file_of(f"{rows}x RB B-NP O\n\n" * 5)))


def test_half_of_the_words_repeated_make_the_courses_layout_and_fewer_do_not(file_of):
    half = "he PRP He O\nbe VBD was B-x\n" * 3
    assert next(iter(ColumnFile(file_of(half)))).words[:2] == ("He", "was")
    assert next(iter(ColumnFile(file_of(half + "be VBD is O\n")))).words[:2] == ("he", "be")


@pytest.mark.parametrize(("sign", "name"), [(",", "commas"), (";", "semicolons"), ("|", "bars")])
def test_columns_that_are_separated_by_another_sign_are_refused(file_of, sign, name):
    content = f"Anna{sign}B-PER\nlives{sign}O\n\nYork{sign}B-LOC\n"
    with pytest.raises(UserError, match=f"f.txt:1: columns are separated by {name}: separate them by tabs"):
        list(ColumnFile(file_of(content)))


def test_words_with_commas_are_words(file_of):
    (sentence,) = ColumnFile(file_of("1,000\nmen\n,\nO,O\nB-x\n"))
    assert sentence.words == ("1,000", "men", ",", "O,O", "B-x")


def test_token_numbers_and_tags_without_words_are_refused(file_of):
    with pytest.raises(UserError, match="column 1 holds token numbers and column 2 tags: there are no words"):
        list(ColumnFile(file_of("1 B-x\n2 O\n3 O\n\n1 O\n2 O\n")))


def test_years_and_scores_in_the_first_column_are_words(file_of):
    reader = ColumnFile(file_of("1987 O\n12 O\n\n3 O\n1 B-x\n"))
    assert [s.words for s in reader] == [("1987", "12"), ("3", "1")]


def test_lines_of_odd_white_space_part_sentences(file_of):
    reader = ColumnFile(file_of("a O\n \t \nb O\n\u00a0\nc O\n\r\nd O\n\u3000 \n"))
    assert [s.words for s in reader] == [("a",), ("b",), ("c",), ("d",)]


@pytest.mark.parametrize(
    ("tags", "style"),
    [
        (["B-x", "I-x", "O", "B-y"], "BIO"),
        (["I-x", "I-x", "O", "I-y", "B-y"], "IOB1"),
        (["B-x", "E-x", "S-y", "O"], "BIOES"),
        (["B-x", "L-x", "U-y", "O"], "BILOU"),
        (["B-x", "M-x", "E-x"], "BMES"),
        (["B_x", "I_x", "O"], "BIO with an underscore (B_PER)"),
        (["x-B", "x-I"], "types before B and I (PER-B)"),
        (["PER", "O", "LOC"], "types without B- and I-"),
        (["0", "3", "4"], "numbers"),
        (["O", "O"], ""),
        (["I-x", "B-y"], "BIO with illegal sequences"),
    ],
)
def test_the_style_of_tags_is_told(tags, style):
    assert tag_style([tags]) == style


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a B-x\nb L-x\nc U-y\n", r"f.txt:2: .*'L-x' is no BIO tag.*tags look like BILOU: --scheme bilou"),
        ("a S-x\nb O\n", r"f.txt:1: .*tags look like BIOES: --scheme bioes"),
        ("a I-x\nb I-x\n\nc I-x\nd B-x\n", r"f.txt:1: .*tags look like IOB1: --scheme iob1"),
        ("a PER\nb O\n", r"f.txt:1: .*tags look like types without B- and I-"),
        ("a B_x\nb I_x\n", r"tags look like BIO with an underscore \(B_PER\): write B-PER"),
    ],
)
def test_a_wrong_scheme_is_answered_by_what_the_tags_look_like(file_of, rows, message):
    with pytest.raises(UserError, match=message) as caught:
        list(ColumnFile(file_of(rows)))
    assert "\n" not in str(caught.value)


def test_most_sentences_of_one_word_and_words_that_are_numbers_are_doubted(file_of):
    single = list(ColumnFile(file_of("a O\n\nb O\n\nc O\n\nd O\ne O\n")))
    assert doubts(single) == ["3 of 4 sentences have one word: are they divided at the right lines?"]
    numbers = list(ColumnFile(file_of("1 a O\n2 b O\n\n1 a O\n3 c O\n"), columns="word,pos,tag"))
    assert doubts(numbers) == ["4 of 4 words are whole numbers: are those token numbers? Name the --columns"]
    for half in ("1 O\nb O\n\n2 O\nd O\n", "a O\n\nb O\n\nc O\nd O\n\ne O\nf O\n", "1 O\n2 O\n"):
        assert doubts(list(ColumnFile(file_of(half), columns="word,tag"))) == []


HEADER = "Sentence #,Word,POS,Tag\r\n"


@pytest.mark.parametrize(
    "rows",
    [
        "Sentence: 1,a,NN,O\r\n,b,NN,O\r\nSentence: 2,c,NN,O\r\n",
        "Sentence: 1,a,NN,O\r\nSentence: 1,b,NN,O\r\nSentence: 2,c,NN,O\r\n",
        "1,a,NN,O\r\n1,b,NN,O\r\n2,c,NN,O\r\n",
        "1,a,NN,O\r\nnan,b,NN,O\r\n2,c,NN,O\r\n",
    ],
)
def test_sentences_go_by_their_name_whether_it_is_filled_down_or_not(file_of, rows):
    assert [s.words for s in GmbCsv(file_of(HEADER + rows))] == [("a", "b"), ("c",)]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        (["", "Sentence #", "Word", "POS", "Tag"], ","),
        (["id", "sentence_idx", "word", "pos", "tag"], ";"),
        (["id", "Sentence_ID", "Token", "pos", "Label"], "\t"),
    ],
)
def test_a_table_with_the_three_columns_by_other_names_is_read(file_of, header, delimiter):
    rows = [header, ["0", "1", "a", "NN", "B-x"], ["1", "1", "b", "NN", "O"], ["2", "2", "c", "NN", "O"]]
    sentences = list(GmbCsv(file_of("".join(delimiter.join(row) + "\n" for row in rows))))
    assert [(s.words, s.tags) for s in sentences] == [(("a", "b"), ("B-x", "O")), (("c",), ("O",))]


def test_a_quoted_line_end_belongs_to_its_word_and_later_lines_keep_their_numbers(file_of):
    rows = 'Sentence: 1,"a\nb",NN,O\r\n\r\n,c,NN,I-x\r\n'
    with pytest.raises(UserError, match=r"f.txt:5: sentence 1, word 2: 'I-x'"):
        list(GmbCsv(file_of(HEADER + rows)))
    (sentence,) = GmbCsv(file_of(HEADER + rows), tagged=False)
    assert sentence.words == ("a\nb", "c")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Sentence: 1,of\rx,IN,O\n", "f.txt:2: not CSV .a carriage return in the middle of the line"),
        ('Sentence: 1,"of,IN,O\n', r"f.txt:2: 2 fields, expected 4: is a quote never closed\?"),
        ("Sentence: 1,of,IN\n", r"f.txt:2: 3 fields, expected 4$"),
        (f"Sentence: 1,{'x' * 140_000},IN,O\n", "f.txt:2: not CSV"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(file_of, content, message):
    with pytest.raises(UserError, match=message) as caught:
        list(GmbCsv(file_of(HEADER + content)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a", "ner": ["O"]}', "found keys: text, ner"),
        ("{\n", "an object that goes on over several lines"),
        ('["a"]', "found a string"),
        ('{"a":' * 50_000, "nested too deeply"),
        ('{"tokens": ["\\ud83d"]}', "half of a surrogate pair"),
        ('{"tokens": ["a", ""]}', 'word 2 of "tokens" is empty'),
    ],
)
def test_json_lines_of_another_shape_are_told_by_what_was_found(file_of, line, message):
    with pytest.raises(UserError, match=f"f.jsonl:1: sentence 1: .*{message}"):
        list(SentenceJsonLines(file_of(line, "f.jsonl")))
