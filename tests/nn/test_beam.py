"""Beam search against brute force, and the laws it must keep."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import normlab.nn
from normlab.nn.beam import Hypothesis, beam_search

BOS, EOS, VOCABULARY = 0, 1, 5


def log_probs_after(seed: Tensor, history: Tensor, sharpness: float = 3.0) -> Tensor:
    """A pseudo-random distribution for each (sentence, prefix): (R,), (R,) -> (R, V)."""
    token = torch.arange(VOCABULARY, dtype=torch.float64)
    wave = torch.sin(seed[:, None] * 12.9898 + history[:, None] * 4.1414 + token * 78.233) * 43758.5453
    logits = sharpness * (wave - wave.floor())
    logits[:, BOS] = -math.inf
    return logits.log_softmax(-1)


def step(tokens: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    history = state["history"] * VOCABULARY + tokens
    return log_probs_after(state["seed"], history), {"seed": state["seed"], "history": history}


def start(*seeds: float) -> dict[str, Tensor]:
    seed = torch.tensor(seeds, dtype=torch.float64)
    return {"seed": seed, "history": torch.zeros_like(seed)}


def search(*seeds: float, **options) -> list[list[Hypothesis]]:
    return beam_search(step, start(*seeds), **({"max_length": 4, "bos": BOS, "eos": EOS} | options))


def total(seed: float, tokens: tuple[int, ...]) -> float:
    """The sum of log-probabilities of an output with its end token, one step at a time."""
    state, previous, result = start(seed), BOS, 0.0
    for token in (*tokens, EOS):
        log_probs, state = step(torch.tensor([previous]), state)
        result += float(log_probs[0, token])
        previous = token
    return result


def brute_force(
    seed: float, max_length: int, alpha: float, allow=lambda tokens: True
) -> list[tuple[float, tuple[int, ...]]]:
    words = [token for token in range(VOCABULARY) if token not in (BOS, EOS)]
    outputs = [o for n in range(max_length) for o in itertools.product(words, repeat=n) if allow(o)]
    return sorted(((total(seed, o) / (len(o) + 1) ** alpha, o) for o in outputs), reverse=True)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 50), st.sampled_from([-0.5, 0.0, 0.6, 1.0, 2.0]), st.integers(1, 4), st.integers(1, 5))
def test_covering_beam_equals_brute_force(seed: float, alpha: float, max_length: int, n_best: int):
    found = search(seed, beam_size=3**4, max_length=max_length, n_best=n_best, length_penalty=alpha)[0]
    expected = brute_force(seed, max_length, alpha)[:n_best]
    assert [h.tokens for h in found] == [tokens for _, tokens in expected]
    assert [h.score for h in found] == pytest.approx([score for score, _ in expected])


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 50), st.integers(1, 9), st.sampled_from([0.0, 1.0]))
def test_scores_are_sums_of_token_log_probabilities(seed: float, beam_size: int, alpha: float):
    found = search(seed, beam_size=beam_size, n_best=beam_size, length_penalty=alpha)[0]
    assert found
    for h in found:
        assert h.finished
        assert h.log_prob == pytest.approx(total(seed, h.tokens))
        assert sum(h.token_log_probs) == pytest.approx(h.log_prob)
        assert len(h.token_log_probs) == len(h.tokens) + 1
        assert h.score == pytest.approx(h.log_prob / (len(h.tokens) + 1) ** alpha)


def greedy(seed: float, max_length: int) -> tuple[int, ...]:
    state, previous, tokens = start(seed), BOS, []
    for _ in range(max_length - 1):
        log_probs, state = step(torch.tensor([previous]), state)
        previous = int(log_probs[0].argmax())
        if previous == EOS:
            break
        tokens.append(previous)
    return tuple(tokens)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 50), st.integers(1, 8))
def test_beam_of_one_is_greedy(seed: float, max_length: int):
    assert search(seed, beam_size=1, max_length=max_length)[0][0].tokens == greedy(seed, max_length)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.1, 50), min_size=2, max_size=5), st.integers(1, 5), st.sampled_from([0.0, 1.0]))
def test_a_sentence_does_not_depend_on_its_batch_mates(seeds: list[float], beam_size: int, alpha: float):
    options = {"beam_size": beam_size, "n_best": beam_size, "length_penalty": alpha, "max_length": 6}
    together = search(*seeds, **options)
    assert together == [search(seed, **options)[0] for seed in seeds]


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 50), st.sampled_from([0.0, 0.7]))
def test_no_beam_beats_the_covering_one_and_the_widest_reaches_it(seed: float, alpha: float):
    scores = [search(seed, beam_size=k, length_penalty=alpha)[0][0].score for k in (1, 2, 4, 8, 27)]
    best = brute_force(seed, 4, alpha)[0][0]
    assert all(score <= best + 1e-12 for score in scores)
    assert scores[-1] == pytest.approx(best)


def test_best_score_grows_with_the_beam_where_prefixes_keep_their_rank():
    """In a chain whose next step ignores the past, pruning loses nothing: the best score is monotone in K."""

    def memoryless(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return log_probs_after(state, torch.zeros_like(state), sharpness=1.0), state

    for seed in torch.arange(1.0, 9.0, dtype=torch.float64):
        scores = [
            beam_search(memoryless, seed[None], beam_size=k, max_length=6, bos=BOS, eos=EOS, length_penalty=1.0)[0][
                0
            ].score
            for k in range(1, 7)
        ]
        assert scores == sorted(scores)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 50), st.integers(2, 6))
def test_n_best_one_is_the_first_of_n_best_many(seed: float, beam_size: int):
    many = search(seed, beam_size=27, n_best=beam_size)[0]
    assert search(seed, beam_size=27, n_best=1)[0][0] == many[0]
    assert len({h.tokens for h in many}) == len(many)
    assert [h.score for h in many] == sorted((h.score for h in many), reverse=True)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 50), st.integers(1, 4))
def test_length_limits_hold(seed: float, min_length: int):
    found = search(seed, beam_size=4, n_best=4, max_length=5, min_length=min_length)[0]
    assert found
    for h in found:
        assert min_length <= len(h.tokens) <= 4


def test_search_stops_as_soon_as_nothing_better_can_come():
    calls = []

    def sure(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(tokens))
        table = torch.full((len(tokens), VOCABULARY), -20.0)
        table[:, EOS] = 0.0
        return table, state

    beam_search(sure, torch.zeros(3, 1), beam_size=4, max_length=100, bos=BOS, eos=EOS)
    assert calls == [3]


def test_finished_sentences_leave_the_batch():
    calls = []

    def counting(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(tokens))
        table = torch.full((len(tokens), VOCABULARY), -20.0, dtype=torch.float64)
        table[:, 2] = 0.0
        table[state[:, 0] == 0, EOS] = 1e-9
        return table.clamp(max=0.0), state - 1

    beam_search(counting, torch.tensor([[0], [3]]), beam_size=1, max_length=9, bos=BOS, eos=EOS)
    assert calls[0] == 2
    assert set(calls[1:]) == {1}


@dataclass(frozen=True)
class NoRepeats:
    """No token twice in a row, and in sentence 1 never token 2. A state is (sentence, last token)."""

    def start(self, sentence: int) -> tuple[int, int]:
        return sentence, -1

    def allowed(self, state: tuple[int, int], budget: int) -> list[int]:
        sentence, last = state
        return [t for t in range(1, VOCABULARY) if t != last and not (sentence == 1 and t == 2)]

    def advance(self, state: tuple[int, int], token: int) -> tuple[int, int]:
        return state[0], token

    def accepts(self, sentence: int, tokens: tuple[int, ...]) -> bool:
        return all(a != b for a, b in itertools.pairwise(tokens)) and not (sentence == 1 and 2 in tokens)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.1, 50), st.floats(0.1, 50), st.sampled_from([0.0, 1.0]))
def test_constrained_search_equals_constrained_brute_force(first: float, second: float, alpha: float):
    rule = NoRepeats()
    found = search(first, second, beam_size=81, n_best=3, length_penalty=alpha, constraint=rule)
    for sentence, seed in enumerate((first, second)):
        expected = brute_force(seed, 4, alpha, lambda o, s=sentence: rule.accepts(s, o))[:3]
        assert [h.tokens for h in found[sentence]] == [tokens for _, tokens in expected]


def test_mask_and_list_constrain_alike():
    class AsMask(NoRepeats):
        def allowed(self, state: tuple[int, int], budget: int) -> Tensor:
            mask = torch.zeros(VOCABULARY, dtype=torch.bool)
            mask[super().allowed(state, budget)] = True
            return mask

    options = {"beam_size": 3, "n_best": 3, "max_length": 6}
    assert search(1.5, 2.5, constraint=AsMask(), **options) == search(1.5, 2.5, constraint=NoRepeats(), **options)


def test_budget_counts_down_to_the_end_token():
    seen = []

    class Watch(NoRepeats):
        def allowed(self, state: tuple[int, int], budget: int) -> list[int]:
            seen.append(budget)
            return super().allowed(state, budget)

    search(3.0, beam_size=1, max_length=4, min_length=3, constraint=Watch())
    assert seen == [4, 3, 2, 1]


def test_renormalised_probabilities_of_allowed_tokens_sum_to_one():
    class OnlyTwoThenEnd(NoRepeats):
        def allowed(self, state: tuple[int, int], budget: int) -> list[int]:
            return [2] if state[1] == -1 else [EOS]

    best = search(3.0, beam_size=2, constraint=OnlyTwoThenEnd(), renormalise=True)[0][0]
    assert best.tokens == (2,)
    assert best.log_prob == pytest.approx(0.0)
    plain = search(3.0, beam_size=2, constraint=OnlyTwoThenEnd())[0][0]
    assert plain.log_prob == pytest.approx(total(3.0, (2,)))


def test_dead_end_returns_what_was_live_and_says_so():
    class NeverEnds(NoRepeats):
        def allowed(self, state: tuple[int, int], budget: int) -> list[int]:
            return [3] if state[1] != 3 else []

    (hypothesis,) = search(3.0, beam_size=2, constraint=NeverEnds())[0]
    assert hypothesis.tokens == (3,)
    assert not hypothesis.finished


def test_ties_go_to_the_earlier_token():
    def flat(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full((len(tokens), VOCABULARY), -1.0), state

    best = beam_search(flat, torch.zeros(1, 1), beam_size=2, n_best=2, max_length=2, bos=BOS, eos=4, min_length=1)
    assert [h.tokens for h in best[0]] == [(0,), (1,)]


@pytest.mark.parametrize("value", [math.nan, 0.5, math.inf])
def test_values_that_are_no_log_probabilities_are_refused(value: float):
    def wrong(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full((len(tokens), VOCABULARY), value), state

    with pytest.raises(ValueError, match="step 1 returned NaN or values above 0"):
        beam_search(wrong, torch.zeros(1, 1), beam_size=2, max_length=3, bos=BOS, eos=EOS)


@pytest.mark.parametrize(
    "options", [{"beam_size": 0}, {"beam_size": 1, "n_best": 2}, {"beam_size": 1, "max_length": 0}]
)
def test_sizes_that_make_no_sense_are_refused(options: dict[str, int]):
    with pytest.raises(ValueError, match="need 1 <= n_best"):
        search(1.0, **options)


class TinyDecoder(nn.Module):
    """An LSTM cell that attends over a padded memory: the shape of a real decoder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(VOCABULARY, 8)
        self.lstm = nn.LSTM(8, 8, num_layers=2)
        self.out = nn.Linear(16, VOCABULARY)

    def forward(self, tokens: Tensor, state: tuple) -> tuple[Tensor, tuple]:
        memory, mask, hidden = state
        output, hidden = self.lstm(self.embed(tokens)[None], hidden)
        query = output[0]
        scores = (memory @ query[:, :, None])[..., 0].masked_fill(~mask, -1e9)
        context = (scores.softmax(-1)[:, None] @ memory)[:, 0]
        logits = self.out(torch.cat([query, context], -1)) * 4
        return logits.log_softmax(-1), (memory, mask, hidden)


