"""Which word vectors a run starts from: where the file is, how large its vectors are, which words it knows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from normlab.data.text.glove import WordVectors, glove_fingerprint, glove_words, load_glove
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs.cache_folders import cache_root, writable_folder

GENERATED = "generated"
_SUFFIXES = (".txt", ".vec", ".gz", ".zip")
_RANDOM_DIMENSION = 100
_GENERATED_DIMENSION = 50


def noise_vectors(words: Sequence[str], dimension: int) -> np.ndarray:
    """Return a float32 row of noise per word that its letters fix."""
    return np.stack([_noise(word, dimension) for word in words])


def _noise(text: str, dimension: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)


@dataclass(frozen=True)
class VectorSource:
    """A choice of word vectors.

    Attributes:
        glove: the file; "" looks beside the data and in the cache; `generated` makes vectors up.
        data: where the data lie.
        dimension: asked for, None for the file's own.
        random: there is no file, the vectors are drawn.
        made_up: (words, dimension) -> float32 rows, for `generated`.
    """

    glove: str
    data: str
    dimension: int | None
    random: bool
    made_up: Callable[[Sequence[str], int], np.ndarray] = noise_vectors

    def words(self) -> list[str]:
        """Return every word of the file; none if there is no file."""
        if self.random or self.glove == GENERATED:
            return []
        return glove_words(self.path(), dimension=self.dimension, cache_dir=_cache())

    def size(self) -> int:
        """Return the size of a word vector."""
        if self.random:
            return self.dimension or _RANDOM_DIMENSION
        if self.glove == GENERATED:
            return self.dimension or _GENERATED_DIMENSION
        return load_glove(self.path(), [], dimension=self.dimension, cache_dir=_cache()).matrix.shape[1]

    def fingerprints(self) -> dict[str, str]:
        """Return what a run's card keeps of pretrained vectors, {"vectors": fingerprint}; nothing for random ones.

        The path of a file says nothing about its content, so it is no part of the configuration's hash; a run or a
        study is told apart by this instead.
        """
        if self.random:
            return {}
        if self.glove == GENERATED:
            return {"vectors": f"{self.size()}d-{GENERATED}"}
        return {"vectors": glove_fingerprint(self.path(), dimension=self.dimension, cache_dir=_cache())}

    def load(self, words: Sequence[str], dimension: int) -> WordVectors:
        """Return a vector for each word that has one."""
        if self.glove == GENERATED:
            return WordVectors(self.made_up(words, dimension), np.ones(len(words), dtype=bool))
        return load_glove(self.path(), words, dimension=dimension, cache_dir=_cache())

    def coverage(self, words: Sequence[str]) -> list[str]:
        """Return "vectors for 398 of 412 words (glove.txt)" as the only line; no line where there is no file."""
        if self.random or self.glove == GENERATED:
            return []
        known = int(self.load(words, self.size()).found.sum())
        doubt = "" if known * 2 > len(words) else ": is the file of this language, and in this letter case?"
        return [f"vectors for {known} of {plural(len(words), 'word')} ({self.path().name}){doubt}"]

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
        folders = [data, data.parent, data.parent / "glove", cache_root() / "glove"]
        for folder in folders:
            held = folder.glob("glove*") if folder.is_dir() else ()
            files = sorted(path for path in held if path.suffix in _SUFFIXES)
            if len(files) == 1:
                return files[0]
            if files:
                names = ", ".join(path.name for path in files)
                raise UserError(f"{folder}: holds {len(files)} GloVe files ({names}): say --glove")
        raise UserError(f"no GloVe file in {', '.join(map(str, folders))}: say --glove FILE, or --embeddings random")


def _cache() -> Path:
    """Return the folder of prepared vectors, one that can be written to."""
    return writable_folder("glove")
