"""The Triton CRF equals the plain recursions: losses, every gradient, decoding, gaps in the mask, empty sentences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from normlab.nn import crf_decoding, crf_lattice


def problem(B: int, T: int, K: int, *, constrained: bool = False) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(B + T + K)
    emissions = torch.randn(B, T, K, generator=generator)
    tags = torch.randint(0, K, (B, T), generator=generator)
    mask = torch.rand(B, T, generator=generator) > 0.3
    mask[0] = True
    mask[-1] = False
    scores = [torch.randn(size, generator=generator) for size in ((K,), (K, K), (K,))]
    if constrained:
        scores[1][0, 1:] = -1e30
        tags = tags.clamp(min=1)
    emissions[~mask] = torch.nan
    return emissions, tags, mask, tuple(scores)


def reference(emissions: Tensor, tags: Tensor | None, mask: Tensor, scores: tuple[Tensor, ...]) -> Tensor:
    lattice, order = crf_lattice.front_aligned(emissions, mask, *scores)
    losses = crf_lattice.log_partition(lattice)
    if tags is None:
        return losses
    return losses - crf_lattice.path_score(lattice, tags.gather(1, order).masked_fill(~lattice.mask, 0))


@pytest.mark.parametrize(("B", "T", "K"), [(4, 7, 5), (3, 4, 17), (2, 1, 1)])
@pytest.mark.parametrize("gold", [True, False])
@pytest.mark.parametrize("constrained", [False, True])
def test_losses_and_gradients_are_those_of_the_recursions(
    B: int, T: int, K: int, gold: bool, constrained: bool
) -> None:
    from normlab.kernels.crf import triton as crf

    emissions, tags, mask, scores = problem(B, T, K, constrained=constrained and K > 1)
    wanted = tags if gold else None
    losses, tape = crf.loss(emissions, wanted, mask, scores)
    leaves = [tensor.double().requires_grad_() for tensor in (emissions, *scores)]
    expected = reference(leaves[0], wanted, mask, tuple(leaves[1:]))
    torch.testing.assert_close(losses.double(), expected, atol=1e-4, rtol=1e-5)

    grad = torch.linspace(0.5, 2.0, B)
    gradients = torch.autograd.grad(expected, leaves, grad.double(), materialize_grads=True)
    computed = crf.loss_backward(grad, wanted, mask, scores, tape)
    for one, other in zip(computed, gradients, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("B", "T", "K"), [(5, 8, 5), (3, 5, 17), (2, 1, 1)])
def test_the_best_path_is_the_reference_s(B: int, T: int, K: int) -> None:
    from normlab.kernels.crf import triton as crf

    emissions, _, mask, scores = problem(B, T, K)
    lattice, order = crf_lattice.front_aligned(emissions, mask, *scores)  # type: ignore[arg-type]
    paths: Any = crf_decoding.k_best(lattice, 1)[0][:, 0]
    expected = torch.zeros_like(paths).scatter(1, order, paths)
    assert torch.equal(crf.best_path(emissions, mask, scores), expected)


def test_a_long_sentence_neither_overflows_nor_loses_digits() -> None:
    from normlab.kernels.crf import triton as crf

    generator = torch.Generator().manual_seed(0)
    emissions = 30 * torch.randn(1, 40, 3, generator=generator)
    mask = torch.ones(1, 40, dtype=torch.bool)
    scores = torch.zeros(3), torch.zeros(3, 3), torch.zeros(3)
    computed = crf.loss(emissions, None, mask, scores)[0]
    expected = emissions.double().logsumexp(-1).sum()  # without transitions the positions are independent
    assert float(computed) == pytest.approx(float(expected), rel=1e-6)
