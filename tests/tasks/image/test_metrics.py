"""The image task's numbers against independent references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from normlab.tasks.image.metrics import classification_metrics, confusion_matrix, percentiles

labels_and_predictions = st.integers(2, 6).flatmap(
    lambda classes: st.lists(
        st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=60
    )
)


@given(labels_and_predictions)
@settings(max_examples=50, deadline=None)
def test_metrics_equal_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = (torch.tensor(column) for column in zip(*pairs, strict=True))
    confusion = confusion_matrix(labels, predictions, 6)
    present = sorted({*labels.tolist(), *predictions.tolist()})
    assert confusion.numpy().tolist() == sk.confusion_matrix(labels, predictions, labels=range(6)).tolist()
    ours = classification_metrics(confusion)
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(labels, predictions))
    assert ours["micro_f1"] == pytest.approx(sk.f1_score(labels, predictions, average="micro"))
    macro = sk.f1_score(labels, predictions, average="macro", labels=present, zero_division=0)
    assert ours["macro_f1"] == pytest.approx(macro)


def test_micro_f1_of_single_labels_is_the_accuracy() -> None:
    confusion = torch.randint(0, 50, (10, 10), generator=torch.Generator().manual_seed(0))
    found = classification_metrics(confusion)
    assert found["micro_f1"] == pytest.approx(found["accuracy"])


@pytest.mark.parametrize("count", [1, 2, 7, 100, 6401])
def test_percentiles_equal_numpys(count: int) -> None:
    values = torch.randn(count, 3, generator=torch.Generator().manual_seed(count))
    found = percentiles(values, (1, 20, 80, 99))
    assert list(found) == ["p01", "p20", "p80", "p99"]
    assert list(found.values()) == pytest.approx(np.percentile(values.numpy(), [1, 20, 80, 99]).tolist(), rel=1e-5)
