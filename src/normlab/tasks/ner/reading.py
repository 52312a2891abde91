"""What a trained model is given to tag: files of any of the known formats, or sentences from Python.

Column files and running text are both called .txt, so a file is looked at: it holds columns if nearly all its first
lines have as many fields as those that training saw (or one less: the tag), or end in a tag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from normlab.data.conll import ColumnFile, is_word_line
from normlab.data.corpus import open_sentences
from normlab.data.plain_text import PlainText, sentence_bounds, word_offsets
from normlab.data.sentences import Sentence
from normlab.data.tagging_scheme import is_well_formed
from normlab.data.text_lines import text_lines
from normlab.errors import UserError

Kind = Literal["columns", "columns without tags", "text", "other"]
_SAMPLE = 200
_NEARLY_ALL = 0.8
_DUMMY_TAGS = {"_", "-"}


class Input(NamedTuple):
    """Sentences to tag, streamed, and what they came in."""

    kind: Kind
    sentences: Iterable[Sentence]


def open_input(source: Any, card: Mapping[str, Any], encoding: str = "utf-8") -> Input:
    """Return the sentences of a path, or of Python values: texts, or lists of words.

    Raises: UserError for a path that does not exist.
    """
    if not isinstance(source, str | Path):
        return Input("other", _from_python(source))
    path = Path(source)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a column file, a text, .jsonl or Kaggle's .csv")
    if path.suffix.lower() in {".csv", ".jsonl", ".json"}:
        return Input("other", (_untagged(sentence) for sentence in open_sentences(path)))
    columns = _columns_of(path, list(card["columns"]), encoding)
    if columns is None:
        return Input("text", PlainText(path, encoding=encoding))
    tagged = columns[-1] == "tag"
    # A last column of dummies need not be well-formed tags: it is passed over, not read.
    names = [*columns[:-1], "old_tag"] if tagged else columns
    return Input("columns" if tagged else "columns without tags", ColumnFile(path, columns=names, encoding=encoding))


def _columns_of(path: Path, trained: list[str], encoding: str) -> list[str] | None:
    """Return the columns' names, `tag` last if there are tags; None for running text."""
    rows = _sample(path, encoding)
    width, count = Counter(len(row) for row in rows).most_common(1)[0] if rows else (0, 0)
    if count < _NEARLY_ALL * len(rows):
        return None
    alike = [row for row in rows if len(row) == width]
    if width > 1 and sum(_ends_in_tag(row) for row in alike) >= _NEARLY_ALL * len(alike):
        fits = width == len(trained) and trained[-1] == "tag"
        return trained if fits else list(ColumnFile(path, encoding=encoding).layout().columns)
    if len(rows) < 5 or trained[-1] != "tag":
        return None
    return {len(trained): trained, len(trained) - 1: trained[:-1], 1: ["word"]}.get(width)


def _sample(path: Path, encoding: str) -> list[list[str]]:
    lines = (text for _, text in text_lines(path, encoding) if is_word_line(text))
    return [line.split("\t") if "\t" in line else line.split(" ") for line in map(str.rstrip, islice(lines, _SAMPLE))]


def _ends_in_tag(row: Sequence[str]) -> bool:
    return row[-1] in _DUMMY_TAGS or any(is_well_formed(row[-1], scheme) for scheme in ("bio", "bioes"))


def _untagged(sentence: Sentence) -> Sentence:
    return Sentence(sentence.words, None, sentence.tokens, sentence.number, sentence.line)


def _from_python(source: Iterable[str | Sequence[str]]) -> Iterator[Sentence]:
    number = 0
    for line, entry in enumerate(source, start=1):
        if isinstance(entry, str):
            for start, end in sentence_bounds(entry):
                if offsets := word_offsets(entry, start, end):
                    number += 1
                    words = tuple(entry[a:b] for a, b in offsets)
                    yield Sentence(words, None, words, number, line, tuple(offsets))
        elif entry:
            number += 1
            yield Sentence(tuple(entry), None, tuple(entry), number, line)
