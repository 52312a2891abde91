"""Scores of words against scikit-learn; calibration by construction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from normlab.tasks.ner.metrics import calibration_error, reliability, tag_confusion, token_metrics

TAGS = ["O", "B-a", "I-a", "B-b"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_word_scores_equal_scikit_learns_without_o(pairs: list[tuple[int, int]]) -> None:
    gold, found = (np.array(column) for column in zip(*pairs, strict=True))
    ours = token_metrics(tag_confusion(gold, found, len(TAGS)), TAGS)
    present = sorted({*gold, *found} - {0})
    inside = gold != 0
    assert ours["token_accuracy"] == pytest.approx(sk.accuracy_score(gold, found))
    assert ours["accuracy"] == pytest.approx(np.mean(gold[inside] == found[inside]) if inside.any() else 0)
    if present:
        for average in ("micro", "macro"):
            expected = sk.f1_score(gold, found, labels=present, average=average, zero_division=0)
            assert ours[f"{average}_f1"] == pytest.approx(expected)


def test_confidence_that_keeps_its_word_has_no_calibration_error() -> None:
    sure = np.repeat([0.25, 0.75], 400)
    correct = np.concatenate([np.arange(400) % 4 == 0, np.arange(400) % 4 != 0])
    curve = reliability(sure, correct)
    assert [row["count"] for row in curve] == [400, 400]
    assert calibration_error(curve) == pytest.approx(0)
    assert calibration_error(reliability(np.ones(10), np.arange(10) < 4)) == pytest.approx(0.6)
