"""Attention and the decoder's LSTM cell: plain formulas, torch's own cell, padding."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from normlab.nn.attention import BahdanauAttention, LuongAttention, MultiHeadAttention, make_attention
from normlab.nn.lstm import LayerNormLSTM
from normlab.nn.lstm_cell import FeedingLSTMCell

KINDS = ("bahdanau", "luong", "multi_head")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind: str) -> None:
    attention = make_attention(kind, 6, 8, heads=2)
    query, memory = torch.randn(2, 6), torch.randn(2, 5, 8)
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    padded = attention(query, attention.prepare(memory, mask))
    alone = attention(query[1:], attention.prepare(memory[1:, :3], mask[1:, :3]))
    torch.testing.assert_close(padded[1:], alone)
    changed = memory.clone()
    changed[1, 3:] = 1e3
    torch.testing.assert_close(attention(query, attention.prepare(changed, mask)), padded)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_look_at_gives_no_nan(kind: str) -> None:
    attention = make_attention(kind, 4, 4, heads=2)
    mask = torch.tensor([[False, False], [True, False]])
    assert attention(torch.randn(2, 4), attention.prepare(torch.randn(2, 2, 4), mask)).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_many_queries_of_a_sentence_are_answered_as_one_after_the_other(kind: str) -> None:
    attention = make_attention(kind, 6, 8, heads=2)
    queries, memory = torch.randn(2, 3, 6), torch.randn(2, 5, 8)
    prepared = attention.prepare(memory, torch.arange(5) < torch.tensor([[5], [3]]))
    each = torch.stack([attention(query, prepared) for query in queries.unbind(1)], 1)
    torch.testing.assert_close(attention(queries, prepared), each)


def test_bahdanau_is_its_formula() -> None:
    attention = BahdanauAttention(3, 4)
    query, memory = torch.randn(1, 3), torch.randn(1, 5, 4)
    scores = [attention.score(torch.tanh(attention.query(query[0]) + attention.key(m))) for m in memory[0]]
    expected = torch.cat(scores).softmax(0) @ memory[0]
    torch.testing.assert_close(attention(query, attention.prepare(memory, torch.ones(1, 5).bool()))[0], expected)


def test_luong_is_its_formula() -> None:
    attention = LuongAttention(3, 4)
    query, memory = torch.randn(1, 3), torch.randn(1, 5, 4)
    expected = (memory[0] @ attention.key.weight.T @ query[0]).softmax(0) @ memory[0]
    torch.testing.assert_close(attention(query, attention.prepare(memory, torch.ones(1, 5).bool()))[0], expected)


def test_multi_head_equals_torch() -> None:
    own, theirs = MultiHeadAttention(8, 8, heads=2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([own.query.weight, own.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([own.query.bias, own.key_value.bias]))
        theirs.out_proj.load_state_dict(own.output.state_dict())
    query, memory = torch.randn(3, 8), torch.randn(3, 5, 8)
    mask = torch.arange(5) < torch.tensor([[5], [2], [4]])
    expected = theirs(query.unsqueeze(1), memory, memory, key_padding_mask=~mask)[0].squeeze(1)
    torch.testing.assert_close(own(query, own.prepare(memory, mask)), expected)


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="heads must divide 8, got 3"):
        MultiHeadAttention(4, 8, heads=3)


def test_plain_cell_equals_torch() -> None:
    own, theirs = FeedingLSTMCell(3, 2, 4), nn.LSTMCell(5, 4)
    assert own.weight_f is not None
    with torch.no_grad():
        theirs.weight_ih.copy_(torch.cat([own.weight_x, own.weight_f], 1))
        theirs.weight_hh.copy_(own.weight_h)
        theirs.bias_ih.copy_(own.bias)
        theirs.bias_hh.zero_()
    x, feed, state = torch.randn(6, 3), torch.randn(6, 2), (torch.randn(6, 4), torch.randn(6, 4))
    expected = theirs(torch.cat([x, feed], 1), state)
    torch.testing.assert_close(own(own.project(x), feed, state), expected)


def test_layer_normalised_cell_equals_the_lstm() -> None:
    own, lstm = FeedingLSTMCell(3, 0, 4, layer_norm=True), LayerNormLSTM(3, 4)
    for parameter in own.parameters():
        nn.init.normal_(parameter)
    names = {"weight_x": "weight_ih", "weight_h": "weight_hh", "bias": "bias_ih", "gain_x": "gain_ih"}
    names |= {"gain_h": "gain_hh", "gain_c": "gain_c", "bias_c": "bias_c"}
    with torch.no_grad():
        for mine, theirs in names.items():
            getattr(lstm, f"{theirs}_l0").copy_(getattr(own, mine))
        lstm.bias_hh_l0.zero_()
    x, state = torch.randn(5, 2, 3), (torch.zeros(2, 4), torch.zeros(2, 4))
    expected, _ = lstm(x)
    assert len(expected) == 5
    for step, wanted in zip(own.project(x), expected, strict=True):
        state = own(step, None, state)
        torch.testing.assert_close(state[0], wanted)


def test_forget_gate_starts_open() -> None:
    bias = FeedingLSTMCell(3, 0, 4).bias.tolist()
    assert bias == [0.0] * 4 + [1.0] * 4 + [0.0] * 8
    assert math.isclose(sum(bias), 4.0)
