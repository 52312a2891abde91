from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.data.batching import batches, epoch_order
from normlab.data.split import channel_statistics, stratified_split, train_validation_split


@given(count=st.integers(0, 200), seed=st.integers(-5, 2**40), epoch=st.integers(0, 500))
@settings(max_examples=50, deadline=None)
def test_order_is_a_permutation(count, seed, epoch):
    assert np.array_equal(np.sort(epoch_order(count, seed, epoch)), np.arange(count))


def test_order_is_a_function_of_seed_and_epoch():
    order = epoch_order(1000, 3, 7)
    assert order.dtype == np.int64
    assert np.array_equal(order, epoch_order(1000, 3, 7))
    for other in (epoch_order(1000, 3, 8), epoch_order(1000, 4, 7), epoch_order(1000, 7, 3)):
        assert not np.array_equal(order, other)


def test_order_of_a_named_subset_is_its_own():
    assert not np.array_equal(epoch_order(100, 0, "limit_train"), epoch_order(100, 0, 0))


def test_orders_of_many_epochs_visit_every_place_equally():
    # mean position of example 0 over 2,000 epochs of 10: uniform on 0..9, mean 4.5, std 2.87
    places = [int(np.flatnonzero(epoch_order(10, 0, epoch) == 0)[0]) for epoch in range(2000)]
    assert abs(np.mean(places) - 4.5) < 6 * 2.87 / np.sqrt(2000)


@pytest.mark.parametrize("size", [1, 3, 10, 11])
def test_batches_cut_the_order_without_loss(size):
    order = epoch_order(10, 0, 0)
    parts = list(batches(order, size))
    assert np.array_equal(np.concatenate(parts), order)
    assert all(len(part) == size for part in parts[:-1])


def test_drop_last_leaves_out_only_the_short_batch():
    order = epoch_order(10, 0, 0)
    assert np.array_equal(np.concatenate(list(batches(order, 4, drop_last=True))), order[:8])
    assert len(list(batches(order, 5, drop_last=True))) == 2


def test_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        next(batches(epoch_order(3, 0, 0), 0))


@given(count=st.integers(1, 300), share=st.floats(0, 0.999), seed=st.integers(0, 10))
@settings(max_examples=50, deadline=None)
def test_validation_split_is_disjoint_sorted_and_whole(count, share, seed):
    validation = int(share * count)
    train, val = train_validation_split(count, validation, seed)
    assert len(val) == validation
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(val) > 0)
    assert np.array_equal(np.sort(np.concatenate([train, val])), np.arange(count))


def test_validation_split_is_a_function_of_the_seed():
    assert np.array_equal(train_validation_split(100, 10, 1)[1], train_validation_split(100, 10, 1)[1])
    assert not np.array_equal(train_validation_split(100, 10, 1)[1], train_validation_split(100, 10, 2)[1])


@pytest.mark.parametrize("validation", [-1, 10, 11])
def test_validation_must_leave_something_to_train_on(validation):
    with pytest.raises(ValueError, match="from 0 to 9 for 10 examples"):
        train_validation_split(10, validation, 0)


def test_stratified_split_takes_the_share_of_every_class():
    labels = np.repeat([5, 2, 9], [60, 12, 3])
    kept, held = stratified_split(labels, 1 / 6, seed=0)
    assert np.bincount(labels[held])[[5, 2, 9]].tolist() == [10, 2, 1]
    assert np.array_equal(np.sort(np.concatenate([kept, held])), np.arange(75))


def test_stratified_split_never_empties_a_class():
    labels = np.array([0, 0, 1])
    kept, held = stratified_split(labels, 0.9, seed=0)
    assert labels[kept].tolist() == [0, 1]
    assert labels[held].tolist() == [0]


def test_channel_statistics_equal_numpy_over_the_chosen_images():
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (5000, 3, 6, 5), dtype=np.uint8)
    chosen = draw.permutation(5000)[:4100]
    mean, std = channel_statistics(images, chosen)
    unit = images[chosen] / 255
    assert mean.dtype == std.dtype == np.float64
    np.testing.assert_allclose(mean, unit.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, unit.std(axis=(0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("value", [0, 77, 200, 255])
def test_a_constant_channel_gets_the_spread_1(value):
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 4), dtype=np.uint8)
    images[:, 1] = value
    mean, std = channel_statistics(images, [0, 1, 2])
    np.testing.assert_allclose(mean[1], value / 255)
    assert std[1] == 1
    assert 0.1 < std[0] < 0.5


def test_channel_statistics_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one image"):
        channel_statistics(np.zeros((3, 3, 4, 4), np.uint8), np.array([], dtype=np.int64))
