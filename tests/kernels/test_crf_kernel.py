"""The compiled CRF equals the float64 reference, whatever the scores, and refuses what it does not take."""

from __future__ import annotations

import copy
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.kernels.crf import LOSS, MARGINALS, VITERBI, operators
from normlab.nn import LinearChainCRF

needs_kernel = pytest.mark.skipif(bool(LOSS.reason_against_cpu()), reason="the compiled CRF is unavailable here")


def log_z(crf, emissions):
    return LOSS.try_call(emissions, None, None, crf._scores(), crf._legal(), "none")


@st.composite
def problems(draw):
    K, T, B = draw(st.integers(1, 40)), draw(st.integers(1, 12)), draw(st.integers(1, 5))
    torch.manual_seed(draw(st.integers(0, 10**6)))
    allowed = None
    if draw(st.booleans()):
        allowed = tuple(torch.rand(shape) < 0.5 for shape in ((K,), (K, K), (K,)))
        allowed[0][0] = allowed[2][0] = True
        allowed[1][0] = allowed[1][:, 0] = True
    crf = LinearChainCRF(K, allowed)
    scale = draw(st.sampled_from([0.1, 3.0, 100.0, 1e4]))
    for parameter in crf.parameters():
        parameter.data = scale * torch.randn_like(parameter)
    mask = torch.rand(B, T) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    tags = legal_tags(crf, mask)
    return crf, scale * torch.randn(B, T, K), tags, mask


def legal_tags(crf, mask):
    """Legal tags, so that no loss is 1e30: tag 0 may follow and precede everything."""
    tags = torch.full(mask.shape, -1)
    for row, real in zip(tags, mask, strict=True):
        positions = real.nonzero().flatten().tolist()
        for t in positions:
            row[t] = torch.randint(crf.num_tags, ()) if crf.allowed_transitions is None else 0
    return tags


def losses_and_gradients(crf, emissions, tags, mask, dtype):
    crf = copy.deepcopy(crf).to(dtype)
    emissions = emissions.detach().to(dtype).clone().requires_grad_()
    weights = torch.linspace(0.5, 2, len(tags), dtype=dtype)
    nll = crf.nll(emissions, tags, mask, reduction="none")
    log_z = crf.log_partition(emissions, mask)
    (weights @ nll + log_z.sum() * 0.5).backward()
    return [nll, log_z, emissions.grad, *(p.grad for p in crf.parameters())]


@needs_kernel
@given(problems())
@settings(max_examples=40, deadline=None)
def test_losses_and_gradients_equal_the_float64_reference(problem):
    crf, emissions, *_ = problem
    assert log_z(crf, emissions) is not None
    computed = losses_and_gradients(*problem, torch.float32)
    expected = losses_and_gradients(*problem, torch.float64)
    scale = max(1.0, float(emissions.abs().max()))
    for value, exact in zip(computed, expected, strict=True):
        # Scores of size s are known to s * 2^-24 only, and a probability depends on their differences.
        tolerance = 1e-5 * max(1.0, scale / 20) * exact.abs().max().clamp(min=1.0)
        assert (value - exact).abs().max() <= tolerance


@needs_kernel
@given(problems())
@settings(max_examples=40, deadline=None)
def test_viterbi_finds_a_path_as_good_as_the_references(problem):
    crf, emissions, _, mask = problem
    exact = copy.deepcopy(crf).double()
    computed = crf.viterbi(emissions, mask)
    best = exact.viterbi(emissions.double(), mask)
    assert not computed[~mask].any()
    score, best_score = (
        exact.score(emissions.double(), computed, mask),
        exact.score(emissions.double(), best, mask),
    )
    torch.testing.assert_close(score, best_score, rtol=1e-6, atol=1e-4)


@needs_kernel
@given(problems())
@settings(max_examples=30, deadline=None)
def test_marginals_without_gradient_equal_the_reference(problem):
    crf, emissions, _, mask = problem
    exact = copy.deepcopy(crf).double().marginals(emissions.double(), mask)
    with torch.no_grad():
        computed = crf.marginals(emissions, mask)
    assert (computed - exact).abs().max() <= 1e-5 * max(1.0, float(emissions.abs().max()) / 20)


@needs_kernel
def test_scores_that_underflow_a_probability_are_summed_in_log_space():
    # The only path that counts in the end starts with a probability of e^-200.
    crf = LinearChainCRF(3)
    for parameter in crf.parameters():
        torch.nn.init.zeros_(parameter)
    crf.transitions.data[:2, 2] = -1000.0
    crf.transitions.data[2, 2] = 0.0
    crf.transitions.data[2, :2] = -1000.0
    emissions = torch.tensor([[[0.0, 0.0, -200.0], [0.0, 0.0, 900.0]]], requires_grad=True)
    crf.log_partition(emissions).sum().backward()
    exact = copy.deepcopy(crf).double().marginals(emissions.detach().double())
    torch.testing.assert_close(emissions.grad.double(), exact, atol=1e-6, rtol=1e-5)
    assert exact[0, 0, 2] > 0.99


