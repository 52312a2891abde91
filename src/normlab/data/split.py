"""Splits of a training set, and the statistics of its training part.

Validation images are drawn once from the seed and are never augmented; the statistics for normalisation are
taken over the training part alone, exactly, instead of being copied from somewhere (many projects carry a
wrong CIFAR-10 std).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from normlab.data.streams import permutation
from normlab.plurals import plural

Indices = npt.NDArray[np.int64]
_CHUNK = 2048  # images per step of channel_statistics: bounds its memory, does not change its result


def train_validation_split(count: int, validation: int, seed: int) -> tuple[Indices, Indices]:
    """Draw `validation` of `count` examples; return (train, validation) indices, disjoint and sorted.

    Raises: ValueError unless 0 <= validation < count.
    """
    if not 0 <= validation < count:
        raise ValueError(f"validation must be from 0 to {count - 1} for {plural(count, 'example')}, not {validation}")
    drawn = permutation(count, seed, "validation")
    return np.sort(drawn[validation:]), np.sort(drawn[:validation])


def stratified_split(labels: npt.ArrayLike, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Hold out about `fraction` of every class; return (kept, held) indices, disjoint and sorted.

    A class of two or more examples keeps at least one and gives at least one; a class of one keeps it.
    """
    labels = np.asarray(labels)
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        number = min(max(round(len(members) * fraction), 1), len(members) - 1)
        held[members[permutation(len(members), seed, "stratified", int(label))[:number]]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def stratified_folds(labels: npt.ArrayLike, folds: int, seed: int) -> Indices:
    """Divide examples into folds; return the fold of each, (N,), from 0 to folds - 1.

    Each class is spread evenly: its folds differ by at most one example, and so do the folds as a whole.
    """
    labels = np.asarray(labels)
    fold_of = np.empty(len(labels), dtype=np.int64)
    dealt = 0  # classes are dealt out one after another, like one pack of cards
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        drawn = members[permutation(len(members), seed, "folds", int(label))]
        fold_of[drawn] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return fold_of


def channel_statistics(
    images_nchw: npt.NDArray[np.uint8], indices: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (mean, std) of every channel over `images_nchw[indices]`, in units of [0, 1].

    Counts of the 256 values are exact integers, so the result does not depend on order or chunks; the
    variance is the two-pass one over those counts, biased (divided by the number of pixels). A channel that has one
    value only, as the black blue channel of red and green images, gets std 1: normalised, it is 0 everywhere.

    Args:
        images_nchw: uint8, (N, C, H, W); may be memory-mapped, it is read in chunks.
        indices: which images, usually the training part.
    Returns: two float64 arrays of shape (C,).
    Raises: ValueError if there is no image.
    """
    counts_cv = _value_counts(images_nchw, np.asarray(indices))
    total_c = counts_cv.sum(axis=1)
    if not total_c.all():
        raise ValueError("channel statistics need at least one image")
    values_v = np.arange(256) / 255
    mean_c = counts_cv @ values_v / total_c
    variance_c = (counts_cv * (values_v - mean_c[:, None]) ** 2).sum(axis=1) / total_c
    is_constant_c = (counts_cv > 0).sum(axis=1) == 1  # not variance_c == 0: the mean is rounded
    return mean_c, np.where(is_constant_c, 1.0, np.sqrt(variance_c))


def _value_counts(images_nchw: npt.NDArray[np.uint8], indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    channels = images_nchw.shape[1]
    counts_cv = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(indices), _CHUNK):
        chunk = images_nchw[indices[start : start + _CHUNK]]
        for channel in range(channels):
            counts_cv[channel] += np.bincount(chunk[:, channel].ravel(), minlength=256)
    return counts_cv
