"""Tagged text as corpora, hubs and annotation programs write it: small files of each kind, read without any flag."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normlab.data.tagging.corpus import open_sentences
from normlab.data.tagging.scheme import convert, first_illegal, spans, spell, tag_style
from normlab.errors import UserError

CONLL_U = """# sent_id = 1
# text = Du kommst zum Haus.
1	Du	du	PRON	_	_	2	nsubj	_	_
2	kommst	kommen	VERB	_	_	0	root	_	_
3-4	zum	_	_	_	_	_	_	_	_
3	zu	zu	ADP	_	_	5	case	_	_
4	dem	der	DET	_	_	5	det	_	_
4.1	leer	_	_	_	_	_	_	_	_
5	Haus	Haus	NOUN	_	_	2	obl	_	SpaceAfter=No
6	.	.	PUNCT	_	_	2	punct	_	_

# sent_id = 2
1	Ja	ja	INTJ	_	_	0	root	_	_
"""
GERMEVAL = """#	http://de.wikipedia.org/wiki/Manfred_Korfmann [2009-10-17]
1	Aufgrund	O	O
2	der	O	O
3	Troia-Ausstellung	B-OTHpart	B-LOC
4	Universität	B-ORG	O
5	Tübingen	I-ORG	B-LOC

#	http://de.wikipedia.org/wiki/Berlin [2009-10-17]
1	Berlin	B-LOC	O
2	wächst	O	O
"""
WNUT = "Empire	B-location\nState	I-location\n	\nis	O\nhere	O\n		\nNow	O\n"
CONLL_2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

-DOCSTART- -X- -X- O

Peter NNP B-NP B-PER
"""


def _read(tmp_path: Path, text: str, name: str = "train.txt", **options):
    (tmp_path / name).write_text(text, encoding="utf-8")
    reader = open_sentences(tmp_path / name, **options)
    return reader, list(reader)


@pytest.mark.parametrize("comments", [True, False])
def test_conll_u_gives_words_and_parts_of_speech(tmp_path, comments):
    lines = [line for line in CONLL_U.split("\n") if comments or not line.startswith("#")]
    reader, sentences = _read(tmp_path, "\n".join(lines), "de-ud-train.conllu", scheme="plain")
    assert [sentence.words for sentence in sentences] == [("Du", "kommst", "zu", "dem", "Haus", "."), ("Ja",)]
    assert sentences[0].tags == ("PRON", "VERB", "ADP", "DET", "NOUN", "PUNCT")
    assert reader.read_as() == "words from column 2, labels from column 4"
    assert "token ranges or empty nodes: 2" in reader.left_out()
    assert ("comment lines: 3" in reader.left_out()) == comments


def test_of_nested_columns_the_outer_one_is_read_and_said(tmp_path):
    reader, sentences = _read(tmp_path, GERMEVAL, "NER-de-train.tsv")
    assert sentences[0].words == ("Aufgrund", "der", "Troia-Ausstellung", "Universität", "Tübingen")
    assert sentences[0].tags == ("O", "O", "B-OTHpart", "B-ORG", "I-ORG")
    assert reader.read_as() == "words from column 2, tags BIO from column 3, nested tags of column 4 not read"


def test_lines_of_tabs_alone_part_sentences(tmp_path):
    _, sentences = _read(tmp_path, WNUT, "emerging.train.conll")
    assert [sentence.words for sentence in sentences] == [("Empire", "State"), ("is", "here"), ("Now",)]


def test_document_marks_are_no_words_and_chunks_no_entities(tmp_path):
    reader, sentences = _read(tmp_path, CONLL_2003, "eng.train")
    assert [sentence.tags for sentence in sentences] == [("B-ORG", "O"), ("B-PER",)]
    assert reader.read_as() == "words from column 1, tags BIO from column 4"


def test_bilou_is_a_scheme_of_its_own_and_hinted_at(tmp_path):
    text = "A B-PER\nB L-PER\nis O\nin O\nParis U-LOC\n"
    _, sentences = _read(tmp_path, text, scheme="bilou")
    assert [span.type for span in spans(sentences[0].tags or ())] == ["PER", "LOC"]
    with pytest.raises(UserError, match="tags look like BILOU: --scheme bilou"):
        _read(tmp_path, text)
    assert convert(sentences[0].tags or (), "bio") == ["B-PER", "I-PER", "O", "O", "B-LOC"]
    assert convert(["B-PER", "I-PER", "O", "O", "B-LOC"], "bilou") == list(sentences[0].tags or ())
    assert first_illegal(["B-PER", "O"], "bilou") is not None
    assert spell(spans(["B-X", "I-X", "I-X"]), 3, "bilou") == ["B-X", "I-X", "L-X"]


def test_labels_of_any_form_are_plain_labels(tmp_path):
    reader, sentences = _read(tmp_path, "The DT\n( -LRB-\n# NN\n\n# NN\n9 CD\n", scheme="plain")
    assert [sentence.words for sentence in sentences] == [("The", "(", "#"), ("#", "9")]
    assert [span.type for span in spans(sentences[0].tags or ())] == ["DT", "-LRB-", "NN"]
    assert reader.read_as() == "words from column 1, labels from column 2"
    with pytest.raises(UserError, match="give --labels plain"):
        _read(tmp_path, "The DT\ncat NN\nsleeps VBZ\n")


