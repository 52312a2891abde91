"""A sentence with its tags, and what every reader of sentences checks, whatever the file's format.

A reader is iterated as often as one likes; each pass streams the file in constant memory and counts repaired
tags anew. Formats add one method, `_drafts`, that yields sentences as they stand in the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from normlab.data.tagging_scheme import convert, first_illegal, is_well_formed, resolve_scheme
from normlab.errors import UserError, did_you_mean


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with their tags.

    Attributes:
        words: as written; characters are read from here.
        tags: one per word, None if the file has none.
        tokens: the file's own normalised words (the course's first column) for the embedding; `words` if it
            has none.
        number: from 1, counted over the file's sentences.
        line: the line of the first word, from 1.
        offsets: (start, end) of each word in its line, for plain text only.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    tokens: tuple[str, ...]
    number: int
    line: int
    offsets: tuple[tuple[int, int], ...] | None = None

    def __len__(self) -> int:
        return len(self.words)


class SentenceFile(ABC):
    """A file of sentences.

    Args:
        path: the file.
        scheme: "bio" (IOB2), "iob1" or "bioes", what the file's tags are written in.
        known_tags: the only tags to accept, None for all that are well formed.
        fix_tags: rewrite illegal tags (I- without B-) by the lenient reading and count them in `repaired`.
        tagged: False: leave tags out, unchecked, as for prediction.
        encoding: of the file.
        max_tokens: the longest sentence to accept; a missing blank line is the usual cause of a longer one.
    Raises: UserError, while iterating, that names file, line and sentence.
    """

    # How far the line moves from one word to the next.
    _lines_per_word = 1

    def __init__(
        self,
        path: str | Path,
        *,
        scheme: str = "bio",
        known_tags: Collection[str] | None = None,
        fix_tags: bool = False,
        tagged: bool = True,
        encoding: str = "utf-8",
        max_tokens: int = 5000,
    ) -> None:
        self.path = Path(path)
        self.scheme = resolve_scheme(scheme)
        self.known_tags = known_tags
        self.fix_tags = fix_tags
        self.tagged = tagged
        self.encoding = encoding
        self.max_tokens = max_tokens
        self.repaired = 0

    def __iter__(self) -> Iterator[Sentence]:
        self.repaired = 0
        sentence = None
        for sentence in self._drafts():
            self._check_length(len(sentence), sentence.number, sentence.line)
            if sentence.tags is None:
                yield sentence
            else:
                yield replace(sentence, tags=self._checked_tags(sentence) if self.tagged else None)
        if sentence is None:
            raise UserError(f"{self.path}: holds no sentence, only blank lines")

    @abstractmethod
    def _drafts(self) -> Iterator[Sentence]:
        """Yield the file's sentences, their tags unchecked."""

    def _check_length(self, words: int, number: int, line: int) -> None:
        if words > self.max_tokens:
            raise UserError(
                f"{self.path}:{line}: sentence {number} has more than {self.max_tokens} words: is a blank "
                "line missing? Part it into sentences (or, from Python, raise max_tokens)"
            )

    def _checked_tags(self, sentence: Sentence) -> tuple[str, ...]:
        tags = sentence.tags or ()
        for place, tag in enumerate(tags):
            if not is_well_formed(tag, self.scheme):
                kind = f"no {self.scheme.upper()} tag"
                raise UserError(f"{self._place(sentence, place)}: '{tag}' is {kind}: correct it, or name the --scheme")
            if self.known_tags is not None and tag not in self.known_tags:
                hint = did_you_mean(tag, sorted(self.known_tags))
                raise UserError(f"{self._place(sentence, place)}: unknown tag '{tag}': {hint}")
        illegal = first_illegal(tags, self.scheme)
        if illegal is None:
            return tags
        if not self.fix_tags:
            place, reason = illegal
            raise UserError(
                f"{self._place(sentence, place)}: {reason}; --fix-tags repairs it (or name another --scheme)"
            )
        fixed = tuple(convert(tags, self.scheme))
        self.repaired += sum(a != b for a, b in zip(tags, fixed, strict=True))
        return fixed

    def _place(self, sentence: Sentence, word: int) -> str:
        line = sentence.line + word * self._lines_per_word
        return f"{self.path}:{line}: sentence {sentence.number}, word {word + 1}"
