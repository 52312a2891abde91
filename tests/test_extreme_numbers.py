"""Numbers at the edges of their types: a result that is right, or a ValueError; never NaN out of finite numbers.

What a norm, an LSTM, a CRF and a beam search make of constants, denormals, large offsets, single values and the
largest numbers of the half types, in training and evaluation, gradients included. NaN and infinity must show.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from normlab.nn import LayerNormLSTM, LinearChainCRF, beam_search
from normlab.norms import NORMS

C, K = 8, 4
SHAPES = {"maps": (3, C, 4, 4), "batch of one": (1, C, 4, 4), "1x1 maps": (3, C, 1, 1), "one value": (1, C, 1, 1)}


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def constant(value: float) -> Callable[..., Tensor]:
    return lambda *shape: torch.full(shape, value)


INPUTS: dict[str, tuple[torch.dtype, Callable[..., Tensor]]] = {
    "zeros": (torch.float32, constant(0.0)),
    "a constant": (torch.float32, constant(-7.0)),
    "a large constant": (torch.float32, constant(1e4)),
    "a large offset": (torch.float32, lambda *shape: drawn(*shape) + 1e4),
    "denormals": (torch.float32, lambda *shape: drawn(*shape) * 1e-40),
    "squares that vanish": (torch.float32, lambda *shape: drawn(*shape) * 1e-25),
    "squares near the largest": (torch.float32, lambda *shape: drawn(*shape) * 1e17),
    "one large among small": (
        torch.float32,
        lambda *shape: torch.cat([drawn(*shape)[:, :1] * 1e15, drawn(*shape)[:, 1:]], 1),
    ),
    "float16 at its largest": (torch.float16, lambda *shape: drawn(*shape).sign() * 65504),
    "float16 denormals": (torch.float16, lambda *shape: drawn(*shape) * 1e-7),
    "bfloat16, large": (torch.bfloat16, lambda *shape: drawn(*shape) * 1e17),
    "bfloat16 denormals": (torch.bfloat16, lambda *shape: drawn(*shape) * 1e-40),
}


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_of_finite_numbers_is_finite_or_refused(norm: str, name: str, shape: str, training: bool) -> None:
    dtype, make = INPUTS[name]
    layer = NORMS.create(norm, C).train(training)
    x = make(*SHAPES[shape]).to(dtype).requires_grad_()
    assert x.isfinite().all()
    # One value per channel has no variance: what pools over the batch refuses it in training.
    if training and layer.batch_dependent and shape == "one value":
        with pytest.raises(ValueError, match="value"):
            layer(x)
        return
    y = layer(x)
    assert y.dtype == dtype
    assert not y.isnan().any()
    # EvoNorm multiplies a constant by 1 / sqrt(eps), which is beyond the largest float16.
    assert y.isfinite().all() or (layer.activates and dtype == torch.float16)
    (gradient,) = torch.autograd.grad(y.float().mean(), x)
    assert not gradient.isnan().any()
    for key, value in layer.state_dict().items():
        assert value.isfinite().all(), key


@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_of_a_constant_does_not_blow_rounding_up(norm: str) -> None:
    layer = NORMS.create(norm, C)
    y = layer(torch.full((3, C, 5, 7), 0.1))
    assert y.abs().max() < 100
    if layer.card.statistics == "mean and variance":
        assert y.abs().max() < 1e-2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("norm", NORMS)
def test_what_is_not_finite_is_not_hidden(norm: str, bad: float) -> None:
    layer = NORMS.create(norm, C)
    x = drawn(3, C, 4, 4)
    x[1, 2, 3, 0] = bad
    y = layer(x)
    bounded = not layer.pools_over and norm != "none"  # tanh and erf of infinity are 1
    assert not y[1, 2, 3, 0].isfinite() or (bounded and math.isinf(bad))


@pytest.mark.parametrize("layer_norm", [True, False], ids=["layer norm", "plain"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 5)], ids=["one step", "steps"])
@pytest.mark.parametrize("name", INPUTS)
def test_an_lstm_of_finite_numbers_is_finite(name: str, shape: tuple[int, int], layer_norm: bool) -> None:
    dtype, make = INPUTS[name]
    torch.manual_seed(0)
    lstm = LayerNormLSTM(3, 6, bidirectional=True, batch_first=True, layer_norm=layer_norm).to(dtype)
    x = make(*shape, 3).clamp(-3e4, 3e4) if dtype == torch.float16 else make(*shape, 3)
    x = x.to(dtype).requires_grad_()  # products of larger ones leave float16 before anything normalises them
    output, (h_n, c_n) = lstm(x)
    for value in (output, h_n, c_n):
        assert value.isfinite().all()
    assert output.abs().max() <= 1
    (gradient,) = torch.autograd.grad(output.float().mean(), x)
    assert not gradient.isnan().any()


@pytest.mark.parametrize("shape", [(1, 1), (2, 5)], ids=["one step", "steps"])
@pytest.mark.parametrize("name", INPUTS)
def test_a_crf_of_finite_scores_is_finite(name: str, shape: tuple[int, int]) -> None:
    dtype, make = INPUTS[name]
    crf = LinearChainCRF(K).to(dtype)
    emissions = make(*shape, K).to(dtype).requires_grad_()
    tags = torch.zeros(shape, dtype=torch.long)
    nll = crf.nll(emissions, tags, reduction="none")
    assert not nll.isnan().any()
    assert (nll.float() >= -1e-2 * emissions.detach().float().abs().sum().clamp(min=1)).all()
    marginals = crf.marginals(emissions)
    assert marginals.isfinite().all()
    torch.testing.assert_close(marginals.float().sum(-1), torch.ones(shape), rtol=0, atol=2e-2)
    paths = crf.viterbi(emissions)
    assert ((paths >= 0) & (paths < K)).all()
    (gradient,) = torch.autograd.grad(nll.float().mean(), emissions)
    assert not gradient.isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e4])
def test_a_beam_over_extreme_distributions_ends_with_finite_scores(scale: float, dtype: torch.dtype) -> None:
    def step(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        logits = (drawn(K).double() * scale).expand(len(tokens), K)
        return logits.log_softmax(-1).to(dtype), state

    for hypotheses in beam_search(step, torch.zeros(2, 1), beam_size=3, max_length=4, bos=0, eos=1, n_best=3):
        assert hypotheses
        for hypothesis in hypotheses:
            assert math.isfinite(hypothesis.score)
            assert all(map(math.isfinite, hypothesis.token_log_probs))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_beam_refuses_what_is_no_log_probability(bad: float) -> None:
    def step(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        log_probs = torch.full((len(tokens), K), -1.0)
        log_probs[0, 2] = bad
        return log_probs, state

    with pytest.raises(ValueError, match="NaN or values above 0"):
        beam_search(step, torch.zeros(1, 1), beam_size=2, max_length=3, bos=0, eos=1)
