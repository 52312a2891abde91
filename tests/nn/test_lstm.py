"""LayerNormLSTM against nn.LSTM, the paper's equations written out, and itself without padding."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from normlab.nn import LayerNormLSTM

SETTINGS = list(itertools.product([1, 2], [False, True], [False, True]))


def double(**options) -> LayerNormLSTM:
    torch.manual_seed(0)
    return LayerNormLSTM(3, 4, **options).double()


@pytest.mark.parametrize(("num_layers", "bidirectional", "batch_first"), SETTINGS)
def test_without_layer_norm_it_equals_torchs_lstm(num_layers, bidirectional, batch_first):
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "batch_first": batch_first}
    theirs = nn.LSTM(3, 4, **options).double()
    ours = LayerNormLSTM(3, 4, layer_norm=False, **options).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 6, 3, dtype=torch.float64)
    states = torch.randn(2, num_layers * ours.num_directions, 5 if batch_first else 6, 4, dtype=torch.float64)
    for hx in (None, (states[0], states[1])):
        output, final = ours(x, hx)
        torch.testing.assert_close((output, *final), (theirs(x, hx)[0], *theirs(x, hx)[1]), rtol=1e-12, atol=1e-13)


def test_the_same_seed_draws_torchs_weights():
    torch.manual_seed(3)
    theirs = nn.LSTM(3, 4, 2, bidirectional=True).state_dict()
    torch.manual_seed(3)
    ours = LayerNormLSTM(3, 4, 2, bidirectional=True, layer_norm=False).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_packed_input_gives_what_torchs_lstm_gives():
    theirs = nn.LSTM(3, 4, 2, bidirectional=True).double()
    ours = LayerNormLSTM(3, 4, 2, bidirectional=True, layer_norm=False).double()
    ours.load_state_dict(theirs.state_dict())
    sentences = [torch.randn(n, 3, dtype=torch.float64) for n in (2, 5, 1, 5)]
    packed = pack_sequence(sentences, enforce_sorted=False)
    hx = torch.randn(4, 4, 4, dtype=torch.float64), torch.randn(4, 4, 4, dtype=torch.float64)
    (output, final), (expected, expected_final) = ours(packed, hx), theirs(packed, hx)
    torch.testing.assert_close(output.data, expected.data)
    torch.testing.assert_close(final, expected_final)
    torch.testing.assert_close(pad_packed_sequence(output), pad_packed_sequence(expected))


def test_lengths_give_what_torchs_lstm_gives_on_packed_input():
    theirs = nn.LSTM(3, 4, bidirectional=True, batch_first=True).double()
    ours = LayerNormLSTM(3, 4, bidirectional=True, batch_first=True, layer_norm=False).double()
    ours.load_state_dict(theirs.state_dict())
    x, lengths = torch.randn(3, 6, 3, dtype=torch.float64), torch.tensor([2, 6, 1])
    output, final = ours(x, lengths=lengths)
    packed, expected_final = theirs(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    torch.testing.assert_close(output, pad_packed_sequence(packed, batch_first=True)[0])
    torch.testing.assert_close(final, expected_final)


def test_layer_norm_follows_the_papers_equations():
    lstm = double()
    for parameter in lstm.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(4, 1, 3, dtype=torch.float64)

    def norm(a, gain, bias):
        centred = a - a.mean()
        return gain * centred / (centred.pow(2).mean() + 1e-5).sqrt() + bias

    h = c = torch.zeros(4, dtype=torch.float64)
    expected = []
    for step in x[:, 0]:
        a = norm(lstm.weight_ih_l0 @ step, lstm.gain_ih_l0, lstm.bias_ih_l0)
        a = a + norm(lstm.weight_hh_l0 @ h, lstm.gain_hh_l0, lstm.bias_hh_l0)
        i, f, g, o = a.split(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * norm(c, lstm.gain_c_l0, lstm.bias_c_l0).tanh()
        expected.append(h)
    output, (h_n, c_n) = lstm(x)
    torch.testing.assert_close(output[:, 0], torch.stack(expected))
    torch.testing.assert_close((h_n[0, 0], c_n[0, 0]), (h, c))


@pytest.mark.parametrize("layer_norm", [True, False])
@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4), extra=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_a_sentence_in_a_batch_gets_what_it_gets_alone(layer_norm, lengths, extra):
    lstm = double(num_layers=2, bidirectional=True, layer_norm=layer_norm)
    x = torch.randn(max(lengths) + extra, len(lengths), 3, dtype=torch.float64)
    hx = torch.randn(2, 4, len(lengths), 4, dtype=torch.float64).unbind()
    output, (h_n, c_n) = lstm(x, hx, lengths)
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        own, (own_h, own_c) = lstm(x[:length, one], (hx[0][:, one], hx[1][:, one]))
        torch.testing.assert_close(output[:length, one], own)
        torch.testing.assert_close((h_n[:, one], c_n[:, one]), (own_h, own_c))
        assert not output[length:, row].any()


def test_even_nan_in_padding_changes_no_result_and_no_gradient():
    lstm = double(num_layers=2, bidirectional=True)
    lengths = [3, 1]
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    gradients = []
    for filling in (0.0, float("nan")):
        x[3:, 0] = x[1:, 1] = filling
        leaf = x.clone().requires_grad_()
        output, (h_n, c_n) = lstm(leaf, lengths=lengths)
        lstm.zero_grad()
        (output.pow(2).sum() + h_n.sum() + c_n.sum()).backward()
        assert not leaf.grad[3:, 0].any()
        gradients.append([leaf.grad, output, *(p.grad.clone() for p in lstm.parameters())])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("layer_norm", [True, False])
def test_gradients_are_the_derivatives(layer_norm):
    lstm = double(bidirectional=True, layer_norm=layer_norm)
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    hx = [torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    names, values = zip(*lstm.named_parameters(), strict=True)

    def run(x, h, c, *values):
        arguments = (x, (h, c), torch.tensor([3, 2]))
        output, final = torch.func.functional_call(lstm, dict(zip(names, values, strict=True)), arguments)
        return output, *final

    assert torch.autograd.gradcheck(run, (x, *hx, *values), fast_mode=True)


def test_dropout_acts_between_layers_only_while_training():
    lstm = LayerNormLSTM(3, 4, num_layers=2, dropout=1.0)
    x = torch.randn(5, 2, 3)
    silent, _ = lstm(torch.zeros(5, 2, 3))
    assert torch.equal(lstm(x)[0], silent), "with every connection dropped the second layer cannot see x"
    assert not torch.equal(lstm.eval()(x)[0], silent)
    with pytest.warns(UserWarning, match="num_layers=1"):
        LayerNormLSTM(3, 4, dropout=0.5)


def test_one_unbatched_sentence_keeps_its_two_dimensions():
    lstm = double(bidirectional=True)
    x = torch.randn(5, 3, dtype=torch.float64)
    hx = torch.randn(2, 2, 4, dtype=torch.float64).unbind()
    output, (h_n, _) = lstm(x, hx)
    batched, (batched_h, _) = lstm(x[:, None], (hx[0][:, None], hx[1][:, None]))
    assert output.shape == (5, 8)
    torch.testing.assert_close((output, h_n), (batched[:, 0], batched_h[:, 0]))


def test_gains_start_at_one_so_that_reset_parameters_restores_them():
    lstm = LayerNormLSTM(3, 4)
    nn.init.zeros_(lstm.gain_c_l0)
    lstm.reset_parameters()
    assert torch.equal(lstm.gain_c_l0, torch.ones(4))
    assert lstm.weight_hh_l0.abs().max() <= 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(2, 3, 9),), "last size 3"),
        (
            (torch.zeros(2, 3, 3), (torch.zeros(1, 2, 4), torch.zeros(1, 3, 4))),
            r"h_0 must have shape \(1, 3, 4\)",
        ),
        ((torch.zeros(2, 3, 3), None, [1, 2]), "3 whole numbers"),
        ((torch.zeros(2, 3, 3), None, [1, 2, 3]), r"0\.\.2"),
        ((torch.zeros(2, 3), None, [2]), "2-D"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_right_one(arguments, message):
    with pytest.raises(ValueError, match=message):
        LayerNormLSTM(3, 4)(*arguments)
