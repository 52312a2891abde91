"""A sentence with its tags, and what every reader of sentences checks, whatever the file's format.

A reader can be iterated any number of times; each pass streams the file in constant memory and counts repaired tags
anew. A format adds one method, `_drafts`, which yields the sentences of a file; `corpus.FORMATS` lists the formats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar

from normlab.data.tagging.scheme import convert, first_illegal, is_well_formed, resolve_scheme, tag_style
from normlab.errors import UserError, did_you_mean, excerpt
from normlab.plurals import plural

_SENTENCES_TO_LOOK_AT = 1000
_HEADS = frozenset({"tag", "tags", "ner", "ner_tag", "ner_tags", "label", "labels", "entity", "iob", "bio", "pos"})
# What to do about tags of each style; a scheme that is read already needs nothing.
_STYLE_FIXES = {
    "BIO": "--scheme bio",
    "IOB1": "--scheme iob1",
    "BIOES": "--scheme bioes",
    "BILOU": "--scheme bilou",
    "BMES": "write I- for M- and S- for W-, and give --scheme bioes",
    "BIO with an underscore (B_PER)": "write B-PER",
    "types before B and I (PER-B)": "write B-PER",
    "types without B- and I-": "write B- before an entity's first word and I- before the others; if they are labels of "
    "single words (parts of speech), give --labels plain",
    "numbers": "write the tags' names",
    "BIO with illegal sequences": "",
}


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
        lines: of each word, where they do not simply follow one another.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    tokens: tuple[str, ...]
    number: int
    line: int
    offsets: tuple[tuple[int, int], ...] | None = None
    lines: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.words)


class SentenceFile(ABC):
    """A file of sentences.

    Args:
        path: the file.
        scheme: what the file's tags are written in: "bio" (IOB2), "iob1", "bioes", "bilou"; "plain": labels of words.
        known_tags: the only tags to accept, None for all that are well formed.
        fix_tags: rewrite illegal tags (I- without B-) by the lenient reading and count them in `repaired`.
        tagged: False: leave tags out, unchecked, as for prediction.
        encoding: of the file.
        max_tokens: the longest sentence to accept; a missing blank line is the usual cause of a longer one.
    Raises: UserError, while iterating, that names file, line and sentence.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings of names, in lower case, by which a file of this format is recognised."""
    title: ClassVar[str] = "columns"
    """What the format is called in messages."""

    # How far the line moves from one word to the next.
    _lines_per_word = 1
    # What a file without any sentence consists of.
    _instead_of_words = "blank lines"

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

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a file has this format, by its name or by its first bytes."""
        return path.suffix.lower() in cls.suffixes

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
            raise UserError(f"{self.path}: holds no sentence, only {self._instead_of_words}")

    @abstractmethod
    def _drafts(self) -> Iterator[Sentence]:
        """Yield the file's sentences, their tags unchecked."""

    def read_as(self) -> str:
        """Return what the file is taken for, in a few words, from its first sentences; "" if there is no doubt."""
        return ""

    def left_out(self) -> str:
        """Return what the last pass has left out ("comment lines: 3"), "" for nothing."""
        return ""

    def keys_seen(self) -> str:
        """Return what stands where tags could have been expected, for a message that they are missing."""
        return ""

    def style(self) -> str:
        """Return what the tags of the first sentences look like ("BIO", "BILOU"), "" where there are none."""
        other = copy(self)  # whose counts are its own
        try:
            sample = [sentence.tags for sentence in islice(other._drafts(), _SENTENCES_TO_LOOK_AT) if sentence.tags]
        except UserError:
            return ""
        return tag_style(sample)

    def _check_length(self, words: int, number: int, line: int) -> None:
        if words > self.max_tokens:
            raise UserError(
                f"{self.path}:{line}: sentence {number} has more than {self.max_tokens} words: is a blank "
                "line missing? Part it into sentences (or, from Python, raise max_tokens)"
            )

    def _checked_tags(self, sentence: Sentence) -> tuple[str, ...]:
        tags = sentence.tags or ()
        for index, tag in enumerate(tags):
            if not is_well_formed(tag, self.scheme):
                kind = f"no {self.scheme.upper()} tag"
                fix = "correct it, or name the --scheme"
                if sentence.number == 1 and index == 0 and tag.strip('"').lower() in _HEADS:
                    fix = "is the first line a header? Remove it"
                raise UserError(
                    f"{self._place(sentence, index)}: '{excerpt(tag)}' is {kind}: {fix}{self._what_tags_look_like()}"
                )
            if self.known_tags is not None and tag not in self.known_tags:
                hint = did_you_mean(tag, sorted(self.known_tags))
                raise UserError(f"{self._place(sentence, index)}: unknown tag '{excerpt(tag)}': {hint}")
        illegal = first_illegal(tags, self.scheme)
        if illegal is None:
            return tags
        if not self.fix_tags:
            index, reason = illegal
            raise UserError(
                f"{self._place(sentence, index)}: {excerpt(reason, 200)}; --fix-tags repairs it "
                f"(or name another --scheme){self._what_tags_look_like()}"
            )
        fixed = tuple(convert(tags, self.scheme))
        self.repaired += sum(a != b for a, b in zip(tags, fixed, strict=True))
        return fixed

    def _what_tags_look_like(self) -> str:
        style = self.style()
        fix = _STYLE_FIXES.get(style, "")
        if not style or fix == f"--scheme {self.scheme}":
            return ""
        return f"; tags look like {style}{f': {fix}' if fix else ''}"

    def _place(self, sentence: Sentence, word: int) -> str:
        line = sentence.lines[word] if sentence.lines else sentence.line + word * self._lines_per_word
        return f"{self.path}:{line}: sentence {sentence.number}, word {word + 1}"


def doubts(sentences: Sequence[Sentence]) -> list[str]:
    """Return what makes one doubt that sentences were read as they are meant, a line for each reason."""
    reasons: list[str] = []
    single = sum(len(sentence) == 1 for sentence in sentences)
    if len(sentences) > 2 and single * 2 > len(sentences):
        reasons.append(
            f"{single} of {plural(len(sentences), 'sentence')} have one word: are they divided at the right lines?"
        )
    words = [word for sentence in sentences for word in sentence.words]
    numbers = sum(word.isascii() and word.isdigit() for word in words)
    if len(words) > 2 and numbers * 2 > len(words):
        reasons.append(
            f"{numbers} of {plural(len(words), 'word')} are whole numbers: are those token numbers? Name the --columns"
        )
    return reasons
