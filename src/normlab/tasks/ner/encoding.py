"""Sentences as numbers, and batches of them.

All sentences of a split lie end to end in flat arrays, so that a batch is one fancy index and no loop. Characters are
kept once per distinct spelling, and a batch holds each spelling once too, however often the word occurs in it.

Dimensions: N sentences, W words of all of them, F distinct spellings, L characters; B, T, U: those of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from normlab.data.tagging.scheme import Scheme, convert
from normlab.data.tagging.sentences import Sentence
from normlab.data.text.vocabulary import Vocabulary

# Longer "words" are web addresses and the like: more characters cost time and help nothing.
LONGEST_SPELLING = 40


class Batch(NamedTuple):
    """Some sentences, padded on the right.

    Attributes:
        words: (B, T) numbers in the vocabulary, 0 in padding.
        lengths: (B,) words per sentence.
        characters: (U, L) of the batch's distinct spellings, 0 in padding; None if characters are not read.
        character_lengths: (U,).
        spelling: (B, T), the row in `characters` of each word; anything in padding.
        tags: (B, T), 0 in padding; None if there are none.
    """

    words: Tensor
    lengths: Tensor
    characters: Tensor | None
    character_lengths: Tensor | None
    spelling: Tensor | None
    tags: Tensor | None

    @property
    def mask(self) -> Tensor:
        """(B, T), True where there is a word."""
        return torch.arange(self.words.shape[1], device=self.lengths.device) < self.lengths[:, None]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(*(None if part is None else part.to(device, non_blocking=True) for part in self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Encoded:
    """Encoded sentences.

    Attributes:
        offsets: (N + 1,), where each sentence begins in the flat arrays.
        words: (W,) numbers in the vocabulary.
        spelling: (W,) rows of `characters`.
        tags: (W,), None if the sentences have none.
        characters: (F, L) numbers in the alphabet, 0 in padding; `character_lengths`: (F,).
        spellings: (F,) the words themselves.
    """

    offsets: np.ndarray
    words: np.ndarray
    spelling: np.ndarray
    tags: np.ndarray | None
    characters: np.ndarray
    character_lengths: np.ndarray
    spellings: list[str]

    @property
    def lengths(self) -> np.ndarray:
        """(N,) words per sentence."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def positions(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions in the flat arrays of the words of some sentences, (B, T), and which are real, (B, T)."""
        lengths = self.lengths[rows]
        steps = np.arange(lengths.max(initial=0))
        real = steps < lengths[:, None]
        return np.where(real, self.offsets[rows][:, None] + steps, 0), real

    def batch(self, rows: np.ndarray, words: np.ndarray | None = None, *, characters: bool = True) -> Batch:
        """Return some sentences as a batch; `words` replaces the flat word numbers."""
        positions, real = self.positions(rows)
        numbers = np.where(real, (self.words if words is None else words)[positions], 0)
        tags = None if self.tags is None else _tensor(np.where(real, self.tags[positions], 0))
        lengths = _tensor(self.lengths[rows])
        if not characters:
            return Batch(_tensor(numbers), lengths, None, None, None, tags)
        used, inverse = np.unique(self.spelling[positions], return_inverse=True)
        sizes = self.character_lengths[used]
        letters = self.characters[used, : sizes.max(initial=1)]
        return Batch(
            _tensor(numbers), lengths, _tensor(letters), _tensor(sizes), _tensor(inverse.reshape(positions.shape)), tags
        )


class Lexicon:
    """The words, characters and tags of a trained model, as its card lists them.

    Args:
        card: holds `words`, `characters` (both from number 2 on), `classes` (the tags) and their `scheme`, and
            `file_scheme` if the files use another scheme.
        lowercase: look words up in lower case.
    """

    def __init__(self, card: Mapping[str, Any], *, lowercase: bool) -> None:
        self.words = Vocabulary(card["words"])
        self.alphabet = Vocabulary(card["characters"])
        self.tags: list[str] = list(card["classes"])
        self.file_scheme: Scheme = card.get("file_scheme", card["scheme"])
        self.converts = self.file_scheme != card["scheme"]
        self.lowercase = lowercase

    def encode(self, sentences: Sequence[Sentence]) -> Encoded:
        """Return sentences as numbers; tags only if all sentences have them."""
        known: dict[str, int] = {}
        forms: dict[str, int] = {}
        tag_number = {tag: number for number, tag in enumerate(self.tags)}
        tokens = [look_up_form(token, lowercase=self.lowercase) for s in sentences for token in s.tokens]
        for token in tokens:
            if token not in known:
                known[token] = self.words.id(token)
        spelling = [forms.setdefault(word, len(forms)) for s in sentences for word in s.words]
        tagged = all(s.tags is not None for s in sentences)
        characters, lengths = self._spell(list(forms))
        return Encoded(
            offsets=np.cumsum([0, *(len(s) for s in sentences)]),
            words=np.array([known[token] for token in tokens], dtype=np.int64),
            spelling=np.array(spelling, dtype=np.int64),
            tags=np.array([tag_number[tag] for s in sentences for tag in s.tags or ()]) if tagged else None,
            characters=characters,
            character_lengths=lengths,
            spellings=list(forms),
        )

    def respell(self, tags: list[str]) -> list[str]:
        """Return a sentence's tags as the files spell them."""
        return convert(tags, self.file_scheme) if self.converts else tags

    def _spell(self, forms: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([min(len(form), LONGEST_SPELLING) for form in forms], dtype=np.int64)
        number = {letter: self.alphabet.id(letter) for letter in set("".join(forms))}
        characters = np.zeros((len(forms), lengths.max(initial=1)), dtype=np.int64)
        for row, form in enumerate(forms):
            characters[row, : lengths[row]] = [number[letter] for letter in form[:LONGEST_SPELLING]]
        return characters, lengths


def look_up_form(token: str, *, lowercase: bool) -> str:
    """Return the form under which the vocabulary holds a word."""
    return token.lower() if lowercase else token


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
