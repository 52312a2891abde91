"""Lines of text with the entities that a model finds in them. Streamed: a chunk of lines is in memory, not the file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from normlab.apps.tag.sources import Line
from normlab.data.tagging.plain_text import sentences_of
from normlab.engine.api import Run
from normlab.errors import UserError

LONGEST = 5000  # words of a sentence


class Entity(NamedTuple):
    """An entity: places in the line (or the given text), its type, its text, and the model's probability of it."""

    start: int
    end: int
    type: str
    text: str
    probability: float


class TaggedSentence(NamedTuple):
    """A sentence: its number from 1, its places, words, their tags, and its entities in order."""

    number: int
    start: int
    end: int
    words: tuple[str, ...]
    tags: tuple[str, ...]
    entities: tuple[Entity, ...]


class Passage(NamedTuple):
    """A line of text, or the lines of a paragraph as one, and the sentences in it."""

    line: Line
    sentences: tuple[TaggedSentence, ...]

    @property
    def entities(self) -> list[Entity]:
        """The line's entities, in order."""
        return [entity for sentence in self.sentences for entity in sentence.entities]


def tagged(run: Run, lines: Iterable[Line]) -> Iterator[Passage]:
    """Yield each line with what the model finds in it.

    Args:
        run: of the task `ner`.
        lines: not blank.
    Raises: UserError for a sentence that is too long to be one.
    """
    waiting: deque[Line] = deque()

    def texts() -> Iterator[str]:
        for line in lines:
            _refuse_endless(line)
            waiting.append(line)
            yield line.text

    number, sentences = 1, list[TaggedSentence]()
    for record in run.predict(texts()):
        if record["line"] > number:
            yield Passage(waiting.popleft(), tuple(sentences))
            number, sentences = number + 1, []
        sentences.append(_sentence(record, waiting[0]))
    if waiting:
        yield Passage(waiting.popleft(), tuple(sentences))


def _refuse_endless(line: Line) -> None:
    """Raise `UserError` for a line without a sentence's end in thousands of words, which memory would not hold."""
    if len(line.text) > LONGEST and any(len(words) > LONGEST for words in sentences_of(line.text, line.number, 0)):
        raise UserError(
            f"line {line.number}: a sentence of more than {LONGEST:,} words: is it text? Break it into lines"
        )


def _sentence(record: Mapping[str, Any], line: Line) -> TaggedSentence:
    start, end = record["characters"]
    entities = (
        Entity(line.start + a, line.start + b, span["type"], line.text[a:b], span["probability"])
        for span in record["spans"]
        for a, b in [span["characters"]]
    )
    words, tags = tuple(record["words"]), tuple(record["tags"])
    return TaggedSentence(record["sentence"], line.start + start, line.start + end, words, tags, tuple(entities))
