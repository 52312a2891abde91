"""What a section is made of: text, tables, figures, folded parts. Data only; the templates draw them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import plotly.graph_objects as go

from normlab.report.palette import Style


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        detail: shown small below the text: an interval's half width, a count.
        sort: the key for sorting; empty: the text.
        hint: shown on hover.
        style: puts a sample of the variant's line before the text.
        strong: the best of its column.
    """

    text: str
    detail: str = ""
    sort: str = ""
    hint: str = ""
    style: Style | None = None
    strong: bool = False


@dataclass(frozen=True)
class Column:
    """A table's column; neighbours with the same `group` share a heading above theirs."""

    title: str
    group: str = ""
    numeric: bool = True
    hint: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; `tone` is plain, lead, note or warning."""

    kind: ClassVar[str] = "text"
    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: list[str]


@dataclass(frozen=True)
class Answer:
    """A claim with its verdict: confirmed, refuted or undecided."""

    verdict: str
    claim: str
    sentence: str
    source: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """Claims, each with its verdict and what the numbers say."""

    kind: ClassVar[str] = "answers"
    items: list[Answer]


@dataclass(frozen=True)
class Advice:
    """What to use in a setting, why, and where that may not hold."""

    kind: ClassVar[str] = "advice"
    choice: str
    setting: str
    style: Style | None
    reasons: list[str]
    limits: list[str]


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns; scrolls in its own box where it is too wide."""

    kind: ClassVar[str] = "table"
    name: str
    columns: list[Column]
    rows: list[list[Cell]]
    caption: str = ""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Return the shared headings with the number of columns under each."""
        counted: list[tuple[str, int]] = []
        for column in self.columns:
            if counted and counted[-1][0] == column.group:
                counted[-1] = (column.group, counted[-1][1] + 1)
            else:
                counted.append((column.group, 1))
        return counted


@dataclass(frozen=True)
class Key:
    """An entry of a figure's legend, which switches the traces of some `legendgroup`s: its own, if none is given."""

    label: str
    style: Style
    groups: tuple[str, ...] = ()

    @property
    def switched(self) -> list[str]:
        """The groups that it switches."""
        return list(self.groups or (self.label,))


@dataclass(frozen=True)
class Figure:
    """A plotly figure with its heading, legend and caption."""

    kind: ClassVar[str] = "figure"
    name: str
    title: str
    figure: go.Figure
    keys: list[Key] = field(default_factory=list)
    caption: str = ""


@dataclass(frozen=True)
class Piece:
    """Some words of a sentence; `type` makes them an entity, `wrong` one that the other line does not have."""

    text: str
    type: str = ""
    color: str = ""
    wrong: bool = False


@dataclass(frozen=True)
class MarkedLine:
    """A sentence as one side sees it: "gold" or "predicted"."""

    label: str
    pieces: list[Piece]


@dataclass(frozen=True)
class MarkedSentence:
    """The same sentence in several lines."""

    caption: str
    lines: list[MarkedLine]


@dataclass(frozen=True)
class MarkedSentences:
    """Sentences with their entities marked, under a key of types and colours."""

    kind: ClassVar[str] = "sentences"
    name: str
    colors: dict[str, str]
    items: list[MarkedSentence]


VERDICTS = {"right": "right", "rows": "right rows, other SQL", "wrong": "wrong"}


@dataclass(frozen=True)
class Query:
    """A question with its gold and its predicted SQL.

    Attributes:
        verdict: one of `VERDICTS`.
        facts: what else is known of it, one line each: names that were linked, the error.
        gold, predicted: the two queries; pieces with `wrong` are not in the other one.
        alternatives: (score, SQL) of the beam's other hypotheses, best first.
        gold_rows, predicted_rows: the first rows that each returns, as text; None where they are not known.
    """

    question: str
    database: str
    level: str
    verdict: str
    facts: list[tuple[str, str]]
    gold: list[Piece]
    predicted: list[Piece]
    alternatives: list[tuple[str, str]]
    gold_rows: list[list[str]] | None
    predicted_rows: list[list[str]] | None


@dataclass(frozen=True)
class Queries:
    """Queries to look through by verdict, level, database and any word."""

    kind: ClassVar[str] = "queries"
    name: str
    items: list[Query]

    @property
    def databases(self) -> list[str]:
        """The databases that occur, sorted."""
        return sorted({item.database for item in self.items})

    @property
    def levels(self) -> list[str]:
        """The levels that occur, in the order of the items' first."""
        return list(dict.fromkeys(item.level for item in self.items if item.level))


@dataclass(frozen=True)
class Picture:
    """A small image.

    Attributes:
        png: the file in base64.
        title, caption: the two lines below it.
        hint: shown on hover.
    """

    png: str
    title: str
    caption: str
    hint: str = ""


@dataclass(frozen=True)
class Gallery:
    """Small images in rows, each with two lines below it."""

    kind: ClassVar[str] = "gallery"
    name: str
    items: list[Picture]


@dataclass(frozen=True)
class Folded:
    """Blocks behind a line that opens them."""

    kind: ClassVar[str] = "folded"
    title: str
    blocks: list[Block]


Block = Text | Bullets | Answers | Advice | Table | Figure | MarkedSentences | Queries | Gallery | Folded


@dataclass(frozen=True)
class Section:
    """A part of the report with its place in the table of contents."""

    slug: str
    title: str
    blocks: list[Block]
    help: str = ""  # how to read this
