"""LinearChainCRF against enumeration of all tag sequences, against pytorch-crf, and under gradcheck."""

from __future__ import annotations

import itertools

import pytest
import torch
import torchcrf
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.nn import LinearChainCRF

MANY = settings(max_examples=60, deadline=None)


@st.composite
def problems(draw, constrained=None):
    """A CRF with wide scores, emissions and any mask, K <= 5, T <= 6; half have forbidden transitions."""
    K, T, B = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(1, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    allowed = None
    if draw(st.booleans()) if constrained is None else constrained:
        # Tag 0 may follow and be followed by everything, so that a legal sequence always exists.
        allowed = tuple(torch.rand(shape, generator=generator) < 0.6 for shape in ((K,), (K, K), (K,)))
        allowed[0][0] = allowed[2][0] = True
        allowed[1][0] = allowed[1][:, 0] = True
    crf = LinearChainCRF(K, allowed).double()
    for parameter in crf.parameters():
        parameter.data = 3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    emissions = 3 * torch.randn(B, T, K, generator=generator, dtype=torch.float64)
    mask = torch.tensor(draw(st.lists(st.lists(st.booleans(), min_size=T, max_size=T), min_size=B, max_size=B)))
    return crf, emissions, mask


def enumerate_paths(crf, emissions, mask):
    """Per sentence: real positions, all legal sequences over them, and their scores by the definition."""
    K = crf.num_tags
    ok = [torch.ones(K, dtype=bool), torch.ones(K, K, dtype=bool), torch.ones(K, dtype=bool)]
    if crf.allowed_start is not None:
        ok = [crf.allowed_start, crf.allowed_transitions, crf.allowed_end]
    for b in range(len(emissions)):
        positions = mask[b].nonzero().flatten().tolist()
        paths, scores = [], []
        for path in itertools.product(range(K), repeat=len(positions)):
            steps = list(itertools.pairwise(path))
            if path and not (ok[0][path[0]] and ok[2][path[-1]] and all(ok[1][i, j] for i, j in steps)):
                continue
            score = emissions.new_zeros(())
            if path:
                score = crf.start_transitions[path[0]] + crf.end_transitions[path[-1]]
            score = score + sum(emissions[b, t, tag] for t, tag in zip(positions, path, strict=True))
            scores.append(score + sum(crf.transitions[i, j] for i, j in steps))
            paths.append(path)
        yield positions, paths, torch.stack(scores).detach()


@given(problems())
@MANY
def test_partition_likelihood_and_entropy_equal_enumeration(problem):
    crf, emissions, mask = problem
    log_z, entropy = crf.log_partition(emissions, mask), crf.entropy(emissions, mask)
    tags = torch.full(mask.shape, -100)
    expected = []
    for b, (positions, paths, scores) in enumerate(enumerate_paths(*problem)):
        tags[b, positions] = torch.tensor(paths[-1], dtype=torch.long)
        expected.append(
            (
                scores.logsumexp(0),
                scores.logsumexp(0) - scores[-1],
                torch.special.entr(scores.softmax(0)).sum(),
            )
        )
    expected_z, expected_nll, expected_entropy = (torch.stack(values) for values in zip(*expected, strict=True))
    torch.testing.assert_close(log_z.detach(), expected_z)
    torch.testing.assert_close(entropy.detach(), expected_entropy)
    nll = crf.nll(emissions, tags, mask, reduction="none").detach()
    torch.testing.assert_close(nll, expected_nll)
    assert (nll > -1e-9).all()


@given(problems())
@MANY
def test_marginals_equal_enumeration(problem):
    crf, emissions, mask = problem
    K = crf.num_tags
    token, pairwise = crf.marginals(emissions, mask), crf.pairwise_marginals(emissions, mask)
    expected, expected_pairs = torch.zeros_like(token), torch.zeros_like(pairwise)
    for b, (positions, paths, scores) in enumerate(enumerate_paths(*problem)):
        for path, p in zip(paths, scores.softmax(0), strict=True):
            for t, tag in zip(positions, path, strict=True):
                expected[b, t, tag] += p
            for t, (i, j) in enumerate(itertools.pairwise(path)):
                expected_pairs[b, t, i, j] += p
    torch.testing.assert_close(token.detach(), expected)
    torch.testing.assert_close(pairwise.detach(), expected_pairs)
    assert pairwise.shape[2:] == (K, K)


@given(problems(), st.integers(1, 7))
@MANY
def test_viterbi_and_k_best_find_the_best_of_all_paths(problem, k):
    crf, emissions, mask = problem
    best = crf.viterbi(emissions, mask)
    tags, scores = crf.k_best(emissions, mask, k)
    assert best.shape == mask.shape
    assert not best[~mask].any()
    for b, (positions, paths, path_scores) in enumerate(enumerate_paths(*problem)):
        order = path_scores.argsort(descending=True)[:k].tolist()
        found = [tuple(row[positions].tolist()) for row in tags[b]]
        assert found[: len(order)] == [paths[n] for n in order]
        assert tuple(best[b, positions].tolist()) == found[0]
        torch.testing.assert_close(scores[b, : len(order)], path_scores[order])
        assert (scores[b, len(order) :] == -torch.inf).all()


@given(problems(), st.data())
@MANY
def test_span_probabilities_equal_enumeration(problem, data):
    crf, emissions, _ = problem
    B, T, K = emissions.shape
    lengths = torch.tensor(data.draw(st.lists(st.integers(1, T), min_size=B, max_size=B)))
    mask = torch.arange(T) < lengths[:, None]
    rows, starts, tags, then_not = [], [], [], []
    for b in range(B):
        start = data.draw(st.integers(0, int(lengths[b]) - 1))
        size = data.draw(st.integers(1, int(lengths[b]) - start))
        rows.append(b)
        starts.append(start)
        tags.append([data.draw(st.integers(0, K - 1)) for _ in range(size)] + [-1] * (T - size))
        then_not.append(data.draw(st.integers(-1, K - 1)))
    arguments = [torch.tensor(values) for values in (rows, starts, tags, then_not)]
    loose = crf.span_probabilities(emissions, mask, *arguments[:3])
    exact = crf.span_probabilities(emissions, mask, *arguments)
    for b, (_, paths, scores) in enumerate(enumerate_paths(crf, emissions, mask)):
        span = tuple(tag for tag in tags[b] if tag >= 0)
        end = starts[b] + len(span)
        probabilities = scores.softmax(0)
        inside = [n for n, path in enumerate(paths) if path[starts[b] : end] == span]
        stopped = [n for n in inside if end >= len(paths[n]) or paths[n][end] != then_not[b]]
        torch.testing.assert_close(loose[b].detach(), probabilities[inside].sum())
        torch.testing.assert_close(exact[b].detach(), probabilities[stopped].sum())
    with torch.no_grad():  # where the compiled marginals may be used
        short = crf.float().span_probabilities(emissions.float(), mask, *arguments)
    torch.testing.assert_close(short.double(), exact.detach(), atol=1e-5, rtol=1e-4)


@given(problems(constrained=False), st.sampled_from(["mean", "sum", "none", "token_mean"]))
@MANY
def test_likelihood_equals_pytorch_crf(problem, reduction):
    crf, emissions, mask = problem
    mask = mask.sort(dim=1, descending=True).values  # the other package takes no empty sentence and no gap
    mask[:, 0] = True
    tags = torch.randint(crf.num_tags, mask.shape)
    theirs = torchcrf.CRF(crf.num_tags, batch_first=True).double()
    theirs.load_state_dict(crf.state_dict())
    expected = -theirs(emissions, tags, mask, reduction=reduction)
    torch.testing.assert_close(crf.nll(emissions, tags, mask, reduction), expected)
    decoded = [row[real].tolist() for row, real in zip(crf.viterbi(emissions, mask), mask, strict=True)]
    assert decoded == theirs.decode(emissions, mask)


@pytest.mark.parametrize("quantity", ["nll", "log_partition", "marginals", "pairwise_marginals", "entropy"])
@pytest.mark.parametrize("constrained", [False, True])
def test_gradients_are_the_derivatives(quantity, constrained):
    torch.manual_seed(0)
    allowed = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 1, 1]]) if constrained else None
    crf = LinearChainCRF(3, allowed).double()
    emissions = torch.randn(3, 4, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]]).bool()
    tags = torch.tensor([[0, 1, 2, 0], [9, 0, -1, 1], [0, 0, 0, 0]])
    names, values = zip(*crf.named_parameters(), strict=True)

    class Asked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.crf = crf

        def forward(self, emissions):
            if quantity == "nll":
                return crf.nll(emissions, tags, mask)
            return getattr(crf, quantity)(emissions, mask)

    asked = Asked()

    def run(emissions, *values):
        weights = {f"crf.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(asked, weights, (emissions,))

    assert torch.autograd.gradcheck(run, (emissions, *values))


def test_marginals_are_the_gradient_of_the_log_partition():
    crf = LinearChainCRF(4)
    emissions = torch.randn(2, 5, 4, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    (gradient,) = torch.autograd.grad(crf.log_partition(emissions, mask).sum(), emissions)
    torch.testing.assert_close(gradient, crf.marginals(emissions, mask))


def test_a_sentence_does_not_depend_on_batch_mates_or_padding():
    torch.manual_seed(0)
    crf = LinearChainCRF(4)
    alone = torch.randn(1, 3, 4)
    batch = torch.cat([torch.cat([alone, torch.full((1, 4, 4), torch.nan)], 1), torch.randn(2, 7, 4)])
    batch.requires_grad_()
    mask = torch.arange(7) < torch.tensor([[3], [7], [5]])
    tags = torch.randint(4, (3, 7))
    losses = crf.nll(batch, tags, mask, reduction="none")
    torch.testing.assert_close(losses[:1], crf.nll(alone, tags[:1, :3], reduction="none"))
    (gradient,) = torch.autograd.grad(losses.sum(), batch)
    assert gradient.isfinite().all()
    assert not gradient[0, 3:].any()
    torch.testing.assert_close(crf.marginals(batch, mask)[:1, :3], crf.marginals(alone))
    assert torch.equal(crf.viterbi(batch, mask)[:1, :3], crf.viterbi(alone))


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_two_thousand_words_and_extreme_scores_stay_finite_and_exact(scale):
    torch.manual_seed(0)
    crf = LinearChainCRF(17)
    emissions = (scale * torch.randn(2, 2000, 17)).requires_grad_()
    tags = torch.randint(17, (2, 2000))
    loss = crf.nll(emissions, tags, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), emissions)
    crf.double()
    exact_input = emissions.detach().double().requires_grad_()
    exact = crf.nll(exact_input, tags, reduction="none")
    (exact_gradient,) = torch.autograd.grad(exact.sum(), exact_input)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-4, atol=1e-5)


