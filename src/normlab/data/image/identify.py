"""Which published data set some images are, decided by content and not by the name of a folder or class.

Other data sets carry CIFAR-10's class names too (CINIC-10, noisy or enlarged copies), and a comparison with published
results is valid only for the original. So CIFAR-10 is recognised by its pixels: each class has a digest that depends
neither on the order of its images nor on its number or name, whatever form the images lay in. CIFAR-100 is recognised
by its files' published sums, and elsewhere by its class names and counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from normlab.data.image.known import class_names
from normlab.data.image.source import ImageSource

NATIVE_SIZE = 32
_DIGEST_RANGE = 2**64
_CIFAR10_COUNTS = (5000, 1000)  # images of each class: training, test
_CIFAR10_DIGESTS = {
    "a3d6548235342525": "airplane",
    "f08652195354b648": "automobile",
    "c8d04a64faddfbec": "bird",
    "17c6ac2658563c48": "cat",
    "5f5d66df7d096767": "deer",
    "124127597c36dc13": "dog",
    "324fd1675500ecbd": "frog",
    "a207ce9dd7868239": "horse",
    "e12846f915592e84": "ship",
    "14342b13b667bbcb": "truck",
}
"""`class_digests` of the published CIFAR-10."""

Arrays = Mapping[str, npt.NDArray[np.uint8]]
Labels = Mapping[str, npt.NDArray[np.int64]]


def identify(source: ImageSource, images: Callable[[], Arrays], labels: Labels) -> tuple[str, tuple[str, ...]]:
    """Return name and classes of a data set that its reader could not name for certain.

    Args:
        source: what the reader says of it.
        images: gives the pixels by split at 32x32; called only if the counts are CIFAR-10's.
        labels: by split, int64 (N,).
    Returns: a published name, or the source's own with a remark if that would pass for a published one; the class
        names, CIFAR-10's own where the data have none.
    """
    per_class = _counts(len(source.classes), labels)
    if per_class == [_CIFAR10_COUNTS] * 10:
        names = [_CIFAR10_DIGESTS.get(digest, "") for digest in class_digests(10, images(), labels)]
        if set(names) == set(_CIFAR10_DIGESTS.values()):
            return "cifar10", source.classes if source.named_classes else tuple(names)
    for classes, counts in (("cifar100", (500, 100)), ("cifar100-coarse", (2500, 500))):
        if source.classes == class_names(classes) and set(per_class) == {counts}:
            return "cifar100", source.classes
    name = source.name
    return (f"{name} (unidentified)" if "cifar" in name.lower() or name == "digits" else name), source.classes


def class_digests(classes: int, images: Arrays, labels: Labels) -> list[str]:
    """Return for each class 16 hexadecimal digits: the sum of its images' hashes, so their order does not matter.

    Validation images count as training images: who cuts a validation part off changes no image.
    """
    sums = [0] * classes
    for split, pixels_nchw in images.items():
        part = b"test" if split == "test" else b"train"
        for pixels, label in zip(pixels_nchw, labels[split].tolist(), strict=True):
            digest = hashlib.sha256(part + pixels.tobytes()).digest()
            sums[label] = (sums[label] + int.from_bytes(digest[:8], "little")) % _DIGEST_RANGE
    return [f"{total:016x}" for total in sums]


def _counts(classes: int, labels: Labels) -> list[tuple[int, int]]:
    """Return (training and validation, test) images by class."""
    counts = np.zeros((2, classes), dtype=np.int64)
    for split, values in labels.items():
        counts[1 if split == "test" else 0] += np.bincount(values, minlength=classes)
    return list(zip(*counts.tolist(), strict=True))
