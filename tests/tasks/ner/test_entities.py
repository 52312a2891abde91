"""Entity scores against seqeval, on legal and illegal tag sequences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB1, IOB2, IOBES

from normlab.data.tagging.scheme import Scheme, convert
from normlab.tasks.ner.entities import entity_table, find_entities, without_outside_words

PREFIXES = {"bio": "BI", "iob1": "BI", "bioes": "BIES"}
SCHEMES = {"bio": IOB2, "iob1": IOB1, "bioes": IOBES}


def corpora(scheme: str) -> st.SearchStrategy[list[list[tuple[str, str]]]]:
    tags = st.sampled_from(["O", *(f"{prefix}-{kind}" for prefix in PREFIXES[scheme] for kind in ("a", "b"))])
    return st.lists(st.lists(st.tuples(tags, tags), min_size=1, max_size=8), min_size=1, max_size=6)


def ours(sentences: list[list[tuple[str, str]]], scheme: str, *, strict: bool) -> dict[str, dict[str, float]]:
    names = ["O", *(f"{prefix}-{kind}" for prefix in PREFIXES[scheme] for kind in ("a", "b"))]
    offsets = np.cumsum([0, *map(len, sentences)])
    gold, found = (
        find_entities(np.array([names.index(pair[side]) for s in sentences for pair in s]), offsets, names, scheme)
        for side in (0, 1)
    )
    return entity_table(gold, found, names, strict=strict)


# Illegal tags too where seqeval reads them as conlleval does; of other schemes the legal sequences.
@pytest.mark.parametrize(
    ("scheme", "strict", "legal"),
    [
        ("bio", False, False),
        ("bio", True, False),
        ("bioes", True, False),
        ("bioes", False, True),
        ("iob1", False, True),
        ("iob1", True, True),
    ],
)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_scores_equal_seqevals(data: st.DataObject, scheme: Scheme, strict: bool, legal: bool) -> None:
    sentences = data.draw(corpora(scheme))
    if legal:
        sides = [[convert([pair[side] for pair in s], scheme) for s in sentences] for side in (0, 1)]
        sentences = [list(zip(*pair, strict=True)) for pair in zip(*sides, strict=True)]
    gold, found = ([[pair[side] for pair in s] for s in sentences] for side in (0, 1))
    options = {"mode": "strict", "scheme": SCHEMES[scheme]} if strict else {}
    theirs = classification_report(gold, found, output_dict=True, zero_division=0, **options)
    table = ours(sentences, scheme, strict=strict)
    for kind in ("a", "b", "all"):
        row = theirs.get("micro avg" if kind == "all" else kind, {"f1-score": 0, "precision": 0, "recall": 0})
        assert table[kind]["f1"] == pytest.approx(row["f1-score"]), kind
        assert table[kind]["precision"] == pytest.approx(row["precision"]), kind
        assert table[kind]["recall"] == pytest.approx(row["recall"]), kind


def test_an_entity_does_not_run_into_the_next_sentence() -> None:
    sentences = [[("B-a", "B-a")], [("I-a", "I-a")]]
    assert ours(sentences, "bio", strict=False)["a"]["support"] == 2
    assert ours(sentences, "bio", strict=True)["a"]["support"] == 1


def test_nothing_to_find_scores_zero_without_a_warning() -> None:
    table = ours([[("O", "O")]], "bio", strict=False)
    assert table["all"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


@given(sentences=corpora("bio"))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_the_courses_count_is_seqevals_strict_one_on_words_whose_gold_tag_is_an_entitys(
    sentences: list[list[tuple[str, str]]],
) -> None:
    kept = [pairs for s in sentences if (pairs := [pair for pair in s if pair[0] != "O"])]
    names = ["O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in ("a", "b"))]
    offsets = np.cumsum([0, *map(len, sentences)])
    sides = [np.array([names.index(pair[side]) for s in sentences for pair in s]) for side in (0, 1)]
    gold, predicted, offsets = without_outside_words(*sides, offsets, names)
    entities = [find_entities(tags, offsets, names, "bio") for tags in (gold, predicted)]
    table = entity_table(*entities, names, strict=True)
    if not kept:
        assert table["all"]["f1"] == 0
        return
    words = [[[pair[side] for pair in s] for s in kept] for side in (0, 1)]
    theirs = classification_report(*words, output_dict=True, zero_division=0, mode="strict", scheme=IOB2)
    assert table["all"]["f1"] == pytest.approx(theirs.get("micro avg", {"f1-score": 0})["f1-score"])


def test_an_entity_invented_on_words_outside_costs_nothing_in_the_courses_count() -> None:
    names = ["O", "B-a", "I-a"]
    gold, predicted = np.array([1, 2, 0, 0]), np.array([1, 2, 0, 1])
    tags = without_outside_words(gold, predicted, np.array([0, 3, 4]), names)
    assert [column.tolist() for column in tags] == [[1, 2], [1, 2], [0, 2, 2]]
