"""The CRF's loss, its gradient and its decoding for GPUs: one program per sentence, no launch per position.

The recursions of `nn.crf_lattice`: each step subtracts its maximum. The plain reference starts half a dozen
kernels at every position; here a sentence's scores stay in registers and the loop over positions is inside.

Dimensions: B sentences, T positions, K tags.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST_TAGS = 64  # a table of transitions, K * K, is held in registers

Scores = tuple[Tensor, ...]


def loss(emissions: Tensor, tags: Tensor | None, mask: Tensor, scores: Scores) -> tuple[Tensor, Tensor]:
    """Return -log p(tags), or log Z if tags is None, (B,), and the tape (2, B, T, K): emissions, forward scores."""
    B, T, K = emissions.shape
    losses = emissions.new_empty(B)
    tape = emissions.new_empty(2, B, T, K)
    tape[0] = emissions
    emissions, *scores_held = (tensor.contiguous() for tensor in (emissions, *scores))
    _loss_kernel[(B,)](
        emissions,
        _or(tags, mask),
        _bytes(mask),
        *scores_held,
        losses,
        tape[1],
        T,
        K,
        GOLD=tags is not None,
        BLOCK=_block(K),
    )
    return losses, tape


def loss_backward(
    grad: Tensor, tags: Tensor | None, mask: Tensor, scores: Scores, tape: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of emissions, start, transitions and end."""
    emissions, alphas = tape
    B, T, K = emissions.shape
    of_emissions = torch.zeros_like(emissions, memory_format=torch.contiguous_format)
    # A table a sentence, summed afterwards: atomic sums would differ from run to run.
    of_start, of_end = emissions.new_empty(B, K), emissions.new_empty(B, K)
    of_transitions = emissions.new_empty(B, K, K)
    emissions, *scores_held = (tensor.contiguous() for tensor in (emissions, *scores))
    _loss_backward_kernel[(B,)](
        grad.contiguous(),
        emissions,
        _or(tags, mask),
        _bytes(mask),
        *scores_held,
        alphas,
        of_emissions,
        of_start,
        of_transitions,
        of_end,
        T,
        K,
        GOLD=tags is not None,
        BLOCK=_block(K),
    )
    return of_emissions, of_start.sum(0), of_transitions.sum(0), of_end.sum(0)


def best_path(emissions: Tensor, mask: Tensor, scores: Scores) -> Tensor:
    """Return the best tag sequences, (B, T) int64, 0 where the mask is False."""
    B, T, K = emissions.shape
    path = torch.zeros(B, T, dtype=torch.int64, device=emissions.device)
    pointers = torch.empty(B, T, K, dtype=torch.int32, device=emissions.device)
    last = torch.empty(B, dtype=torch.int32, device=emissions.device)
    emissions, *scores_held = (tensor.contiguous() for tensor in (emissions, *scores))
    held = _bytes(mask)
    _viterbi_kernel[(B,)](emissions, held, *scores_held, pointers, last, T, K, BLOCK=_block(K))
    # A separate kernel: its start is the barrier that makes all pointers visible.
    _trace_kernel[(B,)](held, pointers, last, path, T, K)
    return path


def _block(K: int) -> int:
    return max(16, triton.next_power_of_2(K))


def _bytes(mask: Tensor) -> Tensor:
    return mask.to(torch.uint8).contiguous()


def _or(tags: Tensor | None, mask: Tensor) -> Tensor:
    return mask if tags is None else tags.to(torch.int64).contiguous()


@triton.jit
def _logsumexp(scores, AXIS: tl.constexpr):
    peak = tl.max(scores, AXIS)
    return peak + tl.log(tl.sum(tl.exp(scores - tl.expand_dims(peak, AXIS)), AXIS))


@triton.jit
def _loss_kernel(
    emissions,
    tags,
    mask,
    start,
    transitions,
    end,
    losses,
    alphas,
    T,
    K,
    GOLD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    b = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, BLOCK)
    known = k < K
    pairs = known[:, None] & known[None, :]
    table = tl.load(transitions + k[:, None] * K + k[None, :], mask=pairs, other=-1e30)
    first = tl.load(start + k, mask=known, other=-1e30)
    last = tl.load(end + k, mask=known, other=-1e30)
    alpha = tl.zeros((BLOCK,), tl.float32)
    level = 0.0
    gold = 0.0
    previous = tl.full((), -1, tl.int64)
    begun = tl.full((), 0, tl.int32)
    for t in range(T):
        real = tl.load(mask + b * T + t).to(tl.int32)
        # Where masked, nothing is read: a NaN in padding stays there.
        emitted = tl.load(emissions + (b * T + t) * K + k, mask=k < real * K, other=0.0)
        arriving = tl.where(begun != 0, _logsumexp(alpha[:, None] + table, 0), first) + emitted
        peak = tl.max(arriving, 0)
        alpha = tl.where(real != 0, arriving - peak, alpha)
        level = level + tl.where(real != 0, peak, 0.0)
        if GOLD:
            # Padding may hold any number: it must not lead outside of the tables.
            tag = tl.minimum(tl.maximum(tl.load(tags + b * T + t), 0), K - 1)
            moved = tl.where(
                previous >= 0,
                tl.load(transitions + tl.maximum(previous, 0) * K + tag),
                tl.load(start + tag),
            )
            gold_emission = tl.sum(tl.where(k == tag, emitted, 0.0), 0)
            gold = gold + tl.where(real != 0, moved + gold_emission, 0.0)
            previous = tl.where(real != 0, tag, previous)
        tl.store(alphas + (b * T + t) * K + k, alpha, mask=known)
        begun = tl.where(real != 0, 1, begun)
    result = level + _logsumexp(alpha + last, 0)
    if GOLD:
        result = result - gold - tl.load(end + tl.maximum(previous, 0))
    tl.store(losses + b, tl.where(begun != 0, result, 0.0))


