"""Which words of a question name which tables, columns and cells, and which constants a query may name.

Names are compared by n-grams, longest first, as written (EXACT), by their stems (STEM), and by a part of
the name (PARTIAL); a word keeps its best link to each name (Wang et al. 2020, RAT-SQL, section 4.3). Cells are
looked up in an index, never scanned. Everything is a pure function of question, schema and index.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from normlab.data.sql.cells import MAX_WORDS, Cell, CellIndex, cell_key
from normlab.data.sql.dictionary import FurtherNames
from normlab.data.sql.schema import Schema, split_words
from normlab.data.text.word_forms import Token, are_forms_of_one_word, fold, is_word, stem, tokens_of, words_of
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.text2sql.linking.nationalities import SAID_AS
from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS
from normlab.tasks.text2sql.linking.values import CellMatch, ValueCandidate, find_values, gold_value

__all__ = ["EXACT", "MATCHES", "NONE", "PARTIAL", "STEM", "Linked", "Linker", "ValueCandidate", "gold_value"]

NONE, PARTIAL, STEM, EXACT = range(4)
MATCHES = ("none", "partial", "stem", "exact")
"""Names of the match kinds, by their numbers; a higher one is the better match."""
MAX_QUESTION_WORDS = 256
"""Longer questions are cut here: the longest of Spider has about 50 words, and relations cost words squared."""


@dataclass(frozen=True, eq=False)
class Linked:
    """A question and what its Q words name in a schema of T tables and C columns, `*` included.

    Attributes:
        question: the text as given.
        words: its tokens, folded (lower case, no accents); punctuation marks are tokens too.
        texts: the tokens as written.
        spans: first character of each token in `question`, and the one after its last.
        table_links: uint8 (Q, T), one of NONE, PARTIAL, STEM, EXACT.
        column_links: uint8 (Q, C), likewise.
        cell_links: bool (Q, C): the word is part of an n-gram that is a cell of the column.
        values: constants that the query may name.
    """

    question: str
    words: tuple[str, ...]
    texts: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    table_links: npt.NDArray[np.uint8]
    column_links: npt.NDArray[np.uint8]
    cell_links: npt.NDArray[np.bool_]
    values: tuple[ValueCandidate, ...]


class Linker:
    """Links questions to one schema.

    Args:
        schema: the tables and columns.
        cells: the database's cells; an empty index links by names alone.
        further: what else they are called, by a data dictionary.

    Attributes:
        has_cells: whether there are any.
        unknown_cells: of `further`, those that the database was not seen to have; none without cells.
    """

    def __init__(self, schema: Schema, cells: CellIndex | None = None, further: FurtherNames | None = None) -> None:
        self.schema = schema
        self._cells = cells if cells is not None else CellIndex()
        self.has_cells = bool(self._cells)
        self._flags = [cell for cells in self._cells.lookup(_FLAGS).values() for cell in cells if not cell.number]
        self._called = _called(further)
        said = dict.fromkeys(cell for cells in self._called.values() for cell in cells)
        self.unknown_cells = tuple(cell for cell in said if self.has_cells and not self._cells.holds(cell))
        tables = [(table.natural, split_words(table.name)) for table in schema.tables]
        columns = [(c.natural, split_words(c.name)) if c.table >= 0 else () for c in schema.columns]
        if further is None:
            self._tables, self._columns = _Names(tables), _Names(columns)
        else:
            self._tables = _Names([a + b for a, b in zip(tables, further.tables, strict=True)], further.table_parts)
            self._columns = _Names([a + b for a, b in zip(columns, further.columns, strict=True)], further.column_parts)

    def link(self, question: str) -> Linked:
        """Link a question. One of more than `MAX_QUESTION_WORDS` words is cut there, with a warning.

        Raises: `UserError` if it has no words.
        """
        tokens = tokens_of(question)
        if not any(is_word(token.text) for token in tokens):
            raise UserError(f"the question {question[:40]!r} has no words: ask for something in the database")
        if len(tokens) > MAX_QUESTION_WORDS:
            warnings.warn(
                f"a question of {plural(len(tokens), 'word')} was cut after {MAX_QUESTION_WORDS}: ask a shorter one",
                stacklevel=2,
            )
            tokens = tokens[:MAX_QUESTION_WORDS]
        folded = [fold(token.text) for token in tokens]
        tables, columns = self._tables.link(folded), self._columns.link(folded)
        matches = [*self._match_cells(tokens, folded, tables), *self._match_flags(folded, columns)]
        cells = np.zeros(columns.shape, dtype=bool)
        for match in matches:
            cells[match.start : match.end, match.cell.column] = True
        named = (np.maximum(tables.max(1, initial=0), columns.max(1, initial=0)) >= STEM).tolist()
        return Linked(
            question=question,
            words=tuple(folded),
            texts=tuple(token.text for token in tokens),
            spans=tuple((token.start, token.end) for token in tokens),
            table_links=tables,
            column_links=columns,
            cell_links=cells,
            values=find_values(question, tokens, matches, named, has_cells=self.has_cells),
        )

    def _tables_beside(
        self, start: int, end: int, words: Sequence[str], tables: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.intp]:
        """The tables that the noun behind an adjective names, or all that are named where it says "from"."""
        if end < len(words) and (tables[end] >= STEM).any():
            return (tables[end] >= STEM).nonzero()[0]
        if start and words[start - 1] == "from":
            return np.unique((tables >= STEM).nonzero()[1])
        return np.zeros(0, dtype=np.intp)

    def _match_cells(
        self, tokens: Sequence[Token], folded: Sequence[str], tables: npt.NDArray[np.uint8]
    ) -> Iterator[CellMatch]:
        """Look every n-gram up at once. A match inside a longer one of the same column says nothing new."""
        places = [index for index, word in enumerate(folded) if is_word(word)]
        words = [folded[index] for index in places]
        silent = [_says_nothing(tokens[index].text) for index in places]
        ngrams: dict[tuple[int, int], str] = {}
        for size in range(min(MAX_WORDS, len(places)), 0, -1):
            for first in range(len(places) - size + 1):
                last = first + size - 1
                if not all(silent[first : last + 1]):
                    ngrams[places[first], places[last] + 1] = cell_key(words[first : last + 1])
        others = [other for key in ngrams.values() for other in SAID_AS.get(key, ())]
        cells = self._cells.lookup(dict.fromkeys([*ngrams.values(), *others]))
        taken: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for (start, end), key in ngrams.items():
            named = [word for word in folded[start:end] if is_word(word)]
            own = [*(cell for cell in cells.get(key, ()) if _are_the_words(named, cell)), *self._called.get(key, ())]
            meant = [cell for other in SAID_AS.get(key, ()) for cell in cells.get(other, ())]
            if own:  # a word that is a cell itself means another one only beside the table that has it
                beside = self._tables_beside(start, end, folded, tables)
                known = {cell.column for cell in own}
                meant = [c for c in meant if c.column not in known and self.schema.columns[c.column].table in beside]
            for cell in (*own, *meant):
                longer = taken[cell.column]
                if (start, end) in longer or not any(a <= start and end <= b for a, b in longer):
                    longer.append((start, end))
                    yield CellMatch(start, end, cell, exact=words_of(cell.text) == named)

    def _match_flags(self, words: Sequence[str], links: npt.NDArray[np.uint8]) -> Iterator[CellMatch]:
        """Flags that no question spells out: F for "female", and T or Y where a word names the column itself."""
        for cell in self._flags:
            for at, word in enumerate(words):
                spelt = _FLAG_WORDS.get(fold(cell.text), ())
                if word in spelt or (not spelt and links[at, cell.column] >= PARTIAL):
                    yield CellMatch(at, at + 1, cell, exact=False)
                    break


_FLAG_WORDS = {
    **dict.fromkeys(("f", "female"), ("female", "females", "woman", "women", "girl", "girls")),
    **dict.fromkeys(("m", "male"), ("male", "males", "man", "men", "boy", "boys")),
}
_FLAGS = (*_FLAG_WORDS, "t", "y", "n", "yes", "no", "true", "false")


def is_flag_word(cell: str, word: str) -> bool:
    """Tell whether a word of a question says a cell of one letter: "women" for F."""
    return word in _FLAG_WORDS.get(fold(cell), ())


def _called(further: FurtherNames | None) -> Mapping[str, list[Cell]]:
    """Return the cells that a dictionary's synonyms stand for, by their keys."""
    called: defaultdict[str, list[Cell]] = defaultdict(list)
    for synonym, cell in further.cells if further is not None else ():
        called[cell_key(words_of(synonym)[:MAX_WORDS])].append(cell)
    return called


