"""A made-up corpus and made-up word vectors, so that everything can be tried without a file.

Sentences are filled-in patterns; half of the names are put together from syllables, so that the development and test
parts hold names that training never showed. Case, endings and context give most of them away, nothing gives the rest:
the scores say that a model works and reads its characters, not how good it is.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence

import numpy as np

from normlab.data.tagging.sentences import Sentence

NAME = "generated"
SIZES = {"train": 800, "val": 200, "test": 200}

_PATTERNS = """
{per} visited {geo} on {tim} .
{org} opened an office in {geo} , said {per} .
officials from {geo} met {per} of {org} .
the {gpe} government talked with {org} in {tim} .
{per} , a {gpe} citizen , joined {org} .
heavy rain fell in {geo} and {geo} until {tim} .
{org} and {org} will merge , {per} told reporters .
nobody was hurt , the police said .
prices rose by five percent in {tim} .
the {gpe} president , {per} , left {geo} on {tim} .
{per} praised {org} .
{org} praised {per} .
{geo} and {org} praised {geo} .
{per} beat {per} in {geo} .
{org} beat {geo} on {tim} .
""".strip().splitlines()
_KNOWN = {
    "per": ["Anna Berg", "John Smith", "Maria Silva", "Lee", "Ibrahim Khan", "Mr. Brown"],
    "geo": ["Paris", "New York", "Cairo", "South Korea", "Lima", "Oslo"],
    "org": ["United Nations", "Acme Corp", "World Bank", "Reuters", "Red Cross", "Nordic Steel"],
    "gpe": ["French", "Egyptian", "Korean", "Peruvian", "Norwegian", "Indian"],
    "tim": ["Monday", "June 2006", "Friday", "September 11", "the 1990s", "Tuesday"],
}
_ENDINGS = {"per": "son", "geo": "ville", "org": " Inc", "gpe": "ian", "tim": ""}
_SYLLABLES = ["ka", "lo", "mir", "ten", "sha", "bor", "vi", "dan", "rus", "pel"]


def generated_sentences(split: str) -> Iterator[Sentence]:
    """Yield the sentences of train, val or test: always the same ones."""
    draw = random.Random(f"{NAME} {split}")
    for number in range(1, SIZES[split] + 1):
        words: list[str] = []
        tags: list[str] = []
        for part in draw.choice(_PATTERNS).split():
            kind = part.strip("{}")
            filled = _entity(kind, draw).split() if kind in _KNOWN else [part]
            words += filled
            tags += [f"{'I' if place else 'B'}-{kind}" if kind in _KNOWN else "O" for place in range(len(filled))]
        yield Sentence(tuple(words), tuple(tags), tuple(words), number, number)


def generated_vectors(words: Sequence[str], dimension: int) -> np.ndarray:
    """Return a float32 row per word: noise that its letters fix, and a direction for its last three letters."""
    return np.stack([_noise(word, dimension) + 2 * _noise(f"*{word[-3:]}", dimension) for word in words]) / 3


def _entity(kind: str, draw: random.Random) -> str:
    if kind == "tim" or draw.random() < 0.5:
        return draw.choice(_KNOWN[kind])
    stem = "".join(draw.choices(_SYLLABLES, k=draw.choice([2, 3])))
    return stem.capitalize() + draw.choice([_ENDINGS[kind], ""])


def _noise(text: str, dimension: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
