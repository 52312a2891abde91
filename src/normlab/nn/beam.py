"""Beam search over any step function, batched over sentences and hypotheses.

Choices in which implementations differ: a hypothesis counts its end token in its length; its
score is the sum of its log-probabilities divided by length ** length_penalty; a sentence stops only when
no live hypothesis can still enter its n best; ties go to the better-ranked beam, then to the smaller
token. Constraints mask and, unless asked to, do not renormalise, so that constrained scores stay
comparable with the model's own.

Dimensions: R rows, one for each live hypothesis of each sentence still searched; K = beam_size; V tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from normlab.nn.beam_candidates import best_candidates
from normlab.nn.beam_state import count_rows, on_device_of, select_rows

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
MayFollow = Sequence[int] | np.ndarray | Tensor
_NONE = np.empty(0, dtype=np.int64)


class Constraint(Protocol):
    """Which tokens may follow, given a state that is never changed in place.

    Hypotheses share states, so `advance` returns a new one; tuples and frozen dataclasses do well.
    """

    def start(self, sentence: int) -> Any:
        """Return the state of an empty hypothesis of that sentence (its number in the batch)."""

    def allowed(self, state: Any, budget: int) -> MayFollow:
        """Return token numbers, or a mask of shape (V,), that may come next.

        `budget` is how many tokens are left, the end token included: with 1 only the end token fits, and what
        cannot be closed within the budget should not be opened.
        """

    def advance(self, state: Any, token: int) -> Any:
        """Return the state after a token other than the end."""


@dataclass(frozen=True)
class Hypothesis:
    """One output of the search.

    Attributes:
        tokens: without the begin and end tokens.
        score: `log_prob / length ** length_penalty`, the length counting the end token.
        log_prob: sum of `token_log_probs`.
        token_log_probs: one for each token, and one for the end.
        finished: False if the constraint left a dead end; then this is the best that was live before it.
    """

    tokens: tuple[int, ...]
    score: float
    log_prob: float
    token_log_probs: tuple[float, ...]
    finished: bool = True


@torch.no_grad()
def beam_search(
    step: Step,
    state: Any,
    *,
    beam_size: int,
    max_length: int,
    bos: int,
    eos: int,
    num_sentences: int | None = None,
    n_best: int = 1,
    length_penalty: float = 0.0,
    min_length: int = 0,
    constraint: Constraint | None = None,
    renormalise: bool = False,
    select: Callable[[Any, Tensor], Any] | None = None,
) -> list[list[Hypothesis]]:
    """Find the n best outputs of every sentence.

    With `length_penalty` 0, `beam_size` 1 is greedy decoding; a beam as wide as the space searches it all.

    Args:
        step: `(tokens (R,), state of R rows) -> (log_probs (R, V), new state of R rows)`. Encode before the
            search: the rows of a sentence are copies of its row in `state`.
        state: tensors with one row per sentence along axis 0, nested in tuples, lists and dicts as you like;
            None and numbers pass through. For other layouts (`nn.LSTM` has its rows on axis 1) give `select`.
        beam_size: K, hypotheses kept per sentence.
        max_length: most tokens of an output, the end token included; there nothing but the end is allowed.
        bos, eos: the token that is fed first, and the one that ends an output.
        num_sentences: taken from the first tensor of `state` if None.
        n_best: outputs returned per sentence, at most K, best first; fewer where fewer exist.
        length_penalty: exponent of the length; 0 compares sums, 1 means.
        min_length: fewest tokens before the end token.
        constraint: see `Constraint`.
        renormalise: make the probabilities of the allowed tokens sum to 1.
        select: `(state, rows) -> state` made of those rows, in that order, repeats included.
    Returns: for each sentence, its hypotheses.
    Raises: ValueError for sizes that make no sense, and for a step that returns NaN or anything above 0.
    """
    if not 1 <= n_best <= beam_size or not 0 <= min_length < max_length:
        raise ValueError(f"need 1 <= {n_best=} <= {beam_size=} and 0 <= {min_length=} < {max_length=}")
    count = count_rows(state) if num_sentences is None else num_sentences
    searches = [_Search(i, n_best, length_penalty, max_length) for i in range(count)]
    if constraint is not None:
        for search in searches:
            search.live[0].memory = constraint.start(search.sentence)
    take = select_rows if select is None else select
    live = searches
    tokens = on_device_of(state, torch.full((count,), bos))
    for length in range(1, max_length + 1):
        if not live:
            break
        log_probs, state = step(tokens, state)
        table = _check(log_probs, sum(len(search.live) for search in live), length)
        table = _mask(table, live, eos, length, max_length, min_length, constraint, renormalise)
        rows = _expand(table, live, beam_size, eos, length)
        index = [row for search, chosen in zip(live, rows, strict=True) if not search.done(length) for row in chosen]
        live = [search for search in live if not search.ended]
        if constraint is not None:
            for node in (node for search in live for node in search.live):
                node.memory = constraint.advance(node.memory, node.token)
        state = take(state, torch.tensor(index, dtype=torch.long, device=tokens.device))
        tokens = torch.tensor([node.token for search in live for node in search.live], device=tokens.device)
    return [search.results() for search in searches]


@dataclass
class _Node:
    """A live hypothesis: its last token, the one before it, and sums so far."""

    token: int
    log_prob: float
    total: float
    parent: _Node | None
    memory: Any = None

    def path(self) -> list[_Node]:
        nodes: list[_Node] = []
        node: _Node | None = self
        while node is not None and node.parent is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]


@dataclass
class _Search:
    """The search of one sentence: live and finished hypotheses, and whether it is over."""

    sentence: int
    n_best: int
    alpha: float
    max_length: int
    live: list[_Node] = field(default_factory=lambda: [_Node(-1, 0.0, 0.0, None)])
    finished: list[Hypothesis] = field(default_factory=list)
    partial: Hypothesis | None = None
    ended: bool = False

    def score(self, total: float, length: int) -> float:
        return total / length**self.alpha

    def finish(self, node: _Node, log_prob: float, total: float, length: int) -> None:
        """Add an output; of equal scores the earlier one comes first."""
        self.finished.append(self._hypothesis(node, (log_prob,), total, length))
        self.finished.sort(key=lambda hypothesis: -hypothesis.score)
        del self.finished[self.n_best :]

    def done(self, length: int) -> bool:
        """Tell whether the search is over: nothing is live, or nothing live can still enter the n best.

        Sums only fall. So a live one scores at best its sum so far, at the length that flatters it most: the
        longest if longer is better (length_penalty > 0), else the next.
        """
        if self.live and len(self.finished) == self.n_best:
            best = max(node.total for node in self.live)
            bound = self.score(best, self.max_length if self.alpha > 0 else length + 1)
            self.ended = bound <= self.finished[-1].score
        elif not self.live:
            self.ended = True
        return self.ended

    def replace(self, nodes: list[_Node], length: int) -> None:
        if not nodes and not self.finished and length > 1:
            best = self.live[0]
            self.partial = self._hypothesis(best, (), best.total, length - 1, finished=False)
        self.live = nodes

    def results(self) -> list[Hypothesis]:
        if self.finished:
            return self.finished
        return [self.partial or Hypothesis((), -math.inf, -math.inf, (), finished=False)]

    def _hypothesis(
        self, node: _Node, last: tuple[float, ...], total: float, length: int, finished: bool = True
    ) -> Hypothesis:
        path = node.path()
        log_probs = (*(step.log_prob for step in path), *last)
        return Hypothesis(tuple(step.token for step in path), self.score(total, length), total, log_probs, finished)


def _check(log_probs: Tensor, rows: int, length: int) -> Tensor:
    """Return the log-probabilities, not above 0; the step's own tensor where nothing has to change."""
    if log_probs.dim() != 2 or log_probs.shape[0] != rows:
        raise ValueError(f"step {length} returned {tuple(log_probs.shape)} for {rows} rows, not (rows, V)")
    largest = float(log_probs.amax()) if log_probs.numel() else 0.0
    if not largest <= 1e-4:  # true for NaN too
        raise ValueError(f"step {length} returned NaN or values above 0: log-probabilities are needed")
    return log_probs.clamp(max=0.0) if largest > 0 else log_probs