def select_lstm(state: tuple, rows: Tensor) -> tuple:
    memory, mask, (h, c) = state
    return memory[rows], mask[rows], (h[:, rows], c[:, rows])


def test_padding_of_the_memory_changes_nothing():
    model = TinyDecoder()
    torch.manual_seed(1)
    memories = [torch.randn(n, 8) for n in (2, 5, 3)]

    def run(chosen: list[Tensor], width: int) -> list[list[Hypothesis]]:
        memory = torch.full((len(chosen), width, 8), 7.0)
        mask = torch.zeros(len(chosen), width, dtype=torch.bool)
        for i, m in enumerate(chosen):
            memory[i, : len(m)], mask[i, : len(m)] = m, True
        zeros = torch.zeros(2, len(chosen), 8)
        return beam_search(
            model, (memory, mask, (zeros, zeros)), beam_size=4, n_best=3, max_length=8, bos=BOS, eos=EOS,
            length_penalty=1.0, select=select_lstm,
        )  # fmt: skip

    together = run(memories, 9)
    assert [len(found) for found in together] == [3, 3, 3]
    for found, memory in zip(together, memories, strict=True):
        alone = run([memory], len(memory))[0]
        assert [h.tokens for h in found] == [h.tokens for h in alone]
        assert [h.score for h in found] == pytest.approx([h.score for h in alone], abs=1e-4)


def test_state_is_reordered_with_its_hypotheses():
    """Scoring an output alone, without any search, gives the score that the search reported."""
    model = TinyDecoder()
    zeros = torch.zeros(2, 1, 8)
    first = (torch.ones(1, 3, 8), torch.ones(1, 3, dtype=torch.bool), (zeros, zeros))
    found = beam_search(model, first, beam_size=5, n_best=5, max_length=6, bos=BOS, eos=EOS, select=select_lstm)
    assert len(found[0]) == 5
    for h in found[0]:
        state, previous, log_prob = first, BOS, 0.0
        for token in (*h.tokens, EOS):
            table, state = model(torch.tensor([previous]), state)
            log_prob += table[0, token].item()
            previous = token
        assert log_prob == pytest.approx(h.log_prob, abs=1e-4)


def test_no_sentences_give_no_results():
    assert beam_search(step, start(), beam_size=2, max_length=3, bos=BOS, eos=EOS) == []


def test_it_is_a_public_name():
    assert normlab.nn.beam_search is beam_search