def _are_the_words(named: Sequence[str], cell: Cell) -> bool:
    """Whether words of a cell's stems are its words in some form: "tomes" is not 'Tom'."""
    words = words_of(cell.text)
    return cell.number or len(words) != len(named) or all(map(are_forms_of_one_word, named, words))


def _says_nothing(text: str) -> bool:
    """Whether a word names no cell by itself: a stop word or one letter, in lower case."""
    return text.islower() and (len(text) == 1 or text in STOP_WORDS)


class _Names:
    """Names by their n-grams: whole names, and parts of them.

    Args:
        names: of each item all its names.
        parts: of each item a text whose words count as parts of a name; stop words do not.
    """

    def __init__(self, names: Sequence[tuple[str, ...]], parts: Sequence[str] = ()) -> None:
        self._size = len(names)
        self._whole: defaultdict[str, list[tuple[int, tuple[str, ...]]]] = defaultdict(list)
        self._parts: defaultdict[str, set[int]] = defaultdict(set)
        self._longest = 1
        words_in = cache(lambda text: tuple(words_of(text)))  # many tables have columns of the same names
        for item, texts in enumerate(names):
            for words in {words_in(text) for text in texts} - {()}:
                self._add(item, words)
        for item, text in enumerate(parts):
            for word in words_in(text):
                if word not in STOP_WORDS:
                    self._parts[stem(word)].add(item)

    def _add(self, item: int, words: tuple[str, ...]) -> None:
        words = words[:MAX_WORDS]
        self._longest = max(self._longest, len(words))
        stems = [stem(word) for word in words]
        self._whole[" ".join(stems)].append((item, words))
        for size in range(1, len(words)):
            for first in range(len(words) - size + 1):
                if size > 1 or words[first] not in STOP_WORDS:
                    self._parts[" ".join(stems[first : first + size])].add(item)

    def link(self, words: Sequence[str]) -> npt.NDArray[np.uint8]:
        """Return the match kind of each word and item, (Q, items)."""
        links = np.zeros((len(words), self._size), dtype=np.uint8)
        places = [index for index, word in enumerate(words) if is_word(word)]
        stems = [stem(words[index]) for index in places]
        for size in range(min(self._longest, len(places)), 0, -1):
            for first in range(len(places) - size + 1):
                key = " ".join(stems[first : first + size])
                inside = places[first : first + size]
                for item in self._parts.get(key, ()):
                    links[inside, item] = np.maximum(links[inside, item], PARTIAL)
                for item, name in self._whole.get(key, ()):
                    kind = EXACT if tuple(words[index] for index in inside) == name else STEM
                    links[inside, item] = np.maximum(links[inside, item], kind)
        return links
