"""The built-in data set: real images that need no download.

scikit-learn ships 1,797 handwritten digits of 8x8 pixels and 17 grey levels (Alpaydin & Kaynak 1998). They
are enlarged to the networks' input size and split once and for all, so that `digits` is the same data set
everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normlab.data.image.pixels import resize_bilinear
from normlab.data.image.source import Chunk, ImageSource
from normlab.data.split import stratified_split

DEFAULT_SIZE = 32
SPLIT_SEED = 20_260_101  # fixed: part of what the data set is
TEST_FRACTION = 0.2
_REVISION = 1  # to be raised if any pixel, label or the split changes


def digits_source(size: int | None = None) -> ImageSource:
    """Describe the digits at `size` x `size` (default 32): 1,438 training and 359 test images, 10 classes."""
    size = size or DEFAULT_SIZE
    return ImageSource(
        kind="built-in",
        name="digits",
        classes=tuple(str(digit) for digit in range(10)),
        identity={"builtin": "digits", "revision": _REVISION, "size": size},
        chunks=lambda: _chunks(size),
        size=size,
        published=True,
    )


def _chunks(size: int) -> Iterator[Chunk]:
    from sklearn.datasets import load_digits

    data = load_digits()
    grey_n1hw = data.images[:, None] * (255 / 16)  # 0..16 -> 0..255; exact, as are the bilinear weights at 32
    images = np.repeat(resize_bilinear(grey_n1hw, size), 3, axis=1)
    labels = data.target.astype(np.int64)
    train, test = stratified_split(labels, TEST_FRACTION, SPLIT_SEED)
    yield Chunk("train", images[train], labels[train])
    yield Chunk("test", images[test], labels[test])
