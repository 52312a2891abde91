"""Text in capitals, in small letters or like a headline is spelled as the corpus spells it; other text stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normlab.data.tagging.case_table import CaseTable, count_case
from normlab.data.tagging.letter_case import restored

CORPUS = [
    text.split()
    for text in [
        "The president of France visited New York in May .",
        "Yesterday the new minister met Bush in New York near a bush .",
        "Officials said Bush may visit a new town near a bush with NATO officials in May .",
        "Officials from the U.S. visited officials of NATO when it may be a new matter .",
        "Yesterday reporters said that new prices from Paris may rise .",
        "Then it rained in Rome , in Lima , in Oslo and the officials opened the ceremony .",
    ]
]


@pytest.fixture(scope="module")
def table() -> CaseTable:
    return CaseTable(json.loads(json.dumps(count_case(CORPUS))))


def spelled(text: str, table: CaseTable) -> str:
    return " ".join(restored(text.split(), table))


@pytest.mark.parametrize("write", [str.upper, str.lower])
def test_a_sentence_without_case_gets_the_corpus_s_back(write, table: CaseTable) -> None:
    text = "The officials visited New York in May and Bush may visit NATO near a bush ."
    assert spelled(write(text), table) == text


def test_a_headline_loses_the_capitals_that_are_no_names(table: CaseTable) -> None:
    headline = "Bush Visited New York When Officials Opened McDonald"
    assert spelled(headline, table) == "Bush visited New York when officials opened McDonald"


@pytest.mark.parametrize(
    "text",
    [
        *(" ".join(words) for words in CORPUS),
        "He met NATO , EU and WTO officials .",
        "Paris",
        "rome",
        "I",
        "#PARIS @ROME HTTP://X.COM/A",
        "The new Kurgan Bank of Oslo opened .",
    ],
)
def test_a_sentence_that_is_written_as_usual_stays(text: str, table: CaseTable) -> None:
    assert spelled(text, table) == text


def test_capitals_for_emphasis_are_read_as_words_and_abbreviations_stay(table: CaseTable) -> None:
    assert spelled("He OPENED it with NATO", table) == "He opened it with NATO"
    assert (
        spelled("WHEN OFFICIALS VISITED PARIS : he left NATO", table) == "When officials visited Paris : he left NATO"
    )


def test_addresses_are_left_alone(table: CaseTable) -> None:
    assert spelled("see @paris at http://x.com in paris", table) == "See @paris at http://x.com in Paris"


def test_unknown_abbreviations_with_full_stops_are_capitals(table: CaseTable) -> None:
    assert spelled("the f.b.i. visited paris", table) == "The F.B.I. visited Paris"


def test_a_corpus_without_capitals_changes_nothing() -> None:
    table = CaseTable(count_case([[word.lower() for word in words] for words in CORPUS]))
    assert spelled("officials visited kurgan", table) == "officials visited kurgan"


def test_an_empty_corpus_is_counted() -> None:
    assert spelled("officials visited", CaseTable(count_case([]))) == "officials visited"
    assert spelled("A B", CaseTable(count_case([["A"], [], [",", "."]]))) == "a b"


def test_words_without_letters_do_not_stop_the_count() -> None:
    assert CaseTable(count_case([["1", ",", "a", "Paris"], ["."]])).spelling("paris") == "Paris"


def test_half_of_gmb_tells_how_the_other_half_is_written(shared_data: Path) -> None:
    lines = (shared_data / "gmb" / "dev.txt").read_text(encoding="utf-8").split("\n\n")[:3000]
    sentences = [[line.split()[2] for line in lines.splitlines() if line.strip()] for lines in lines]
    table = CaseTable(count_case(sentences[::2]))
    right = total = 0
    for words in sentences[1::2]:
        for word, guess in zip(words[1:], restored([w.lower() for w in words], table)[1:], strict=True):
            total, right = total + 1, right + (word == guess)
    assert right / total > 0.95
