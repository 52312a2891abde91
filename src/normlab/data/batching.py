"""The order of an epoch, without a loader's state.

The order is a function of (seed, epoch): a resumed run sees the same batches, two schemes under one seed
see the same images at the same step, and nothing has to be saved.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from normlab.data.streams import permutation


def epoch_order(count: int, seed: int, epoch: int | str) -> npt.NDArray[np.int64]:
    """Return the order in which epoch `epoch` visits `count` examples: a permutation, shape (count,).

    A word in place of the epoch names an order of its own, e.g. "limit_train" for a subset.
    """
    return permutation(count, seed, "order", epoch)


def batches(order: npt.NDArray[np.int64], batch_size: int, drop_last: bool = False) -> Iterator[npt.NDArray[np.int64]]:
    """Cut `order` into batches of indices; the last may be short unless `drop_last`.

    Raises: ValueError if `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    end = len(order) - len(order) % batch_size if drop_last else len(order)
    for start in range(0, end, batch_size):
        yield order[start : start + batch_size]
