"""What a question says about its query, as rules ask for it: what is wanted, what words name, what columns hold."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from normlab.data.sql.schema import Schema
from normlab.data.text.word_forms import Token, is_word, words_of
from normlab.tasks.text2sql.corrections.contents import Contents
from normlab.tasks.text2sql.corrections.ways import shortest_ways
from normlab.tasks.text2sql.linking.linker import PARTIAL, STEM, Linked
from normlab.tasks.text2sql.linking.numbers import numbers_in
from normlab.tasks.text2sql.linking.values import ValueCandidate

_BEGIN = {"what", "which", "who", "list", "show", "give", "find", "display", "name", "return", "tell", "whose"}
_SKIPPED = frozenset(
    re.findall(
        r"\w+",
        """
        is are was were the a an all of me us s different distinct each every please do does out
        """,
    )
)
_END = frozenset(
    re.findall(
        r"\w+",
        """
        of in on at with without that who which whose where when for from by have has had having do does did
        is are was were be been to ordered sorted order sort since before after between during more less
        than not never no can will their its as per each
        """,
    )
)
_VERBS = frozenset(
    re.findall(
        r"\w+",
        """
        won made sold bought got wrote took went came ran built held gave met spent paid cost costs sent lost led
        drove flew taught lent earn earns own owns weigh weighs teach teaches live lives born
        """,
    )
)
EACH = ("each", "every", "per")
CERTAIN = ("cell", "number", "quoted", "date")
"""Kinds of values that are not merely words which may be one."""
WHOLE_ROWS = frozenset(
    re.findall(
        r"\w+",
        """
        information info detail details everything record records row rows data description column columns
        attribute attributes
        """,
    )
)
"""Words that ask for all columns."""


@dataclass(frozen=True)
class Wanted:
    """The words that say what is asked for, [start, end), and what they name: tables, and columns that are no table."""

    start: int
    end: int
    by: str  # the word that asks: which, who, list, ...; "how many" for a count
    tables: tuple[int, ...]
    columns: tuple[int, ...]


class Evidence:
    """A question over a schema.

    Args:
        linked: what its words name.
        schema: the schema that `linked` is about.
        contents: what its columns hold.
        today: for ages; the machine's day if None.

    Attributes:
        foreign: columns that refer to another table.
    """

    def __init__(self, linked: Linked, schema: Schema, contents: Contents, today: datetime.date | None = None) -> None:
        self.linked, self.schema, self.contents = linked, schema, contents
        self.today = today or datetime.date.today()
        self.words = linked.words
        self.foreign = {child for child, _ in schema.foreign_keys}

    def tables_at(self, places: Iterable[int], kind: int = STEM) -> tuple[int, ...]:
        """Return the tables that some words name at least so well, in the order of the words."""
        return tuple(dict.fromkeys(int(n) for p in places for n in (self.linked.table_links[p] >= kind).nonzero()[0]))

    def columns_at(self, places: Iterable[int], kind: int = STEM) -> tuple[int, ...]:
        """Return the columns that some words name at least so well, in the order of the words."""
        return tuple(dict.fromkeys(int(n) for p in places for n in (self.linked.column_links[p] >= kind).nonzero()[0]))

    def named(self, column: int, kind: int = PARTIAL) -> bool:
        """Tell whether any word names a column."""
        return bool((self.linked.column_links[:, column] >= kind).any())

    def asked(self, column: int) -> bool:
        """Tell whether a word of what is asked for names a column, at least in part, and no table."""
        wanted = self.wanted
        places = range(wanted.start, wanted.end) if wanted else ()
        return any(
            column in self.columns_at([at], PARTIAL) and not self.tables_at([at]) and not self._is_attribute(at)
            for at in places
        )

    def _is_attribute(self, place: int) -> bool:
        """Whether a word says which rows are meant, not which column: "the highest rated movie" asks for no rating."""
        return self.words[place].endswith("ed") and place + 1 < len(self.words) and bool(self.tables_at([place + 1]))

    def says(self, *words: str) -> bool:
        """Tell whether the question has one of some words."""
        return any(word in self.words for word in words)

    @cached_property
    def wanted(self) -> Wanted | None:
        """What the question asks for; None where its form is another one."""
        words = self.words
        if "how" in words and words.index("how") + 1 < len(words) and words[words.index("how") + 1] in ("many", "much"):
            start = words.index("how") + 2
            by = "how many"
        else:
            first = next((place for place, word in enumerate(words) if word in _BEGIN), None)
            if first is None:
                return None
            start, by = first + 1, words[first]
        while start < len(words) and (words[start] in _SKIPPED or words[start] == by):
            start += 1
        counts = words[start : start + 2] in (("number", "of"), ("count", "of")) or self.percentage_at == start
        if by != "how many" and counts and not (self.columns_at([start]) and words[start + 2 : start + 3] == ("the",)):
            by, start = "how many", start + 2
            while start < len(words) and words[start] in _SKIPPED:
                start += 1
        places = range(start, self._end_of_noun(start))
        tables = self.tables_at(places)
        columns = self.columns_at(at for at in places if not self.tables_at([at]) and not self._is_attribute(at))
        verb = words[start] if start < len(words) else ""
        is_verb = verb in _VERBS or verb.endswith("ed") or (verb.endswith("s") and not tables)
        if by == "who" and is_verb:  # "who sent the message" asks for no message
            places, tables, columns = range(start, start), (), ()
        return Wanted(start, places.stop, by, tables, columns)

    @cached_property
    def percentage_at(self) -> int | None:
        """The word that asks for a part of rows, "percentage of" or "share of"; None where it is a column's name."""
        for place in range(len(self.words) - 1):
            if self.words[place] in _PARTS and self.words[place + 1] == "of" and not self.columns_at([place], PARTIAL):
                number = place - 1 in self.numbers and self.numbers[place - 1] != "1"
                return None if number else place
        return None

    def _end_of_noun(self, start: int) -> int:
        """The first word behind the noun that begins somewhere after `start`: a preposition, a verb, an article."""
        words, named = self.words, False
        for place in range(start, len(words)):
            said = words[place]
            if said in _END or (not is_word(said) and said not in ",'-"):
                return place
            if named and (said in _VERBS or said in ("the", "most", "least", "a", "an")):
                return place
            if named and said.endswith("ed") and self.tables_at([place - 1]):
                return place
            named = named or bool(self.tables_at([place]) or self.columns_at([place]))
        return len(words)

    def label(self, table: int) -> tuple[int, ...]:
        """Return the columns by which people know a table's rows: name, title; first and last name; () for none."""
        columns = [c for c in self.schema.columns_of(table) if self.is_text(c) and c not in self.foreign]
        words = {column: words_of(self.schema.columns[column].natural) or [""] for column in columns}
        own = set(words_of(self.schema.tables[table].natural))
        own |= {word.removesuffix("s") for word in own}
        for wanted in (
            lambda w: w in (["name"], ["title"], ["full", "name"]),
            lambda w: w[-1] in ("name", "title") and set(w[:-1]) <= own | {"full", "display"} and len(w) > 1,
            lambda w: len(w) == 1 and w[0].endswith("name") and w[0] not in ("firstname", "lastname", "surname"),
        ):
            if found := [column for column in columns if wanted(words[column])]:
                return (found[0],)
        first = [c for c in columns if words[c] in (["first", "name"], ["firstname"], ["fname"], ["forename"])]
        last = [
            c
            for c in columns
            if words[c] in (["last", "name"], ["lastname"], ["lname"], ["surname"], ["family", "name"])
        ]
        if first and last:
            return (first[0], last[0])
        for column in columns:
            if self.is_key(column) or words[column][-1] in _NO_LABELS:
                continue
            if words[column][-1] in _LABELS or set(words[column]) & own:
                return (column,)
        telling = [c for c in columns if not set(words[c]) & _NO_LABELS and not self.is_key(c)]
        unique = [column for column in telling if self.contents.is_unique(column)]
        return tuple(unique[:1])

    def is_text(self, column: int) -> bool:
        """Tell whether a column holds texts that are no dates and no yes or no."""
        kind = self.schema.columns[column].type
        if kind not in ("text", "others") or self.contents.is_date(column) or self.contents.flags(column):
            return False
        return self.contents.holds_text(column)

    def is_key(self, column: int) -> bool:
        """Tell whether a column is a primary key or refers to one."""
        return (
            column in self.schema.primary_keys
            or column in self.foreign
            or column in {b for _, b in self.schema.foreign_keys}
        )

    def key_of(self, table: int) -> int | None:
        """Return the column that tells a table's rows apart and that others refer to; None without one."""
        primary = [c for c in self.schema.primary_keys if self.schema.columns[c].table == table]
        if len(primary) == 1:
            return primary[0]
        referred = {b for _, b in self.schema.foreign_keys if self.schema.columns[b].table == table}
        return min(referred) if len(referred) == 1 else None

    def parents(self, table: int) -> Iterator[tuple[int, int, int]]:
        """Yield (own column, referred column, referred table) of a table's keys."""
        for child, parent in self.schema.foreign_keys:
            if self.schema.columns[child].table == table:
                yield child, parent, self.schema.columns[parent].table

    def way(self, tables: tuple[int, ...], target: int) -> tuple[int, ...] | None:
        """Return the tables with the fewest others added so that keys join `target` to them; None if none do."""
        ways = shortest_ways(self.schema, tables, target)
        return (*tables, *ways[0]) if ways else None

    def values_of(self, sql: str) -> list[ValueCandidate]:
        """Return the candidates of the question with an SQL text, those in words first."""
        found = [value for value in self.linked.values if value.sql == sql and value.end]
        return found or [value for value in self.linked.values if value.sql.strip("'") == sql.strip("'") and value.end]

    @cached_property
    def numbers(self) -> dict[int, str]:
        """First word of each number -> the number."""
        tokens = [Token(text, 0, 1) for text in self.linked.texts]
        return {start: sql for sql, start, _ in numbers_in(tokens)}

    def full_name(self, column: int) -> str:
        """Return "table.column"."""
        one = self.schema.columns[column]
        return f"{self.schema.tables[one.table].name}.{one.name}" if one.table >= 0 else one.name


_PARTS = ("percentage", "percent", "%", "share", "proportion", "fraction")
_LABELS = ("name", "title", "label", "description", "caption", "designation")
_NO_LABELS = frozenset(
    re.findall(
        r"\w+",
        """
        id code no number key phone email mail address street city town country state zip date time type
        kind status gender sex category color colour position species job role nationality language lang
        location place comment notes url
        """,
    )
)
