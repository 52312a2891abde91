"""Candidates of a beam search equal a full, stable sort of all sums, ties included."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from normlab.nn.beam_candidates import best_candidates


def by_full_sort(
    table: torch.Tensor, beams: list[list[float]], count: int
) -> list[list[tuple[int, int, float, float]]]:
    wide, first, found = table.double(), 0, []
    for sums in beams:
        every = [
            (beam, token, total + log_prob, log_prob)
            for beam, total in enumerate(sums)
            for token, log_prob in enumerate(wide[first + beam].tolist())
            if total + log_prob > -math.inf
        ]
        found.append(sorted(every, key=lambda candidate: -candidate[2])[:count])
        first += len(sums)
    return found


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.integers(1, 9),
    st.integers(1, 8),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.integers(0, 10**6),
)
def test_candidates_are_those_of_a_full_sort(widths: list[int], tokens: int, count: int, dtype: torch.dtype, seed: int):
    random = torch.Generator().manual_seed(seed)
    # Few distinct values, some of them -inf: most sums are tied.
    table = -torch.randint(0, 3, (sum(widths), tokens), generator=random).to(dtype)
    table[torch.rand(table.shape, generator=random) < 0.2] = -math.inf
    beams = [[-float(torch.randint(0, 3, (), generator=random)) for _ in range(width)] for width in widths]
    assert best_candidates(table, beams, count) == by_full_sort(table, beams, count)


@pytest.mark.parametrize("small", [1e-20, 1e-25])
def test_sums_that_rounding_makes_equal_are_tied(small: float):
    table = torch.tensor([[-small, -0.0, -2 * small, -1.0]])
    assert [token for _, token, _, _ in best_candidates(table, [[-5.0]], 2)[0]] == [0, 1]
