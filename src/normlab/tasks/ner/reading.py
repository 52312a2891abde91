"""The input of a prediction: files of any of the known formats, or sentences from Python.

Column files and running text are both called .txt, so the content decides: a file holds columns if nearly all its first
lines have as many fields as the training file (or one less: the tag), or end in a tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from normlab.data.tagging.column_layout import (
    COURSE_COLUMNS,
    NUMBER,
    guess_layout,
    is_tag_or_dummy,
    rows_of,
    signs_of_columns,
    third_repeats_first,
)
from normlab.data.tagging.conll import ColumnFile, sample_lines
from normlab.data.tagging.corpus import format_of
from normlab.data.tagging.plain_text import PlainText, sentences_of
from normlab.data.tagging.sentences import Sentence, SentenceFile, doubts
from normlab.data.text.standard_input import path_of
from normlab.errors import UserError, shortened

Kind = Literal["columns", "columns without tags", "text", "other"]
TEXT = "text"  # given instead of columns: running text
_SENTENCES_TO_CHECK = 200
_FEW = 5  # lines, of which nothing can be concluded


class Input(NamedTuple):
    """Sentences to tag, streamed, the kind of their source, and that kind in words for the user."""

    kind: Kind
    sentences: Iterable[Sentence]
    read_as: str


def open_input(source: Any, card: Mapping[str, Any], encoding: str | None = None, columns: str | None = None) -> Input:
    """Return the sentences of a path, or of Python values: texts, or lists of words.

    Args:
        encoding: of a file; None for UTF-8, cp1252 for Kaggle's CSV.
        columns: of a column file, in order ("word,pos,tag"), or "text" for running text; None looks at the file.
    Raises: UserError for a path that does not exist, and for columns without `word`.
    """
    if not isinstance(source, Iterable | Path):
        raise UserError(f"{shortened(source)} is no text to tag: give a path, or a list of texts or of lists of words")
    if not isinstance(source, str | Path):
        return Input("other", _from_python(source), "sentences")
    path = path_of(Path(source))
    if not path.exists():
        raise UserError(f"{path}: no such file; give a column file, a text, .jsonl or Kaggle's .csv")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give one of its files, a column file, a text, .jsonl or Kaggle's .csv")
    options: dict[str, Any] = {} if encoding is None else {"encoding": encoding}
    file_format = format_of(path)
    if file_format is not ColumnFile and columns is None:
        reader = file_format(path, tagged=False, **options)
        return Input("other", reader, f"{file_format.title}{_doubts(reader)}")
    names = _columns_of(path, list(card["columns"]), encoding or "utf-8") if columns is None else _given(columns)
    if names is None:
        return Input("text", PlainText(path, **options), f"running text{_columns_after_all(path, encoding, columns)}")
    table = ColumnFile(path, columns=names, tagged=False, **options)
    described = "columns " + " ".join(table.columns or ())
    if "tag" in names:
        return Input("columns", table, f"{described}; the old tags are not read{_doubts(table)}")
    return Input("columns without tags", table, f"{described}, without tags{_doubts(table)}")


def _doubts(reader: SentenceFile) -> str:
    """Return warnings about the first sentences. An error in them is raised later, when they are read."""
    try:
        sample = list(islice(reader, _SENTENCES_TO_CHECK))
    except UserError:
        return ""
    return "".join(f"; {doubt}" for doubt in doubts(sample))


def _given(columns: str) -> list[str] | None:
    """Return the columns that the user named; None for running text."""
    if columns.lower() == TEXT:
        return None
    names = columns.lower().replace(",", " ").split()
    if "tag" in names[:-1]:
        raise UserError(
            f"columns '{columns}': only the last column is ever replaced: put `tag` there, or call it something else, "
            "and a column is added"
        )
    return names


def _columns_of(path: Path, trained: list[str], encoding: str) -> list[str] | None:
    """Return the columns' names, `tag` last if there are tags; None for running text."""
    lines = sample_lines(path, encoding)
    _, rows, width = rows_of(lines)
    if not width:
        return None
    alike = [row for row in rows if len(row) == width]
    tagged, numbered = signs_of_columns(alike) if width > 1 else (False, False)
    if tagged or numbered:
        fits = width == len(trained) and trained[-1] == "tag" and numbered == (NUMBER in trained)
        fits = fits and _may_be_as_trained(alike, trained)
        names = trained if fits and tagged else _guessed(lines, path)
        return names if tagged else [name if name != "tag" else f"column{width}" for name in names]
    if len(rows) < _FEW:
        return None
    if width == len(trained) - 1 and not _may_be_as_trained(alike, trained):
        return ["word", *(f"column{number}" for number in range(2, width + 1))]
    if trained[-1] != "tag":  # the tags of the training file are further left, and stay there
        return [name if name != "tag" else "old_tag" for name in trained] if width == len(trained) else None
    return {len(trained): trained, len(trained) - 1: trained[:-1], 1: ["word"]}.get(width)


def _may_be_as_trained(rows: Sequence[Sequence[str]], trained: Sequence[str]) -> bool:
    """Tell whether columns of the training file's number are in its order.

    The course's files have the word third, after a form of it; others of four columns, as CoNLL-2003's, have it first.
    """
    if tuple(trained) != COURSE_COLUMNS or third_repeats_first(rows):
        return True
    return len(rows) < _FEW and not any(is_tag_or_dummy(row[2]) for row in rows)


def _guessed(lines: Sequence[str], path: Path) -> list[str]:
    """Return the guessed columns with `tag`, if there is one, last: no other column is ever replaced."""
    names = list(guess_layout(lines, f"{path}:1").columns)
    return [name if name != "tag" else "old_tag" for name in names[:-1]] + names[-1:]


def _columns_after_all(path: Path, encoding: str | None, columns: str | None) -> str:
    """Return a hint for a text that may hold columns after all: most lines have the same number of words."""
    _, rows, width = rows_of(sample_lines(path, encoding or "utf-8") if columns is None else [])
    if width < 2 or len(rows) < 2:
        return ""
    return f"; most lines have {width} fields: if those are columns, name them (--columns)"


def _from_python(source: Iterable[str | Sequence[str]]) -> Iterator[Sentence]:
    number = 0
    for line, entry in enumerate(source, start=1):
        if isinstance(entry, str):
            for sentence in sentences_of(entry, line, number):
                number = sentence.number
                yield sentence
        elif not isinstance(entry, Sequence) or not all(isinstance(word, str) for word in entry):
            raise UserError(f"input {line} is {shortened(entry)}, no sentence: give a text, or a list of words")
        elif entry:
            number += 1
            yield Sentence(tuple(entry), None, tuple(entry), number, line)
