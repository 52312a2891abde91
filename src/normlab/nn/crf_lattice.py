"""The sums over all tag sequences: partition function, marginals, entropy, probabilities of spans.

Everything is the forward recursion alpha_t(j) = logsum_i(alpha_{t-1}(i) + A_ij) + e_t(j), its mirror image
beta, or both (Rabiner 1989, section III). Each step subtracts its maximum, a constant per sentence that the
partition function gets back: so values stay small, and a sentence of thousands of words neither overflows
nor loses digits.

Dimensions: B sentences, T positions, K tags (i: from, j: to), S spans, L tags of a span.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.nn.recurrence import recur


class Lattice(NamedTuple):
    """Scores of a batch whose real positions stand on the left, at least one position wide."""

    emissions: Tensor  # (B, T, K), 0 where masked
    mask: Tensor  # (B, T)
    start: Tensor  # (K,)
    transitions: Tensor  # (K, K)
    end: Tensor  # (K,)


def front_aligned(
    emissions: Tensor, mask: Tensor, start: Tensor, transitions: Tensor, end: Tensor
) -> tuple[Lattice, Tensor]:
    """Move real positions to the left; return the lattice and the order (B, T) that did it."""
    if torch.compiler.is_exporting() or emissions.shape[1] == 0:  # the recursions then have a step whatever T is
        emissions, mask = F.pad(emissions, (0, 0, 0, 1)), F.pad(mask, (0, 1))
    order = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    mask = mask.gather(1, order)
    emissions = emissions.gather(1, order.unsqueeze(-1).expand_as(emissions))
    # Filled, not multiplied, so that a NaN in padding reaches no gradient.
    return Lattice(emissions.masked_fill(~mask.unsqueeze(-1), 0.0), mask, start, transitions, end), order


def path_score(lattice: Lattice, tags: Tensor) -> Tensor:
    """Return the score of one tag sequence per sentence, (B,)."""
    mask = lattice.mask
    emitted = lattice.emissions.gather(2, tags.unsqueeze(-1)).squeeze(-1).sum(1)
    moved = lattice.transitions[tags[:, :-1], tags[:, 1:]].masked_fill(~mask[:, 1:], 0.0).sum(1)
    last = tags.gather(1, (mask.sum(1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
    ends = lattice.start[tags[:, 0]] + lattice.end[last]
    return emitted + moved + ends.masked_fill(~mask[:, 0], 0.0)


def log_partition(lattice: Lattice) -> Tensor:
    """Return log Z of each sentence, (B,); 0 for an empty one."""
    return _forward(lattice)[1]


def token_marginals(lattice: Lattice) -> Tensor:
    """Return p(y_t = k), (B, T, K)."""
    return _log_token_marginals(lattice).exp() * lattice.mask.unsqueeze(-1)


def pairwise_marginals(lattice: Lattice) -> Tensor:
    """Return p(y_t = i, y_{t+1} = j), (B, T-1, K, K)."""
    alphas, _ = _forward(lattice)
    after = lattice.emissions + _backward(lattice)
    joint = alphas[:, :-1, :, None] + lattice.transitions + after[:, 1:, None, :]
    return joint.flatten(2).softmax(-1).view_as(joint) * lattice.mask[:, 1:, None, None]


def entropy(lattice: Lattice) -> Tensor:
    """Return the entropy of the sequence distribution, (B,) (recursion of Hernando et al. 2005).

    H_t(j) = sum_i p(y_{t-1}=i | y_t=j) (H_{t-1}(i) - log p(y_{t-1}=i | y_t=j)): a sum of positive terms,
    where log Z minus the expected score would cancel.
    """
    alphas, _ = _forward(lattice)

    def step(state: tuple[Tensor], position: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor], Tensor]:
        (so_far,), (alpha, real) = state, position
        log_previous = (alpha[:, :, None] + lattice.transitions).log_softmax(1)
        grown = (log_previous.exp() * (so_far[:, :, None] - log_previous)).sum(1)
        so_far = torch.where(real[:, None], grown, so_far)
        return (so_far,), so_far

    inputs = alphas[:, :-1].transpose(0, 1), lattice.mask[:, 1:].t()
    (so_far,), _ = recur(step, (torch.zeros_like(alphas[:, 0]),), inputs)
    log_last = (alphas[:, -1] + lattice.end).log_softmax(-1)
    return (log_last.exp() * (so_far - log_last)).sum(-1).masked_fill(~lattice.mask[:, 0], 0.0)


def span_probabilities(
    lattice: Lattice,
    sentences: Tensor,
    starts: Tensor,
    tags: Tensor,
    then_not: Tensor | None,
    marginals: Tensor | None = None,
) -> Tensor:
    """Return p(the tags of each span), (S,), as p(first tag) times the chain's conditional probabilities.

    `marginals`: those of the tokens, (B, T, K), if they are known.
    """
    given = tags.clamp(min=0)
    beta = _backward(lattice)
    known = (_forward(lattice)[0] + beta).log_softmax(-1) if marginals is None else marginals.log()
    first = known[sentences, starts, given[:, 0]]
    after = F.pad(lattice.emissions + beta, (0, 0, 0, 1))

    def log_next(tag: Tensor, position: Tensor, row: Tensor) -> Tensor:
        # log p(y_{t+1} = . | y_t = tag)
        return (lattice.transitions[tag] + after[row, position + 1]).log_softmax(-1)

    steps = torch.arange(tags.shape[1] - 1, device=tags.device)
    positions = (starts[:, None] + steps).clamp(max=lattice.mask.shape[1] - 1)
    chained = log_next(given[:, :-1], positions, sentences[:, None]).gather(2, given[:, 1:, None]).squeeze(-1)
    probability = (first + chained.masked_fill(tags[:, 1:] < 0, 0.0).sum(1)).exp()
    if then_not is None:
        return probability
    ends = starts + (tags >= 0).sum(1) - 1
    last = given.gather(1, (ends - starts)[:, None]).squeeze(1)
    continued = log_next(last, ends, sentences).gather(1, then_not.clamp(min=0)[:, None]).squeeze(1).exp()
    applies = (then_not >= 0) & F.pad(lattice.mask, (0, 1))[sentences, ends + 1]
    return probability * (1 - continued.masked_fill(~applies, 0.0))


def _log_token_marginals(lattice: Lattice) -> Tensor:
    return (_forward(lattice)[0] + _backward(lattice)).log_softmax(-1)


def _forward(lattice: Lattice) -> tuple[Tensor, Tensor]:
    """Return alpha up to a constant per sentence and step, (B, T, K), and log Z, (B,)."""
    first = _lowered(lattice.start + lattice.emissions[:, 0])

    def step(state: tuple[Tensor, Tensor], position: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor], Tensor]:
        (alpha, level), (emitted, real) = state, position
        arriving = (alpha[:, :, None] + lattice.transitions).logsumexp(1) + emitted
        lowered, peak = _lowered(arriving)
        alpha = torch.where(real[:, None], lowered, alpha)
        return (alpha, level + peak.masked_fill(~real, 0.0)), alpha

    inputs = lattice.emissions[:, 1:].transpose(0, 1), lattice.mask[:, 1:].t()
    (alpha, level), rest = recur(step, first, inputs)
    log_z = level + (alpha + lattice.end).logsumexp(-1)
    alphas = first[0].unsqueeze(1)
    alphas = alphas if rest is None else torch.cat([alphas, rest.transpose(0, 1)], 1)
    return alphas, log_z.masked_fill(~lattice.mask[:, 0], 0.0)


def _backward(lattice: Lattice) -> Tensor:
    """Return beta up to a constant per sentence and step, (B, T, K)."""
    last = lattice.end.expand(lattice.mask.shape[0], -1)

    def step(state: tuple[Tensor], position: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor], Tensor]:
        (beta,), (emitted, real) = state, position
        leaving = (lattice.transitions + (emitted + beta)[:, None, :]).logsumexp(2)
        beta = torch.where(real[:, None], _lowered(leaving)[0], beta)
        return (beta,), beta

    inputs = lattice.emissions[:, 1:].transpose(0, 1), lattice.mask[:, 1:].t()
    _, earlier = recur(step, (last,), inputs, reverse=True)
    betas = last.unsqueeze(1)
    return betas if earlier is None else torch.cat([earlier.transpose(0, 1), betas], 1)


def _lowered(scores: Tensor) -> tuple[Tensor, Tensor]:
    peak = scores.detach().amax(-1)
    return scores - peak[:, None], peak
