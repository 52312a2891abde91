"""Words (or characters) as numbers, and which spelling of a word is looked up.

A word is looked up as written, then in lower case, then with every digit a 0, then with both; the first
spelling that is known counts. So a cased corpus finds its vectors in the lower-cased GloVe 6B, and "1987"
shares "0000" with other years where the vectors have such an entry. What is still unknown is `<unk>`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from normlab.errors import UserError, excerpt
from normlab.runs.atomic import atomic_binary

PADDING, UNKNOWN = 0, 1
SPECIAL = ("<pad>", "<unk>")
_DIGIT = re.compile(r"\d")


class Vocabulary:
    """A fixed list of words, numbered from 2; 0 is padding, 1 every unknown word.

    Args:
        words: distinct, in the order of their numbers.
        counts: how often each was seen in training, 0 if never; None for a list that was not counted.
    """

    def __init__(self, words: Sequence[str], counts: Sequence[int] | None = None) -> None:
        self.words = (*SPECIAL, *words)
        self.counts = (0, 0, *(counts if counts is not None else [0] * len(words)))
        self._index = {word: number for number, word in enumerate(self.words)}
        if len(self._index) != len(self.words) or len(self.counts) != len(self.words):
            raise ValueError("the words of a vocabulary must be distinct, with one count each")

    @classmethod
    def from_words(cls, words: Iterable[str], min_count: int = 1) -> Vocabulary:
        """Count running words and keep those seen min_count times, most frequent first, ties by name."""
        counted = Counter(words)
        for name in SPECIAL:
            del counted[name]
        frequent = sorted((word for word in counted if counted[word] >= min_count), key=lambda w: (-counted[w], w))
        return cls(frequent, [counted[word] for word in frequent])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._index

    def id(self, word: str) -> int:
        """Return the number of the word's first known spelling, `UNKNOWN` if there is none."""
        number = self._index.get(word)
        if number is not None:
            return number
        return next((self._index[s] for s in spellings(word) if s in self._index), UNKNOWN)

    def ids(self, words: Iterable[str]) -> list[int]:
        """Return the number of each word."""
        return [self.id(word) for word in words]

    def singletons(self) -> list[int]:
        """Return the numbers of words seen exactly once: those that training may show as unknown."""
        return [number for number, count in enumerate(self.counts) if count == 1]

    def save(self, path: Path) -> None:
        """Write the words and counts as JSON, atomically."""
        content = {"format": "normlab-vocabulary-1", "words": self.words[2:], "counts": self.counts[2:]}
        with atomic_binary(path) as file:
            file.write(json.dumps(content, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote. Raises: UserError if it is something else."""
        try:
            content = json.loads(path.read_bytes())
            words, counts = content["words"], content["counts"]
            if not all(isinstance(word, str) for word in words) or not all(type(count) is int for count in counts):
                raise ValueError("words must be strings and counts whole numbers")
            return cls(words, counts)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path}: not a vocabulary that normlab saved ({excerpt(str(error))})") from None


def spellings(word: str) -> list[str]:
    """Return the forms under which a word is looked up, in order, without repetition."""
    lower = word.lower()
    return list(dict.fromkeys((word, lower, _DIGIT.sub("0", word), _DIGIT.sub("0", lower))))
