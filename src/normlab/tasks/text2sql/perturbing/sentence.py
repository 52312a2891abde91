"""A question as the rules see it: its words, which of them name something of the schema, which belong to constants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from normlab.data.sql.schema import Schema, split_words
from normlab.data.text.word_forms import Token, fold, is_word, stem, tokens_of, words_of
from normlab.tasks.text2sql.linking.linker import NONE, Linked
from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS

Edit = tuple[int, int, str]
"""First character, the one after the last, and what takes their place."""


@dataclass(frozen=True)
class Sentence:
    """A question with what the rules need.

    Attributes:
        question: as written.
        tokens: its words and signs.
        named: whether a word names a table or column, in part or whole.
        constant: whether a word belongs to a constant: of the gold query, in quotes, a number, or capitalised.
        constants: (first, after last) characters of the gold query's texts where the question has them.
        schema_stems: stems of all words in the schema's names.
    """

    question: str
    tokens: tuple[Token, ...]
    named: tuple[bool, ...]
    constant: tuple[bool, ...]
    constants: tuple[tuple[int, int], ...]
    schema_stems: frozenset[str]

    def is_free(self, index: int) -> bool:
        """Say whether a word may be changed without touching a constant."""
        return is_word(self.tokens[index].text) and not self.constant[index]

    def names(self, start: int, end: int) -> bool:
        """Say whether some word between two characters names a table or column."""
        return any(name for token, name in zip(self.tokens, self.named, strict=True) if start <= token.start < end)

    def holds_constant(self, start: int, end: int) -> bool:
        """Say whether some word between two characters belongs to a constant."""
        return any(held for token, held in zip(self.tokens, self.constant, strict=True) if start <= token.start < end)

    def edited(self, edits: Iterable[Edit]) -> str | None:
        """Return the question with edits that do not overlap; None if it stays as it is."""
        text = self.question
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text if text != self.question else None


def sentence_of(linked: Linked, schema: Schema, gold: str) -> Sentence:
    """Return a linked question as the rules see it.

    Args:
        gold: its query, from which the constants are known.
    """
    question, texts = linked.question, texts_of(gold)
    tokens = tuple(tokens_of(question))[: len(linked.texts)]
    links = [
        max(linked.table_links[row].max(initial=NONE), linked.column_links[row].max(initial=NONE))
        for row in range(len(tokens))
    ]
    stems = {stem(word) for text in texts for word in words_of(text)} - STOP_WORDS
    quoted = [match.span() for match in _QUOTED.finditer(question)]
    names = [*(table.name for table in schema.tables), *(column.name for column in schema.columns)]
    names += [*(table.natural for table in schema.tables), *(column.natural for column in schema.columns)]
    return Sentence(
        question=question,
        tokens=tokens,
        named=tuple(
            link > NONE and fold(token.text) not in STOP_WORDS for link, token in zip(links, tokens, strict=True)
        ),
        constant=tuple(_is_constant(index, tokens, stems, quoted) for index in range(len(tokens))),
        constants=tuple(_spans(question, texts)),
        schema_stems=frozenset(stem(word) for name in names for word in words_of(split_words(name))),
    )


def texts_of(gold: str) -> list[str]:
    """Return the texts in quotes of a query, without the signs of a LIKE pattern."""
    found = (single or double for single, double in re.findall(r"'([^']*)'|\"([^\"]*)\"", gold))
    return list(dict.fromkeys(text for text in (one.strip("% ") for one in found) if text))


_QUOTED = re.compile(r"""(?<!\w)'[^']+'(?!\w)|"[^"]+"|[‘“][^’”]+[’”]|``.+?''""")


def _is_constant(index: int, tokens: Sequence[Token], stems: set[str], quoted: Sequence[tuple[int, int]]) -> bool:
    token = tokens[index]
    if any(start <= token.start < end for start, end in quoted) or any(sign.isdigit() for sign in token.text):
        return True
    first = index == 0 or tokens[index - 1].text in {".", "?", "!"}
    return stem(fold(token.text)) in stems or (not first and token.text != token.text.lower())


def _spans(question: str, texts: Iterable[str]) -> list[tuple[int, int]]:
    """The first place of each text; none inside another."""
    spans: list[tuple[int, int]] = []
    for text in sorted(texts, key=len, reverse=True):
        match = re.search(rf"(?<!\w){re.escape(text)}(?!\w)", question, re.IGNORECASE)
        if len(text) > 1 and match and not any(a < match.end() and match.start() < b for a, b in spans):
            spans.append(match.span())
    return sorted(spans)
