"""The glue keeps autograd's contract; where it cannot be built, the references run."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor, nn

from normlab.kernels.crf import LOSS, VITERBI
from normlab.kernels.lstm import LSTM
from normlab.kernels.norm import NORM, TRACK
from normlab.kernels.runtime import build
from normlab.nn import LayerNormLSTM, LinearChainCRF
from normlab.norms import NORMS

needs_glue = pytest.mark.skipif(build.load_glue() is None, reason="the glue cannot be built here")
SCHEMES = ["batch", "instance", "layer", "group", "batch_instance"]


@pytest.fixture
def without_glue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "load_glue", lambda: None)
    monkeypatch.setitem(build._reasons, build.GLUE, "no headers")
    for kernel in (NORM, TRACK, LSTM, LOSS, VITERBI):
        monkeypatch.setattr(kernel, "_run", kernel._connect_and_run)


def norm_step(name: str, dtype: torch.dtype, with_residual: bool) -> list[Tensor]:
    torch.manual_seed(0)
    layer = NORMS.create(name, 8)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.2, 0.9)
    x = torch.randn(4, 8, 6, 5, dtype=dtype, requires_grad=True)
    residual = torch.randn(4, 8, 6, 5, dtype=dtype, requires_grad=True) if with_residual else None
    y = layer.fused(x, residual=residual, relu=with_residual)
    leaves = [x, *layer.parameters(), *([residual] if residual is not None else [])]
    buffers = [buffer.clone() for buffer in layer.buffers()]
    return [y, *torch.autograd.grad(y.float().square().sum(), leaves), *buffers]


def sequence_step(reduction: str = "mean", constrained: bool = True) -> list[Tensor]:
    torch.manual_seed(0)
    allowed = torch.ones(6, 6).bool()
    allowed[1, 2] = allowed[3, 3] = False
    lstm = LayerNormLSTM(5, 3, 2, bidirectional=True)
    crf = LinearChainCRF(6, allowed if constrained else None)
    x, tags = torch.randn(7, 20, 5, requires_grad=True), torch.randint(0, 2, (20, 7))
    lengths = torch.randint(0, 8, (20,))
    lengths[3] = 7
    output, (h_n, c_n) = lstm(x, lengths=lengths)
    emissions = output.transpose(0, 1)
    mask = torch.arange(7) < lengths[:, None]
    loss = crf.nll(emissions, tags, mask, reduction=reduction)  # type: ignore[arg-type]
    total = loss.sum() + h_n.square().sum() + c_n.sum()
    leaves = [x, *lstm.parameters(), *crf.parameters()]
    best = crf.viterbi(emissions, mask)
    return [output, h_n, c_n, loss, crf.log_partition(emissions, mask), best, *torch.autograd.grad(total, leaves)]


@needs_glue
@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_is_that_of_the_reference(
    name: str, with_residual: bool, dtype: torch.dtype, request: pytest.FixtureRequest
) -> None:
    by_kernel = norm_step(name, dtype, with_residual)
    request.getfixturevalue("without_glue")
    tolerance = 1e-4 if dtype == torch.float32 else 3e-2
    for one, other in zip(by_kernel, norm_step(name, dtype, with_residual), strict=True):
        assert (one.double() - other).norm() <= tolerance * other.double().norm().clamp(min=1.0)


@needs_glue
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "token_mean"])
@pytest.mark.parametrize("constrained", [False, True])
def test_sequence_layers_are_those_of_the_reference(
    reduction: str, constrained: bool, request: pytest.FixtureRequest
) -> None:
    by_kernel = sequence_step(reduction, constrained)
    request.getfixturevalue("without_glue")
    for one, other in zip(by_kernel, sequence_step(reduction, constrained), strict=True):
        # Where layer norm meets a variance near 0, rounding is magnified.
        assert (one - other).abs().max() <= 2e-3 * other.abs().max().clamp(min=1.0)


@needs_glue
def test_repeated_steps_give_the_same_bits() -> None:
    first, second = sequence_step(), sequence_step()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@needs_glue
def test_an_unneeded_gradient_is_not_asked_for() -> None:
    layer = NORMS.create("group", 8)
    x, residual = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4, requires_grad=True)
    y = layer.fused(x, residual=residual, relu=True)
    (computed,) = torch.autograd.grad(y.sum(), residual)
    assert torch.equal(computed, (y > 0).float())


@needs_glue
def test_a_tensor_changed_in_place_before_the_backward_pass_is_an_error() -> None:
    x = torch.randn(2, 8, 4, 4)
    y = NORMS.create("layer", 8)(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="inplace"):
        y.sum().backward()


@needs_glue
def test_a_graph_that_is_kept_can_be_walked_twice() -> None:
    x = torch.randn(5, 3, 4, requires_grad=True)
    y = LayerNormLSTM(4, 6)(x)[0].square().sum()
    first = torch.autograd.grad(y, x, retain_graph=True)[0]
    LayerNormLSTM(4, 6)(torch.randn(5, 3, 4, requires_grad=True))[0].sum().backward()  # would reuse a tape given back
    assert torch.equal(first, torch.autograd.grad(y, x)[0])


@needs_glue
def test_steps_do_not_pile_up_memory() -> None:
    def tensors() -> int:
        gc.collect()
        return sum(type(thing) in (Tensor, nn.Parameter) for thing in gc.get_objects())

    sequence_step()
    before = tensors()
    for _ in range(3):
        sequence_step()
    assert tensors() <= before


@needs_glue
def test_without_glue_the_references_run_and_the_kernels_say_why(without_glue: None) -> None:
    assert all(norm_step(name, torch.float32, True)[0].isfinite().all() for name in SCHEMES)
    assert sequence_step()[3].isfinite()
    assert NORM.reason() == LSTM.reason() == LOSS.reason() == "no headers"
