"""Batches of sentences of like length, in an order that is a function of (seed, epoch) alone.

A resumed run therefore needs no loader state. Sentences are shuffled, cut into pools of some batches, sorted
by length inside their pool and cut into batches, and the batches are shuffled: little padding, and still
other batch mates every epoch. Ties keep the shuffled order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def training_batches(
    lengths: Sequence[int] | np.ndarray, batch_size: int, *, seed: int, epoch: int, pool: int = 50
) -> list[np.ndarray]:
    """Return one epoch's batches as arrays of sentence numbers; every sentence is in exactly one.

    Args:
        lengths: words per sentence.
        batch_size: sentences per batch; a pool's last batch may be smaller.
        seed, epoch: what the order depends on.
        pool: batches per pool; 1 gives plain random batches, a huge number the least padding.
    """
    sizes = np.asarray(lengths)
    random = np.random.default_rng((seed, epoch))
    shuffled = random.permutation(len(sizes))
    pooled = [shuffled[at : at + pool * batch_size] for at in range(0, len(shuffled), pool * batch_size)]
    batches = [batch for members in pooled for batch in _by_length(members, sizes, batch_size)]
    return [batches[number] for number in random.permutation(len(batches))]


def evaluation_batches(
    lengths: Sequence[int] | np.ndarray, batch_size: int, *, max_tokens: int = 4_000
) -> list[np.ndarray]:
    """Return batches in order of length, longest first, so that too little memory shows at once.

    Batches of very long sentences are smaller: at most max_tokens words with padding, or one sentence.
    """
    sizes = np.asarray(lengths)
    order = np.argsort(-sizes, kind="stable")
    batches, at = [], 0
    while at < len(order):
        fitting = max_tokens // max(1, int(sizes[order[at]]))
        step = max(1, min(batch_size, fitting))
        batches.append(order[at : at + step])
        at += step
    return batches


def padding_factor(lengths: Sequence[int] | np.ndarray, batches: Sequence[np.ndarray]) -> float:
    """Return padded words over real words: 1.0 is no waste."""
    sizes = np.asarray(lengths)
    return sum(len(batch) * int(sizes[batch].max()) for batch in batches) / max(1, int(sizes.sum()))


def _by_length(members: np.ndarray, sizes: np.ndarray, batch_size: int) -> list[np.ndarray]:
    ordered = members[np.argsort(sizes[members], kind="stable")]
    return [ordered[at : at + batch_size] for at in range(0, len(ordered), batch_size)]
