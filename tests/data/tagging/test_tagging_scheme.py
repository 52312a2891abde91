"""Tags and entities: each scheme spells what it reads, and only legal sequences come out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from seqeval.scheme import IOB1, IOB2, IOBES, Entities

from normlab.data.tagging.scheme import (
    Span,
    convert,
    first_illegal,
    is_well_formed,
    legal_transitions,
    may_follow,
    resolve_scheme,
    spans,
    spell,
)
from normlab.errors import UserError
from normlab.nn import LinearChainCRF

SCHEMES = ["bio", "iob1", "bioes"]


@st.composite
def sentences_of_entities(draw):
    """Non-overlapping entities, neighbours included, and the sentence's length."""
    cuts = sorted(draw(st.sets(st.integers(0, 12), min_size=2)))
    pieces = [Span(a, b, draw(st.sampled_from(["per", "x-y"]))) for a, b in itertools.pairwise(cuts)]
    return [piece for piece in pieces if draw(st.booleans())], 13


@pytest.mark.parametrize("scheme", SCHEMES)
@given(example=sentences_of_entities())
def test_reading_what_was_spelled_gives_the_same_entities(scheme, example):
    entities, length = example
    tags = spell(entities, length, scheme)
    assert spans(tags) == entities
    assert first_illegal(tags, scheme) is None
    assert all(is_well_formed(tag, scheme) for tag in tags)


@pytest.mark.parametrize(("scheme", "peer"), [("bio", IOB2), ("iob1", IOB1), ("bioes", IOBES)])
@given(example=sentences_of_entities())
def test_seqeval_reads_the_same_entities_in_strict_mode(scheme, peer, example):
    entities, length = example
    found = Entities([spell(entities, length, scheme)], scheme=peer).entities[0]
    assert [(e.start, e.end, e.tag) for e in found] == [tuple(span) for span in entities]


@pytest.mark.parametrize("scheme", SCHEMES)
@given(tags=st.lists(st.sampled_from(["O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b", "E-b"])))
def test_converting_any_sequence_makes_it_legal_and_a_legal_one_stays(scheme, tags):
    fixed = convert(tags, scheme)
    assert len(fixed) == len(tags)
    assert first_illegal(fixed, scheme) is None
    assert convert(fixed, scheme) == fixed


def test_only_the_orphan_changes_when_an_i_without_b_is_repaired():
    tags = ["O", "I-geo", "I-geo", "O", "B-per", "I-geo"]
    assert first_illegal(tags, "bio") == (1, "'I-geo' may not follow 'O'")
    assert convert(tags, "bio") == ["O", "B-geo", "I-geo", "O", "B-per", "B-geo"]


@pytest.mark.parametrize(
    ("scheme", "tags", "place"),
    [
        ("bio", ["I-a"], 0),
        ("bio", ["B-a", "I-b"], 1),
        ("iob1", ["I-a", "O", "B-a"], 2),
        ("iob1", ["I-a", "B-b"], 1),
        ("bioes", ["B-a", "O"], 1),
        ("bioes", ["S-a", "B-a"], 1),
        ("bioes", ["B-a", "I-a"], 1),
    ],
)
def test_the_first_illegal_place_is_named(scheme, tags, place):
    assert first_illegal(tags, scheme)[0] == place


def test_iob1_parts_neighbours_of_one_type_only():
    entities = [Span(0, 1, "a"), Span(1, 2, "a"), Span(2, 3, "b")]
    assert spell(entities, 3, "iob1") == ["I-a", "B-a", "I-b"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_legal_matrix_is_the_rule_and_a_crf_takes_it(scheme):
    names = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in "ab")]
    names = [name for name in names if is_well_formed(name, scheme)]
    legal = legal_transitions(names, scheme)
    assert all(
        legal.transitions[i, j] == may_follow(a, b, scheme)
        for (i, a), (j, b) in itertools.product(enumerate(names), repeat=2)
    )
    assert legal.start.dtype == np.bool_
    crf = LinearChainCRF(len(names), legal)
    for row in crf.viterbi(100 * torch.randn(20, 8, len(names))).tolist():
        assert first_illegal([names[tag] for tag in row], scheme) is None


def test_scheme_aliases_resolve_and_a_wrong_one_gets_a_hint():
    assert resolve_scheme("IOB2") == "bio"
    with pytest.raises(UserError, match="did you mean 'bioes'"):
        resolve_scheme("bioe")