@pytest.mark.parametrize("description", ["dataset_info.json", "dataset_infos.json", "labels.txt"])
def test_numbers_get_the_names_that_stand_beside_them(tmp_path, description):
    names = ["O", "B-PER", "I-PER"]
    feature = {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}
    info = {"features": {"tokens": {"feature": {"dtype": "string"}}, "ner_tags": feature}}
    content = {
        "dataset_info.json": json.dumps(info),
        "dataset_infos.json": json.dumps({"conll": info}),
        "labels.txt": "\n".join(names) + "\n",
    }[description]
    (tmp_path / description).write_text(content)
    line = json.dumps({"id": "0", "tokens": ["Ann", "Lee", "sings"], "ner_tags": [1, 2, 0], "pos_tags": [7, 7, 8]})
    reader, sentences = _read(tmp_path, line + "\n", "train.json")
    assert sentences[0].tags == ("B-PER", "I-PER", "O")
    assert reader.read_as() == f"tags are numbers, their names from {description}"


def test_numbers_without_names_say_where_to_write_them(tmp_path):
    line = json.dumps({"tokens": ["Ann"], "ner_tags": [1]})
    with pytest.raises(
        UserError, match=r'"ner_tags" holds numbers: write their names, one a line from 0 on, into labels'
    ):
        _read(tmp_path, line, "train.jsonl")
    (tmp_path / "labels.txt").write_text("O\n")
    with pytest.raises(UserError, match=r'sentence 1: 1 in "ner_tags" has no name: labels\.txt holds 1'):
        _read(tmp_path, line, "train.jsonl")


def test_one_list_of_objects_is_read_like_lines(tmp_path):
    entries = [{"tokens": ["Ann", "sings"], "tags": ["B-PER", "O"]}, {"words": ["Hi"], "labels": ["O"]}]
    for text in (json.dumps(entries), json.dumps(entries, indent=2)):
        _, sentences = _read(tmp_path, text, "train.json")
        assert [(sentence.words, sentence.tags) for sentence in sentences] == [
            (("Ann", "sings"), ("B-PER", "O")),
            (("Hi",), ("O",)),
        ]
    with pytest.raises(UserError, match=r"train\.json:1: not JSON .*a list of objects, or one object per line"):
        _read(tmp_path, json.dumps(entries)[:-5], "train.json")
    for damaged, reason in (("[\n", "Expecting value"), ("[" * 50_000, "nested too deeply")):
        with pytest.raises(UserError, match=rf"train\.json:1: not JSON \({reason}"):
            _read(tmp_path, damaged, "train.json")
    with pytest.raises(UserError, match=r"train\.json:1: sentence 2: expected an object .* found a number"):
        _read(tmp_path, json.dumps([entries[0], 7]), "train.json")


TEXT = "Ann Lee sings in Paris.\nBob sleeps."


@pytest.mark.parametrize(
    "places",
    [
        [[0, 7, "PER"], [17, 22, "LOC"], [24, 27, "PER"]],
        [
            {"id": 9, "label": "LOC", "start_offset": 17, "end_offset": 22},
            {"id": 1, "label": "PER", "start_offset": 0, "end_offset": 7},
            {"id": 2, "label": "PER", "start_offset": 24, "end_offset": 27},
        ],
    ],
)
def test_places_in_texts_become_tags(tmp_path, places):
    key = "label" if isinstance(places[0], list) else "entities"
    reader, sentences = _read(tmp_path, json.dumps({"id": 1, "text": TEXT, key: places}) + "\n", "all.jsonl")
    assert [sentence.words for sentence in sentences] == [
        ("Ann", "Lee", "sings", "in", "Paris", "."),
        ("Bob", "sleeps", "."),
    ]
    assert [sentence.tags for sentence in sentences] == [
        ("B-PER", "I-PER", "O", "O", "B-LOC", "O"),
        ("B-PER", "O", "O"),
    ]
    assert reader.left_out() == ""
    assert reader.read_as() == "words and tags from texts and the places of their entities"


def test_places_that_fit_no_words_are_counted(tmp_path):
    places = [[0, 5, "PER"], [1, 7, "PER"], [16, 17, "LOC"], [17, 27, "LOC"]]
    reader, sentences = _read(tmp_path, json.dumps({"text": TEXT, "label": places}), "all.jsonl")
    assert sentences[0].tags == ("B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC")
    assert sentences[1].tags == ("B-LOC", "O", "O")
    assert reader.left_out() == (
        "entities cut at the end of a sentence: 1, entities widened to whole words: 1, entities without a word: 1, "
        "overlapping entities left out: 1"
    )


@pytest.mark.parametrize("place", [[0, 99, "PER"], [3, 3, "PER"], [-1, 3, "PER"], ["0", 3, "PER"], [0, 3], [0, 3, ""]])
def test_a_place_that_is_none_is_named(tmp_path, place):
    with pytest.raises(
        UserError, match=r"all\.jsonl:1: text 1: .*(is no entity|lies outside of a text of 35 characters)"
    ):
        _read(tmp_path, json.dumps({"text": TEXT, "label": [place]}), "all.jsonl")


def test_a_style_is_told_of_what_is_there():
    assert tag_style([["B-PER", "L-PER", "O"]]) == "BILOU"
    assert tag_style([["NOUN", "-LRB-", "VERB"]]) != "BIO"