def _mask(
    table: Tensor,
    live: list[_Search],
    eos: int,
    length: int,
    max_length: int,
    min_length: int,
    constraint: Constraint | None,
    renormalise: bool,
) -> Tensor:
    """Return the table with -inf for what may not follow: by the constraint, then by length."""
    if constraint is not None:
        nodes = [node for search in live for node in search.live]
        allowed = [constraint.allowed(node.memory, max_length - length + 1) for node in nodes]
        table = table.masked_fill(_banned(allowed, table.shape[1]).to(table.device), -math.inf)
        if renormalise:
            table = table.double()
            table.sub_(table.logsumexp(-1, keepdim=True).nan_to_num(neginf=0.0))
    if min_length < length < max_length:
        return table
    masked = torch.full_like(table, -math.inf)
    if length == max_length:
        masked[:, eos] = table[:, eos]
    else:
        masked.copy_(table)[:, eos] = -math.inf
    return masked


def _banned(allowed: list[MayFollow], size: int) -> Tensor:
    """Return (R, V), True for what may not follow, from each row's numbers or mask; numbers are set all at once."""
    banned = np.ones((len(allowed), size), dtype=np.bool_)
    numbers = [_NONE] * len(allowed)
    for row, may_follow in enumerate(allowed):
        values = may_follow.cpu().numpy() if isinstance(may_follow, Tensor) else np.asarray(may_follow)
        if values.dtype == np.bool_:
            banned[row] = ~values
        elif len(values):  # of nothing numpy would make floating-point numbers
            numbers[row] = values
    rows = np.repeat(np.arange(len(allowed)), [len(each) for each in numbers])
    banned[rows, np.concatenate(numbers)] = False
    return torch.from_numpy(banned)


def _expand(table: Tensor, live: list[_Search], beam_size: int, eos: int, length: int) -> list[list[int]]:
    """Advance every search by one token; return for each the rows of `table` that its hypotheses came from.

    Of a sentence's candidates the best 2K are looked at, so that K stay live even when K end; an end counts
    only among the best K.
    """
    chosen, first = [], 0
    sums = [[node.total for node in search.live] for search in live]
    for search, candidates in zip(live, best_candidates(table, sums, 2 * beam_size), strict=True):
        nodes: list[_Node] = []
        rows: list[int] = []
        for rank, (beam, token, total, log_prob) in enumerate(candidates):
            if token != eos and len(nodes) < beam_size:
                nodes.append(_Node(token, log_prob, total, search.live[beam], search.live[beam].memory))
                rows.append(first + beam)
            elif token == eos and rank < beam_size:
                search.finish(search.live[beam], log_prob, total, length)
        first += len(search.live)
        search.replace(nodes, length)
        chosen.append(rows)
    return chosen