def test_empty_batches_and_empty_sentences_have_one_path_of_score_zero():
    crf = LinearChainCRF(3)
    for shape in [(2, 0, 3), (2, 4, 3)]:
        emissions = torch.randn(shape)
        mask = torch.zeros(shape[:2], dtype=torch.bool)
        tags = torch.zeros(shape[:2], dtype=torch.long)
        for value in (
            crf.log_partition(emissions, mask),
            crf.nll(emissions, tags, mask, "none"),
            crf.entropy(emissions, mask),
        ):
            assert torch.equal(value, torch.zeros(2))
        assert crf.viterbi(emissions, mask).shape == shape[:2]
        assert crf.marginals(emissions, mask).shape == shape
        assert crf.k_best(emissions, mask, 2)[1].tolist() == [[0.0, -torch.inf]] * 2
    assert crf.nll(torch.randn(0, 4, 3), torch.zeros(0, 4, dtype=torch.long), reduction="sum") == 0


def test_forbidden_transitions_have_no_probability_and_no_gradient():
    allowed = torch.tensor([[True, False], [True, True]])
    crf = LinearChainCRF(2, allowed)
    emissions = torch.tensor([[[50.0, 0.0], [0.0, 50.0]]])  # wants 0 -> 1
    assert crf.viterbi(emissions).tolist() != [[0, 1]]
    assert crf.pairwise_marginals(emissions)[0, 0, 0, 1] == 0
    crf.nll(emissions, torch.tensor([[0, 0]])).backward()
    assert crf.transitions.grad[0, 1] == 0
    assert crf.nll(emissions, torch.tensor([[0, 1]])) > 1e29


