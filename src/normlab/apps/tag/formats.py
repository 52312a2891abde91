"""Tagged text as lines of a file: what other programs read, and what people do.

To add a format: a function from passages to lines, and its name in `FORMATS`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from normlab.apps.tag.passages import Entity, Passage

Format = Callable[[Iterable[Passage], str], Iterator[str]]
"""From passages and their source's name to lines without line ends."""


def format_for(path: Path | None, *, terminal: bool) -> str:
    """Return the format of a file by its suffix; without a file, `text` at a terminal; else `jsonl`."""
    if path is None:
        return "text" if terminal else "jsonl"
    return _SUFFIXES.get(path.suffix.lower(), "jsonl")


def marked(passage: Passage) -> Iterator[tuple[str, Entity | None]]:
    """Yield a line's text in parts, each with the entity that it is, or None."""
    line = passage.line
    place = 0
    for entity in passage.entities:
        yield line.text[place : entity.start - line.start], None
        yield entity.text, entity
        place = entity.end - line.start
    yield line.text[place:], None


def gaps(passages: Iterable[Passage]) -> Iterator[tuple[int, Passage]]:
    """Yield each passage with the number of blank lines before it."""
    last = 0
    for passage in passages:
        yield passage.line.number - last - 1, passage
        last = passage.line.number + passage.line.text.count("\n")


def _text(passages: Iterable[Passage], name: str) -> Iterator[str]:
    """The text itself, entities in brackets with their type: `[Barack Obama per] visited [Paris geo].`"""
    for blank, passage in gaps(passages):
        yield from [""] * blank
        yield "".join(f"[{text} {entity.type}]" if entity else text for text, entity in marked(passage))


def _jsonl(passages: Iterable[Passage], name: str) -> Iterator[str]:
    """An object per sentence, entities with their places in the line, or paragraph, that begins at `line`."""
    for passage in passages:
        for sentence in passage.sentences:
            offset = passage.line.start
            yield _json(
                line=passage.line.number,
                sentence=sentence.number,
                start=sentence.start,
                end=sentence.end,
                text=passage.line.text[sentence.start - offset : sentence.end - offset],
                entities=[entity._asdict() for entity in sentence.entities],
            )


def _spacy(passages: Iterable[Passage], name: str) -> Iterator[str]:
    """An object per line of text, as `displacy.render(..., style="ent", manual=True)` reads it; places in `text`."""
    for passage in passages:
        line = passage.line
        ents = [
            {"start": entity.start - line.start, "end": entity.end - line.start, "label": entity.type.upper()}
            for entity in passage.entities
        ]
        yield _json(text=line.text, ents=ents, title=f"{name}:{line.number}" if name else None)


def _conll(passages: Iterable[Passage], name: str) -> Iterator[str]:
    """`word TAB tag`, and a blank line after each sentence."""
    for passage in passages:
        for sentence in passage.sentences:
            yield from (f"{word}\t{tag}" for word, tag in zip(sentence.words, sentence.tags, strict=True))
            yield ""


def _csv(passages: Iterable[Passage], name: str) -> Iterator[str]:
    """A row per entity, below a header."""
    yield _row(["line", "sentence", *Entity._fields])
    for passage in passages:
        for sentence in passage.sentences:
            for entity in sentence.entities:
                yield _row([passage.line.number, sentence.number, *entity])


def _json(**values: Any) -> str:
    return json.dumps(values, ensure_ascii=False)


def _row(values: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


FORMATS: dict[str, Format] = {"text": _text, "jsonl": _jsonl, "spacy": _spacy, "conll": _conll, "csv": _csv}
_SUFFIXES = {".txt": "text", ".csv": "csv", ".conll": "conll", ".tsv": "conll"}
