"""Which word vectors a run starts from: where the file is, how large its vectors are, which words it knows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from normlab.data.cache import cache_home
from normlab.data.glove import WordVectors, glove_words, load_glove
from normlab.errors import UserError

GENERATED = "generated"
_SUFFIXES = (".txt", ".gz", ".zip")
_RANDOM_DIMENSION = 100
_GENERATED_DIMENSION = 50


@dataclass(frozen=True)
class VectorSource:
    """A choice of word vectors.

    Attributes:
        glove: the file; "" looks beside the data and in the cache; `generated` makes vectors up.
        data: where the data lie.
        dimension: asked for, None for the file's own.
        random: there is no file, the vectors are drawn.
    """

    glove: str
    data: str
    dimension: int | None
    random: bool

    def words(self) -> list[str]:
        """Return every word of the file; none if there is no file."""
        if self.random or self.glove == GENERATED:
            return []
        return glove_words(self.path(), dimension=self.dimension)

    def size(self) -> int:
        """Return the size of a word vector."""
        if self.random:
            return self.dimension or _RANDOM_DIMENSION
        if self.glove == GENERATED:
            return self.dimension or _GENERATED_DIMENSION
        return load_glove(self.path(), [], dimension=self.dimension, cache_dir=_cache()).matrix.shape[1]

    def load(self, words: Sequence[str], dimension: int) -> WordVectors:
        """Return a vector for each word that has one."""
        if self.glove == GENERATED:
            return WordVectors(generated_vectors(words, dimension), np.ones(len(words), dtype=bool))
        return load_glove(self.path(), words, dimension=dimension, cache_dir=_cache())

    def path(self) -> Path:
        """Return the GloVe file: the one named, else one beside the data, else one in the cache.

        Raises: UserError if there is none, or several to choose from.
        """
        if self.glove:
            path = Path(self.glove).expanduser()
            if not path.is_file():
                raise UserError(f"{path}: no such GloVe file: check --glove")
            return path
        data = Path(self.data).expanduser()
        places = [data, data.parent, data.parent / "glove", _cache()]
        for place in places:
            found = sorted(path for path in place.glob("glove*") if path.suffix in _SUFFIXES) if place.is_dir() else []
            if len(found) == 1:
                return found[0]
            if found:
                names = ", ".join(path.name for path in found)
                raise UserError(f"{place}: holds {len(found)} GloVe files ({names}): say --glove")
        raise UserError(f"no GloVe file in {', '.join(map(str, places))}: say --glove FILE, or --embeddings random")


def generated_vectors(words: Sequence[str], dimension: int) -> np.ndarray:
    """Return a float32 row of noise per word that its letters fix."""
    return np.stack([_noise(word, dimension) for word in words])


def _noise(text: str, dimension: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)


def _cache() -> Path:
    return cache_home() / "glove"