def test_initial_scores_are_small_and_reset_draws_new_ones():
    crf = LinearChainCRF(9)
    before = crf.transitions.clone()
    crf.reset_parameters()
    assert not torch.equal(before, crf.transitions)
    assert max(p.abs().max() for p in crf.parameters()) <= 0.1


def test_half_precision_emissions_are_computed_in_float32():
    crf = LinearChainCRF(5)
    emissions = torch.randn(2, 30, 5).bfloat16()
    tags = torch.zeros(2, 30, dtype=torch.long)
    assert torch.equal(crf.nll(emissions, tags), crf.nll(emissions.float(), tags))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda crf: crf.log_partition(torch.zeros(2, 3, 5)), r"\(B, T, 4\)"),
        (lambda crf: crf.viterbi(torch.zeros(2, 3, 4), torch.ones(2, 2)), r"mask must be \(2, 3\)"),
        (lambda crf: crf.nll(torch.zeros(1, 2, 4), torch.tensor([[0, 4]])), r"0\.\.3"),
        (lambda crf: crf.nll(torch.zeros(1, 2, 4), torch.tensor([[0, 1]]), reduction="avg"), "token_mean"),
        (lambda crf: crf.k_best(torch.zeros(1, 2, 4), k=0), "positive"),
        (lambda crf: LinearChainCRF(4, torch.ones(3, 3)), r"\(4, 4\)"),
    ],
)
def test_a_wrong_argument_is_refused_with_the_right_one(call, message):
    with pytest.raises(ValueError, match=message):
        call(LinearChainCRF(4))