@triton.jit
def _loss_backward_kernel(
    grad,
    emissions,
    tags,
    mask,
    start,
    transitions,
    end,
    alphas,
    of_emissions,
    of_start,
    of_transitions,
    of_end,
    T,
    K,
    GOLD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    b = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, BLOCK)
    known = k < K
    pairs = known[:, None] & known[None, :]
    table = tl.load(transitions + k[:, None] * K + k[None, :], mask=pairs, other=-1e30)
    last = tl.load(end + k, mask=known, other=-1e30)
    g = tl.load(grad + b)
    after = tl.zeros((BLOCK,), tl.float32)  # emission and beta of the next real position
    share = tl.zeros((BLOCK,), tl.float32)
    of_last = tl.zeros((BLOCK,), tl.float32)
    moved = tl.zeros((BLOCK, BLOCK), tl.float32)
    following = tl.full((), 0, tl.int64)
    begun = tl.full((), 0, tl.int32)
    for step in range(T):
        t = T - 1 - step
        real = tl.load(mask + b * T + t).to(tl.int32)
        here = k < real * K
        emitted = tl.load(emissions + (b * T + t) * K + k, mask=here, other=0.0)
        alpha = tl.load(alphas + (b * T + t) * K + k, mask=here, other=-1e30)
        onward = table + after[None, :]
        leaving = _logsumexp(onward, 1)
        beta = tl.where(begun != 0, leaving - tl.max(leaving, 0), last)
        scores = alpha + beta
        weights = tl.exp(scores - tl.max(scores, 0))
        posterior = weights / tl.sum(weights, 0)
        joint = alpha[:, None] + onward
        joint_weights = tl.exp(joint - tl.max(tl.max(joint, 1), 0))
        pair = joint_weights / tl.sum(tl.sum(joint_weights, 1), 0)
        if GOLD:
            tag = tl.minimum(tl.maximum(tl.load(tags + b * T + t), 0), K - 1)
            posterior = posterior - tl.where(k == tag, 1.0, 0.0)
            pair = pair - tl.where((k[:, None] == tag) & (k[None, :] == following), 1.0, 0.0)
            following = tl.where(real != 0, tag, following)
        moved = moved + tl.where((real != 0) & (begun != 0), pair, 0.0)
        share = tl.where(real != 0, posterior, share)
        of_last = tl.where((real != 0) & (begun == 0), posterior, of_last)
        after = tl.where(real != 0, emitted + beta, after)
        begun = tl.where(real != 0, 1, begun)
        tl.store(of_emissions + (b * T + t) * K + k, g * posterior, mask=here)
    tl.store(of_start + b * K + k, g * share, mask=known)
    tl.store(of_end + b * K + k, g * of_last, mask=known)
    tl.store(of_transitions + (b * K + k[:, None]) * K + k[None, :], g * moved, mask=pairs)


@triton.jit
def _viterbi_kernel(emissions, mask, start, transitions, end, pointers, last, T, K, BLOCK: tl.constexpr):
    b = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, BLOCK)
    known = k < K
    pairs = known[:, None] & known[None, :]
    table = tl.load(transitions + k[:, None] * K + k[None, :], mask=pairs, other=-1e38)
    best = tl.load(start + k, mask=known, other=-1e38)
    begun = tl.full((), 0, tl.int32)
    for t in range(T):
        real = tl.load(mask + b * T + t).to(tl.int32)
        emitted = tl.load(emissions + (b * T + t) * K + k, mask=k < real * K, other=0.0)
        continued = best[:, None] + table
        arriving = tl.where(begun != 0, tl.max(continued, 0), best) + emitted
        tl.store(pointers + (b * T + t) * K + k, tl.argmax(continued, 0), mask=known)
        best = tl.where(real != 0, arriving, best)
        begun = tl.where(real != 0, 1, begun)
    ended = best + tl.load(end + k, mask=known, other=-1e38)
    tl.store(last + b, tl.argmax(ended, 0))


@triton.jit
def _trace_kernel(mask, pointers, last, path, T, K):
    b = tl.program_id(0).to(tl.int64)
    tag = tl.load(last + b)
    for step in range(T):
        t = T - 1 - step
        real = tl.load(mask + b * T + t).to(tl.int32)
        tl.store(path + b * T + t, tl.where(real != 0, tag, 0).to(tl.int64))
        tag = tl.where(real != 0, tl.load(pointers + (b * T + t) * K + tag), tag)
