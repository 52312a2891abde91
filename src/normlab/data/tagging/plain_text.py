"""Running text as sentences of words, for prediction: each word knows where in its line it stands.

A sentence never crosses a line. Where sentences end is `sentence_ends.py`, what a word is, `tokenizer.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from normlab.data.tagging.sentence_ends import sentence_bounds
from normlab.data.tagging.sentences import Sentence, SentenceFile
from normlab.data.tagging.tokenizer import look_up_spelling, word_offsets
from normlab.data.text.lines import text_lines


class PlainText(SentenceFile):
    """A text file, each line one or more sentences; blank lines are skipped. Options as in `SentenceFile`."""

    _lines_per_word = 0

    def _drafts(self) -> Iterator[Sentence]:
        number = 0
        for line, text in text_lines(self.path, self.encoding):
            for sentence in sentences_of(text, line, number):
                number = sentence.number
                yield sentence


def sentences_of(text: str, line: int, before: int) -> Iterator[Sentence]:
    """Yield the sentences of a line; words are as written, tokens as training texts spell them.

    Args:
        line: the line's number.
        before: how many sentences stand before it.
    """
    for start, end in sentence_bounds(text):
        if offsets := word_offsets(text, start, end):
            before += 1
            words = tuple(text[a:b] for a, b in offsets)
            yield Sentence(words, None, tuple(map(look_up_spelling, words)), before, line, tuple(offsets))
