"""Pretrained word vectors of a run: where the file is, how large its vectors are, which words it knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from normlab.data.cache import cache_home
from normlab.data.glove import WordVectors, glove_fingerprint, glove_words, load_glove
from normlab.errors import UserError
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.generated import NAME as GENERATED
from normlab.tasks.ner.generated import generated_vectors

_SUFFIXES = (".txt", ".gz", ".zip")
_RANDOM_DIMENSION = 100  # of the studied reports
_GENERATED_DIMENSION = 50


def find_glove(config: NerConfig) -> Path:
    """Return the GloVe file: the one named, else one beside the data, else one in the cache.

    Raises: UserError if there is none, or several to choose from.
    """
    if config.glove:
        path = Path(config.glove).expanduser()
        if not path.is_file():
            raise UserError(f"{path}: no such GloVe file: check --glove")
        return path
    data = Path(config.data).expanduser()
    places = [data, data.parent, data.parent / "glove", _cache()]
    for place in places:
        found = sorted(path for path in place.glob("glove*") if path.suffix in _SUFFIXES) if place.is_dir() else []
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                f"{place}: holds {len(found)} GloVe files ({', '.join(p.name for p in found)}): say --glove"
            )
    raise UserError(f"no GloVe file in {', '.join(map(str, places))}: say --glove FILE, or --embeddings random")


def vector_words(config: NerConfig) -> list[str]:
    """Return every word of the GloVe file; none if the vectors are made up."""
    return [] if config.glove == GENERATED else glove_words(find_glove(config), dimension=config.embedding_dim)


def vector_size(config: NerConfig) -> int:
    """Return the size of a word vector."""
    if config.embeddings == "random":
        return config.embedding_dim or _RANDOM_DIMENSION
    if config.glove == GENERATED:
        return config.embedding_dim or _GENERATED_DIMENSION
    return load_glove(find_glove(config), [], dimension=config.embedding_dim, cache_dir=_cache()).matrix.shape[1]


def vector_fingerprints(config: NerConfig) -> dict[str, str]:
    """Return what a run's card keeps of pretrained vectors, {"vectors": fingerprint}; nothing for random ones.

    The path of a file says nothing about its content, so it is no part of the configuration's hash; a run or a study
    is told apart by this instead.
    """
    if config.embeddings == "random":
        return {}
    if config.glove == GENERATED:
        return {"vectors": f"{vector_size(config)}d-{GENERATED}"}
    path = find_glove(config)
    return {"vectors": glove_fingerprint(path, dimension=config.embedding_dim, cache_dir=_cache())}


def load_vectors(config: NerConfig, words: Sequence[str], dimension: int) -> WordVectors:
    """Return a vector for each word that has one."""
    if config.glove == GENERATED:
        matrix = generated_vectors(words, dimension)
        return WordVectors(matrix, np.ones(len(words), dtype=bool))
    return load_glove(find_glove(config), words, dimension=dimension, cache_dir=_cache())


def _cache() -> Path:
    return cache_home() / "glove"
