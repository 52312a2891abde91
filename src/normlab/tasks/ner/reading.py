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

from normlab.data.conll import ColumnFile, Layout, is_word_line
from normlab.data.corpus import open_sentences
from normlab.data.plain_text import PlainText, sentence_bounds, word_offsets
from normlab.data.sentences import Sentence
from normlab.data.tagging_scheme import is_well_formed
from normlab.data.text_lines import text_lines
from normlab.errors import UserError

Kind = Literal["columns", "columns without tags", "text", "other"]
TEXT = "text"  # said instead of columns: it is running text
_SAMPLE = 200
_NEARLY_ALL = 0.8
_DUMMY_TAGS = {"_", "-"}
_BARE = {".csv": "Kaggle's CSV", ".jsonl": "JSON lines", ".json": "JSON lines"}


class Input(NamedTuple):
    """Sentences to tag, streamed, what they came in, and the same in words, for whoever handed them over."""

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
    if not isinstance(source, str | Path):
        return Input("other", _from_python(source), "sentences")
    path = Path(source)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a column file, a text, .jsonl or Kaggle's .csv")
    options: dict[str, Any] = {} if encoding is None else {"encoding": encoding}
    bare = _BARE.get(path.suffix.lower())
    if bare is not None and columns is None:
        return Input("other", open_sentences(path, tagged=False, **options), bare)
    names = _columns_of(path, list(card["columns"]), encoding or "utf-8") if columns is None else _given(columns)
    if names is None:
        return Input("text", PlainText(path, **options), f"running text{_doubt(path, encoding, columns)}")
    reader = ColumnFile(path, columns=names, tagged=False, **options)
    said = "columns " + " ".join(reader.columns or ())
    if "tag" in names:
        return Input("columns", reader, f"{said}; the old tags are not read")
    return Input("columns without tags", reader, f"{said}, without tags")


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
    rows, width = _rows_alike(path, encoding)
    if not width:
        return None
    alike = [row for row in rows if len(row) == width]
    if width > 1 and sum(_ends_in_tag(row) for row in alike) >= _NEARLY_ALL * len(alike):
        fits = width == len(trained) and trained[-1] == "tag"
        return trained if fits else list(ColumnFile(path, encoding=encoding).layout().columns)
    if len(rows) < 5:
        return None
    if trained[-1] != "tag":  # the tags that training read stand further left, and stay there
        return [name if name != "tag" else "old_tag" for name in trained] if width == len(trained) else None
    return {len(trained): trained, len(trained) - 1: trained[:-1], 1: ["word"]}.get(width)


def _doubt(path: Path, encoding: str | None, columns: str | None) -> str:
    """Return a hint for a file that may yet hold columns: every line has as many words as the others."""
    rows, width = _rows_alike(path, encoding or "utf-8") if columns is None else ([], 0)
    if width < 2 or len(rows) < 2:
        return ""
    return f"; most lines have {width} fields: if those are columns, name them (--columns)"


def _rows_alike(path: Path, encoding: str) -> tuple[list[list[str]], int]:
    """Return the first lines' fields, and how many nearly all lines have; 0 if their numbers differ."""
    lines = (text for _, text in text_lines(path, encoding) if is_word_line(text))
    rows = [Layout("\t" if "\t" in line else " ", ()).split(line) for line in islice(lines, _SAMPLE)]
    width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
    return rows, width if count >= _NEARLY_ALL * len(rows) else 0


def _ends_in_tag(row: Sequence[str]) -> bool:
    return row[-1] in _DUMMY_TAGS or any(is_well_formed(row[-1], scheme) for scheme in ("bio", "bioes"))


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