@needs_kernel
def test_two_thousand_words_keep_their_digits():
    torch.manual_seed(0)
    crf = LinearChainCRF(17)
    emissions, tags = 3 * torch.randn(2, 2000, 17), torch.randint(17, (2, 2000))
    mask = torch.arange(2000) < torch.tensor([[2000], [1999]])
    computed = losses_and_gradients(crf, emissions, tags, mask, torch.float32)
    expected = losses_and_gradients(crf, emissions, tags, mask, torch.float64)
    for value, exact in zip(computed, expected, strict=True):
        assert (value - exact).abs().max() <= 1e-5 * exact.abs().max()


@needs_kernel
def test_the_number_of_threads_changes_rounding_at_most():
    torch.manual_seed(0)
    crf = LinearChainCRF(17)
    emissions, tags, mask = torch.randn(64, 30, 17), torch.randint(17, (64, 30)), torch.rand(64, 30) < 0.8
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(losses_and_gradients(crf, emissions, tags, mask, torch.float32))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


@needs_kernel
def test_the_operators_keep_torchs_contract():
    crf = LinearChainCRF(3)
    emissions, tags, mask = (
        torch.randn(2, 4, 3, requires_grad=True),
        torch.ones(2, 4).long(),
        torch.ones(2, 4).bool(),
    )
    scores = crf.constrained_scores()
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operators.crf_loss, (emissions, tags, mask, *scores), test_utils=checks)
    plain = tuple(score.detach() for score in scores)
    torch.library.opcheck(operators.crf_viterbi, (emissions.detach(), mask, *plain), test_utils=checks)


@needs_kernel
def test_the_operator_has_the_gradients_of_the_direct_call(monkeypatch):
    crf = LinearChainCRF(5)
    problem = crf, torch.randn(3, 6, 5), torch.randint(5, (3, 6)), torch.rand(3, 6) < 0.7
    direct = losses_and_gradients(*problem, torch.float32)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    operator = losses_and_gradients(*problem, torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(direct, operator, strict=True))
    assert torch.equal(crf.viterbi(problem[1]), copy.deepcopy(crf).double().viterbi(problem[1].double()))


@needs_kernel
def test_a_wrong_tag_is_refused():
    crf = LinearChainCRF(3)
    with pytest.raises(ValueError, match=r"0\.\.2; row 1"):
        crf.nll(torch.zeros(2, 2, 3), torch.tensor([[0, 2], [0, 3]]))


@needs_kernel
def test_it_refuses_other_types_and_says_so():
    crf = LinearChainCRF(4)
    assert log_z(crf, torch.randn(2, 5, 4).double()) is None
    assert "torch.float64" in LOSS.reason()
    assert MARGINALS.try_call(torch.randn(2, 5, 4), None, crf._scores(), crf._legal()) is None
    assert MARGINALS.reason() == "gradients are recorded"


@needs_kernel
@pytest.mark.parametrize("mask_type", [torch.bool, torch.uint8])
def test_masks_and_tags_of_any_layout_and_type_are_taken(mask_type):
    crf, emissions = LinearChainCRF(4), torch.randn(3, 5, 4)
    tags, mask = torch.randint(4, (5, 3)).t(), torch.ones(5, 3, dtype=mask_type).t()
    expected = crf.nll(emissions, tags.contiguous())
    with patch.object(LOSS, "refuse", side_effect=AssertionError):
        assert torch.equal(crf.nll(emissions, tags.int(), mask), expected)


def test_the_reference_gives_the_same(monkeypatch):
    crf, emissions = LinearChainCRF(4), torch.randn(2, 5, 4)
    before = crf.log_partition(emissions), crf.viterbi(emissions)
    for kernel in (LOSS, VITERBI):
        monkeypatch.setattr(kernel, "try_call", lambda *_: None)
    torch.testing.assert_close((crf.log_partition(emissions), crf.viterbi(emissions)), before)


@needs_kernel
def test_the_operator_has_the_second_derivative_of_the_reference():
    crf, leaf = LinearChainCRF(3), torch.randn(2, 4, 3, requires_grad=True)
    mask = torch.ones(2, 4).bool()
    penalties = []
    for dtype in (torch.float32, torch.float64):
        x, scores = leaf.to(dtype), [score.to(dtype) for score in crf._scores()]
        exact = copy.deepcopy(crf).double()
        losses = operators.crf_loss(x, None, mask, *scores)[0] if dtype == torch.float32 else exact.log_partition(x)
        (slope,) = torch.autograd.grad(losses.sum(), x, create_graph=True)
        penalties.append(torch.autograd.grad(slope.square().sum(), leaf)[0])
    torch.testing.assert_close(*penalties, rtol=1e-4, atol=1e-5)
