"""Length buckets: an order that is a function of seed and epoch, and little padding."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from normlab.data.text.buckets import evaluation_batches, padding_factor, training_batches

LENGTHS = st.lists(st.integers(0, 60), max_size=200)


@given(LENGTHS, st.integers(1, 40), st.integers(1, 5), st.integers(0, 3))
def test_every_sentence_is_in_exactly_one_batch(lengths, batch_size, pool, epoch):
    training = training_batches(lengths, batch_size, seed=1, epoch=epoch, pool=pool)
    for batches in (training, evaluation_batches(lengths, batch_size, max_tokens=100)):
        assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
        assert all(0 < len(batch) <= batch_size for batch in batches)


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    lengths = np.random.default_rng(0).integers(1, 60, 500)

    def order(seed, epoch):
        return [batch.tolist() for batch in training_batches(lengths, 16, seed=seed, epoch=epoch)]

    expected = order(1, 2)
    np.random.seed(7)
    assert order(1, 2) == expected
    assert order(1, 3) != expected
    assert order(2, 2) != expected
    assert {frozenset(b) for b in order(1, 3)} != {frozenset(b) for b in expected}, "batch mates change too"


def test_pools_cut_the_padding():
    lengths = np.random.default_rng(0).integers(1, 60, 3200)
    random, pooled = (
        padding_factor(lengths, training_batches(lengths, 32, seed=0, epoch=0, pool=pool)) for pool in (1, 50)
    )
    assert pooled < 1.06 < 1.5 < random


def test_evaluation_starts_with_the_longest_and_bounds_the_words_of_a_batch():
    lengths = [5, 3000, 9, 9, 100]
    batches = evaluation_batches(lengths, 3, max_tokens=1000)
    assert [b.tolist() for b in batches] == [[1], [4, 2, 3], [0]]
