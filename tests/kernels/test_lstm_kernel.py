"""The compiled LSTM equals the float64 reference for every shape and length, and refuses what it does not take."""

from __future__ import annotations

import copy
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from normlab.kernels.lstm import LSTM, operators
from normlab.nn import LayerNormLSTM

needs_bfloat16 = pytest.mark.skipif(
    bool(LSTM.reason_against_cpu()) or not torch.cpu.get_capabilities().get("avx512_bf16"),
    reason="no bfloat16 products in hardware, or no compiler",
)
needs_kernel = pytest.mark.skipif(bool(LSTM.reason_against_cpu()), reason="the compiled LSTM is unavailable here")


def layer_of(lstm: LayerNormLSTM, x: Tensor) -> tuple[Tensor, ...] | None:
    """What the kernel answers for the first layer of an LSTM, x being (T, B, D)."""
    weights = [lstm._weights(suffix) for suffix in lstm._suffixes(0)]
    states = x.new_zeros(2, len(weights), x.shape[1], lstm.hidden_size)
    return LSTM.try_call(x, (states[0], states[1]), weights, None, lstm.eps)


def switched_off(*arguments: object) -> None:
    return None


def outputs_and_gradients(lstm, x, hx, lengths, dtype):
    """All that a training step sees, computed in one type."""
    lstm = copy.deepcopy(lstm).to(dtype)
    x = x.detach().to(dtype).clone().requires_grad_()
    hx = tuple(state.detach().to(dtype).clone().requires_grad_() for state in hx)
    output, (h_n, c_n) = lstm(x, hx, lengths)
    weights = torch.linspace(-1, 1, output.numel(), dtype=dtype).view_as(output)
    ((output * weights).sum() + h_n.square().sum() + c_n.sin().sum()).backward()
    return [output, h_n, c_n, x.grad, *(h.grad for h in hx), *(p.grad for p in lstm.parameters())]


def largest_difference(computed, expected):
    """Relative to the largest entry, or to 1 where all are smaller: LN makes some gradients vanish."""
    return max(
        float((a.detach().double() - b.detach()).abs().max() / b.detach().abs().max().clamp(min=1.0))
        for a, b in zip(computed, expected, strict=True)
        if a.numel()
    )


def nudged(values: Tensor) -> Tensor:
    return values.double() * (1 + 2**-24 * (2 * torch.rand_like(values, dtype=torch.float64) - 1))


@st.composite
def problems(draw):
    T, B, D, H = (draw(st.integers(1, top)) for top in (9, 9, 20, 35))
    torch.manual_seed(draw(st.integers(0, 10**6)))
    lstm = LayerNormLSTM(
        D,
        H,
        draw(st.integers(1, 2)),
        bidirectional=draw(st.booleans()),
        batch_first=draw(st.booleans()),
        layer_norm=draw(st.booleans()),
    )
    for parameter in lstm.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    x = torch.randn(B, T, D) if lstm.batch_first else torch.randn(T, B, D)
    hx = torch.randn(2, lstm.num_layers * lstm.num_directions, B, H).unbind()
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B))
    return lstm, x, hx, lengths


@needs_kernel
@given(problems())
@settings(max_examples=30, deadline=None)
def test_outputs_and_gradients_equal_the_float64_reference(problem):
    lstm, x, hx, lengths = problem
    x_tbd = x.transpose(0, 1) if lstm.batch_first else x
    assert layer_of(lstm, x_tbd) is not None, "this test must not compare the reference with itself"
    computed = outputs_and_gradients(lstm, x, hx, lengths, torch.float32)
    expected = outputs_and_gradients(lstm, x, hx, lengths, torch.float64)
    # A nearly vanishing variance magnifies all rounding: there, no worse than the reference in float32, or than what
    # becomes of the reference in float64 when each input is off by half the last place of a float32.
    with patch.object(LSTM, "try_call", switched_off):
        rounding = largest_difference(outputs_and_gradients(lstm, x, hx, lengths, torch.float32), expected)
    for _ in range(3):
        moved = outputs_and_gradients(lstm, nudged(x), tuple(map(nudged, hx)), lengths, torch.float64)
        rounding = max(rounding, largest_difference(moved, expected))
    assert largest_difference(computed, expected) < max(1e-5, 5 * rounding)


