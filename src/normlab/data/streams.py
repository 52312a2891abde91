"""Random streams with a name.

Every draw in this package comes from a stream that is a function of (seed, purpose, counter) and of nothing
else: not of how many draws came before, not of the batch size, not of the platform. All are made from the raw
64-bit words of Philox, which NumPy keeps stable across versions, while it may change what
`Generator.permutation` makes of them.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def words(count: int, seed: int, purpose: str, *counters: int | str) -> npt.NDArray[np.uint64]:
    """Return `count` uniform 64-bit words keyed on (seed, purpose, counters), e.g. `words(8, 0, "flip", epoch)`."""
    name = "/".join([str(seed), purpose, *map(str, counters)])
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    return np.random.Philox(key=key).random_raw(count)


def permutation(count: int, seed: int, purpose: str, *counters: int | str) -> npt.NDArray[np.int64]:
    """Return a permutation of 0..count-1 keyed on (seed, purpose, counters), the same on every machine."""
    return np.argsort(words(count, seed, purpose, *counters), kind="stable").astype(np.int64, copy=False)
