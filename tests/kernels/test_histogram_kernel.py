"""The histogram kernel counts what torch.bincount counts, in every layout and type."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.kernels.histogram import HISTOGRAM, PATTERNS
from normlab.tasks.image.distributions.sketch import count_patterns_plain

pytestmark = pytest.mark.skipif(bool(HISTOGRAM.reason_against_cpu()), reason="the kernel is not built here")


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(
        st.integers(1, 5),
        st.integers(1, 19) | st.sampled_from([32, 48, 64, 96]),
        st.integers(1, 40),
        st.integers(1, 40),
    ),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    memory_format=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    seed=st.integers(0, 10**6),
)
def test_counts_and_living_channels_equal_the_plain_reference(
    shape: tuple[int, int, int, int], dtype: torch.dtype, memory_format: torch.memory_format, seed: int
) -> None:
    torch.manual_seed(seed)
    values = (torch.randn(shape) * 10 ** torch.randint(-3, 4, (1, shape[1], 1, 1))).to(dtype)
    values = (values.relu() * (torch.rand(1, shape[1], 1, 1) < 0.7)).contiguous(memory_format=memory_format)
    counts, alive = torch.zeros(PATTERNS, dtype=torch.int64), torch.zeros(shape[1], dtype=torch.bool)
    expected_counts, expected_alive = counts.clone(), alive.clone()
    for _ in range(2):
        HISTOGRAM.try_call(values, counts, alive)
        count_patterns_plain(values, expected_counts, expected_alive)
    assert torch.equal(counts, expected_counts)
    assert torch.equal(alive, expected_alive)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_bit_pattern_is_counted_once(dtype: torch.dtype) -> None:
    patterns = torch.arange(PATTERNS, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    counts = torch.zeros(PATTERNS, dtype=torch.int64)
    HISTOGRAM.try_call(patterns.to(dtype)[:, None], counts, torch.zeros(1, dtype=torch.bool))
    finite = patterns.isfinite()
    assert (counts[finite] == 1).all()
    is_nan = patterns.isnan()
    assert int(counts[is_nan].sum()) == int(is_nan.sum())


def test_float32_is_rounded_as_torch_rounds_it() -> None:
    values = torch.tensor([[1 + 2**-8], [1 + 3 * 2**-8], [-1.00389], [3.4e38], [1e-45], [-0.0]])
    counts, expected = torch.zeros(2, PATTERNS, dtype=torch.int64)
    HISTOGRAM.try_call(values, counts, torch.zeros(1, dtype=torch.bool))
    count_patterns_plain(values, expected, torch.zeros(1, dtype=torch.bool))
    assert torch.equal(counts, expected)


def test_a_large_map_is_shared_between_threads() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    values = torch.randn(4, 16, 128, 128).bfloat16().contiguous(memory_format=torch.channels_last)
    counts, expected = torch.zeros(2, PATTERNS, dtype=torch.int64)
    HISTOGRAM.try_call(values, counts, torch.zeros(16, dtype=torch.bool))
    torch.set_num_threads(threads)
    count_patterns_plain(values, expected, torch.zeros(16, dtype=torch.bool))
    assert torch.equal(counts, expected)


def test_a_table_of_another_size_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"alive must be torch.bool \(3,\)"):
        HISTOGRAM.try_call(
            torch.zeros(2, 3), torch.zeros(PATTERNS, dtype=torch.int64), torch.zeros(2, dtype=torch.bool)
        )


def test_values_that_the_kernel_does_not_take_are_left_to_the_reference() -> None:
    counts, alive, values = torch.zeros(PATTERNS, dtype=torch.int64), torch.zeros(3).bool(), torch.zeros(2, 3, 4, 4)
    assert HISTOGRAM.try_call(values, counts, alive)
    for other in (values.double(), values[..., ::2], torch.zeros(0, 3)):
        assert HISTOGRAM.try_call(other, counts, alive) is None
