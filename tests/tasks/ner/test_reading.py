"""What a file to be tagged is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from normlab.errors import UserError
from normlab.tasks.ner.reading import open_input

COURSE = {"columns": ["token", "pos", "word", "tag"]}
TWO = {"columns": ["word", "tag"]}


def read(folder: Path, text: str, card: dict[str, list[str]], **options: str) -> tuple[str, list[tuple[str, ...]]]:
    path = folder / "input.txt"
    path.write_bytes(text.encode(options.get("encoding", "utf-8")))
    found = open_input(path, card, **options)
    return found.kind, [(s.words[0], s.tokens[0]) for s in found.sentences]


@pytest.mark.parametrize("card", [COURSE, TWO], ids=["trained on it", "trained on another order"])
def test_the_courses_columns_are_found_whatever_training_saw(card: dict[str, list[str]], tmp_path: Path) -> None:
    text = "\nparis NNP Paris B-geo\nis VBZ is O\n\nlima NNP Lima O\n"
    assert read(tmp_path, text, card) == ("columns", [("Paris", "paris"), ("Lima", "lima")])


def test_the_last_column_may_hold_dummies(tmp_path: Path) -> None:
    assert read(tmp_path, "paris NNP Paris _\n" * 3, COURSE)[0] == "columns"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n", "columns"),  # CoNLL-2003
        ("# sent_id = 1\nEU NNP x _\nleft VBD x _\n\n# sent_id = 2\nPeter NNP x _\nand CC x _\nI PRP x _\n", "columns"),
        ("EU _ O B-ORG\t\t\nran _ O O\n\nPeter _ O B-PER\n", "columns"),
        ("EU NNP x\nleft VBD x\n\nPeter NNP x\nand CC x\nI PRP x\n", "columns without tags"),
    ],
    ids=["chunks", "dummies", "tags", "three columns"],
)
def test_words_of_four_columns_that_are_not_the_courses_are_the_first(text: str, kind: str, tmp_path: Path) -> None:
    """A model of the course's files would read chunks for words otherwise."""
    assert read(tmp_path, text, COURSE) == (kind, [("EU", "EU"), ("Peter", "Peter")])


def test_the_tag_column_may_be_missing(tmp_path: Path) -> None:
    assert read(tmp_path, "paris NNP Paris\n" * 6, COURSE) == ("columns without tags", [("Paris", "paris")])
    assert read(tmp_path, "Paris\n" * 6, COURSE)[0] == "columns without tags"


@pytest.mark.parametrize(
    "text",
    [
        "He went to Paris",
        "He left.\nShe did not.\n" * 4 + "It was late in Rome.\n" * 4,
        "One two three.\nA longer line it is.\n",
        "Is it so ?\n",
    ],
)
def test_running_text_is_not_taken_for_columns(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text, COURSE)[0] == "text"


def test_the_encoding_of_the_run_is_that_of_its_inputs(tmp_path: Path) -> None:
    assert read(tmp_path, "Málaga O\n", TWO, encoding="cp1252")[1][0][0] == "Málaga"


def test_aligned_columns_are_columns(tmp_path: Path) -> None:
    text = "paris   NNP  Paris  B-geo\nis      VBZ  is     O\nquiet   JJ   quiet  O\n"
    assert read(tmp_path, text, COURSE) == ("columns", [("Paris", "paris")])


def test_columns_that_are_named_need_not_be_guessed(tmp_path: Path) -> None:
    text = "Paris NNP\nis VBZ\n" * 4
    assert read(tmp_path, text, COURSE)[0] == "text"
    assert read(tmp_path, text, COURSE, columns="word,pos") == ("columns without tags", [("Paris", "Paris")])
    assert read(tmp_path, "Paris x\n", COURSE, columns="word,tag")[0] == "columns"
    assert read(tmp_path, "Paris O\n", COURSE, columns="text")[0] == "text"
    with pytest.raises(UserError, match="put `tag` there"):
        read(tmp_path, text, COURSE, columns="tag,word")


def test_tags_that_training_read_further_left_stay_there(tmp_path: Path) -> None:
    card = {"columns": ["tag", "word"]}
    assert read(tmp_path, "B-geo Paris\nO is\n" * 4, card) == ("columns without tags", [("Paris", "Paris")])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.txt", "is O\nParis I-geo\n"),
        ("in.jsonl", '{"tokens": ["is", "Paris"], "tags": ["O", "I-geo"]}\n'),
        ("in.csv", "Sentence #,Word,POS,Tag\nSentence: 1,is,VBZ,O\n,Paris,NNP,I-geo\n"),
    ],
)
def test_tags_to_be_replaced_are_not_checked(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    (sentence,) = open_input(tmp_path / name, TWO).sentences
    assert (sentence.words, sentence.tags) == (("is", "Paris"), None)


def test_kaggles_file_may_be_a_utf8_copy(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("Sentence #,Word,POS,Tag\nSentence: 1,Málaga,NNP,O\n", encoding="utf-8")
    (sentence,) = open_input(tmp_path / "in.csv", TWO, encoding="utf-8").sentences
    assert sentence.words == ("Málaga",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("paris NNP Paris B-geo\n", "columns token pos word tag; the old tags are not read"),
        ("paris NNP Paris\n" * 6, "columns token pos word, without tags"),
        ("He went to Paris.\nShe stayed.\n", "running text"),
        ("Paris NNP\nis VBZ\n", "running text; most lines have 2 fields: if those are columns, name them (--columns)"),
    ],
)
def test_what_a_file_is_taken_for_is_said(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(text)
    assert open_input(tmp_path / "in.txt", COURSE).read_as == said


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        open_input(tmp_path / "nothing.txt", TWO)