@needs_kernel
def test_the_size_of_the_ner_model_is_as_exact():
    torch.manual_seed(0)
    lstm = LayerNormLSTM(150, 100, bidirectional=True)
    x, hx = torch.randn(22, 32, 150), torch.zeros(2, 2, 32, 100).unbind()
    lengths = torch.randint(1, 23, (32,))
    computed = outputs_and_gradients(lstm, x, hx, lengths, torch.float32)
    expected = outputs_and_gradients(lstm, x, hx, lengths, torch.float64)
    # h0 = 0 makes the first recurrent variance 0: its gradient is scaled by 316, and so is its rounding.
    del computed[4], expected[4]
    assert largest_difference(computed, expected) < 1e-5


@needs_kernel
@pytest.mark.parametrize("layer_norm", [True, False])
def test_so_many_words_that_blas_multiplies_are_as_exact(layer_norm):
    torch.manual_seed(0)
    lstm = LayerNormLSTM(7, 64, layer_norm=layer_norm)
    x, hx = torch.randn(40, 64, 7), torch.randn(2, 1, 64, 64).unbind()
    lengths = torch.randint(30, 41, (64,))
    computed = outputs_and_gradients(lstm, x, hx, lengths, torch.float32)
    expected = outputs_and_gradients(lstm, x, hx, lengths, torch.float64)
    with patch.object(LSTM, "try_call", switched_off):
        rounding = largest_difference(outputs_and_gradients(lstm, x, hx, lengths, torch.float32), expected)
    # The last two are the biases' gradients: no products, but float32 sums of 2,300 terms one after the other.
    assert largest_difference(computed[:-2], expected[:-2]) < max(1e-5, 3 * rounding)
    assert largest_difference(computed[-2:], expected[-2:]) < 3e-5


@needs_kernel
def test_a_large_offset_of_the_gate_sums_costs_no_more_digits_than_float32_must(monkeypatch):
    torch.manual_seed(0)
    lstm = LayerNormLSTM(8, 16)
    x = torch.randn(5, 4, 8)
    x[..., 0] = 1.0
    lstm.weight_ih_l0.data[:, 0] += 100.0
    lstm.requires_grad_(False)
    exact = copy.deepcopy(lstm).double()(x.double())[0]
    compiled = float((lstm(x)[0] - exact).abs().max())
    monkeypatch.setattr(LSTM, "try_call", switched_off)
    reference = float((lstm(x)[0] - exact).abs().max())
    # E[x^2] - E[x]^2 would be a hundred times worse.
    assert compiled < 3 * reference + 1e-6


@needs_kernel
def test_padding_costs_nothing_and_reaches_nothing():
    lstm = LayerNormLSTM(6, 8, 2, bidirectional=True)
    x = torch.randn(7, 3, 6)
    x[2:, 1] = torch.nan
    x.requires_grad_()
    output, (h_n, c_n) = lstm(x, lengths=[7, 2, 0])
    (output.sum() + h_n.sum() + c_n.sum()).backward()
    assert output.isfinite().all()
    assert not output[2:, 1].any()
    assert not output[:, 2].any()
    assert x.grad.isfinite().all()
    assert not x.grad[2:, 1].any()
    assert all(parameter.grad.isfinite().all() for parameter in lstm.parameters())


@needs_kernel
def test_a_nan_in_a_word_is_seen_in_the_result():
    x = torch.randn(4, 2, 6)
    x[1, 0, 3] = torch.nan
    output, _ = LayerNormLSTM(6, 8)(x)
    assert output[1:, 0].isnan().all()
    assert output[:, 1].isfinite().all()


@needs_kernel
def test_the_number_of_threads_changes_rounding_at_most():
    torch.manual_seed(0)
    lstm = LayerNormLSTM(20, 30, bidirectional=True)
    x, hx = torch.randn(9, 16, 20), torch.randn(2, 2, 16, 30).unbind()
    lengths = torch.randint(0, 10, (16,))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(outputs_and_gradients(lstm, x, hx, lengths, torch.float32))
    finally:
        torch.set_num_threads(before)
    assert largest_difference(results[0], [tensor.double() for tensor in results[1]]) < 1e-5


