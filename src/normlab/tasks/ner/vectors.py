"""Pretrained word vectors of a run: where the file is, how large its vectors are, which words it knows."""

from __future__ import annotations

from collections.abc import Sequence

from normlab.data.text.embedding_files import VectorSource
from normlab.data.text.glove import WordVectors
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.generated import generated_vectors


def vector_source(config: NerConfig) -> VectorSource:
    """Return which word vectors a run starts from."""
    random = config.embeddings == "random"
    return VectorSource(config.glove, config.data, config.embedding_dim, random=random, made_up=generated_vectors)


def vector_words(config: NerConfig) -> list[str]:
    """Return every word of the GloVe file; none if the vectors are made up."""
    return vector_source(config).words()


def vector_size(config: NerConfig) -> int:
    """Return the size of a word vector."""
    return vector_source(config).size()


def vector_fingerprints(config: NerConfig) -> dict[str, str]:
    """Return what a run's card keeps of pretrained vectors, {"vectors": fingerprint}; nothing for random ones."""
    return vector_source(config).fingerprints()


def load_vectors(config: NerConfig, words: Sequence[str], dimension: int) -> WordVectors:
    """Return a vector for each word that has one."""
    return vector_source(config).load(words, dimension)


def coverage_notes(config: NerConfig, words: Sequence[str]) -> list[str]:
    """Return how many of the training's words have a pretrained vector, as a line; nothing for random vectors."""
    return vector_source(config).coverage(words)