@needs_kernel
@pytest.mark.parametrize("layer_norm", [True, False])
def test_the_operator_keeps_torchs_contract(layer_norm):
    lstm = LayerNormLSTM(3, 4, layer_norm=layer_norm)
    weights = lstm._weights("_l0")[:8]
    x, state = torch.randn(5, 2, 3, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    lengths, order = torch.tensor([5, 2]), torch.tensor([1, 0])
    arguments = (x, state, state.detach().clone(), *weights, lengths, order, True, 1e-5)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operators.lstm_direction, arguments, test_utils=checks)


@needs_kernel
def test_the_operator_has_the_gradients_of_the_direct_call(monkeypatch):
    lstm = LayerNormLSTM(3, 4, bidirectional=True)
    x, hx = torch.randn(5, 2, 3), torch.randn(2, 2, 2, 4).unbind()
    direct = outputs_and_gradients(lstm, x, hx, [2, 5], torch.float32)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    operator = outputs_and_gradients(lstm, x, hx, [2, 5], torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(direct, operator, strict=True))


@needs_kernel
def test_mixed_types_are_refused():
    with pytest.raises(TypeError, match="one type"):
        LayerNormLSTM(4, 5).double()(torch.randn(3, 2, 4))


@needs_kernel
def test_it_refuses_other_types_and_says_so():
    lstm, x = LayerNormLSTM(4, 5, bidirectional=True), torch.randn(3, 2, 4)
    assert layer_of(lstm.double(), x.double()) is None
    assert "torch.float64" in LSTM.reason()
    assert layer_of(lstm.to("meta"), torch.empty(3, 2, 4, device="meta")) is None
    assert "meta" in LSTM.reason()


@needs_kernel
def test_a_transform_is_named_as_the_reason():
    lstm, x = LayerNormLSTM(4, 5).requires_grad_(False), torch.randn(6, 3, 2, 4)
    torch.func.vmap(lambda x: lstm(x)[0])(x)
    assert "torch.func" in LSTM.reason()


def test_the_reference_gives_the_same(monkeypatch):
    lstm, x = LayerNormLSTM(4, 5, bidirectional=True), torch.randn(3, 2, 4)
    before = lstm(x, lengths=[3, 1])[0]
    monkeypatch.setattr(LSTM, "try_call", switched_off)
    torch.testing.assert_close(lstm(x, lengths=[3, 1])[0], before)


@needs_bfloat16
@pytest.mark.parametrize("layer_norm", [True, False])
@pytest.mark.parametrize("sizes", [(150, 100), (33, 17), (1, 1), (16, 48)])
@pytest.mark.parametrize("ragged", [False, True])
def test_under_autocast_products_are_bfloat16_where_no_norm_magnifies_what_that_rounds(
    layer_norm: bool, sizes: tuple[int, int], ragged: bool
) -> None:
    torch.manual_seed(0)
    layer = LayerNormLSTM(*sizes, bidirectional=True, layer_norm=layer_norm)
    x = torch.randn(9, 13, sizes[0], requires_grad=True)
    lengths = torch.randint(0, 10, (13,)) if ragged else None

    def gradients() -> list[Tensor]:
        y, (h, c) = layer(x, lengths=lengths)
        weighted = (y * torch.linspace(0.5, 1, y.shape[-1])).sum() + h.sum() + c.square().sum()
        return [y, h, c, *torch.autograd.grad(weighted, [x, *layer.parameters()])]

    def errors(computed: list[Tensor]) -> list[float]:
        assert all(tensor.dtype == torch.float32 for tensor in computed)
        pairs = zip(computed, exact, strict=True)
        return [
            float((torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b).clamp_min(1e-3)).detach())
            for a, b in pairs
        ]

    exact = gradients()
    with torch.autocast("cpu", torch.bfloat16):
        ours = errors(gradients())
    assert max(ours) < (1e-5 if layer_norm else 2e-2)
    assert layer_norm or max(ours) > 1e-5  # or bfloat16 was not used


@needs_bfloat16
def test_under_autocast_no_graph_gives_the_same() -> None:
    torch.manual_seed(0)
    layer, x = LayerNormLSTM(5, 4, bidirectional=True), torch.randn(6, 3, 5).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        with_graph = layer(x)[0]
        with torch.no_grad():
            without = layer(x)[0]
    assert with_graph.dtype == torch.float32
    assert torch.equal(with_graph, without)
