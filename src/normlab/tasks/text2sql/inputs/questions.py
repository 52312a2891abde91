"""From a question and its database to an `Item`: what training and prediction share.

A `Questions` knows the words and the schemas of a run's card; schemas, cell indexes and grammars are made ready on
first use. A database whose file is missing or cannot be read is linked by names alone, which `missing` remembers, and
columns that cannot be read stand in `left_out` by database.
"""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from normlab.data.sql.cells import CellIndex, index_cells
from normlab.data.sql.dictionary import Dictionary, FurtherNames
from normlab.data.sql.inferred_keys import infer_keys
from normlab.data.sql.part_of_schema import part_of
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import find_database
from normlab.data.sql.text_numbers import typed_by_cells
from normlab.data.sql.thesaurus import further_names, together
from normlab.data.text.vocabulary import Vocabulary
from normlab.errors import UserError, did_you_mean
from normlab.nn.pretrained import WordPieces
from normlab.tasks.text2sql.evaluation import ParseError
from normlab.tasks.text2sql.grammar.masks import Automaton
from normlab.tasks.text2sql.inputs.encoding import Item, Names, SchemaCodes
from normlab.tasks.text2sql.inputs.gold import OutsideGrammarError, gold_of
from normlab.tasks.text2sql.inputs.items import item_of
from normlab.tasks.text2sql.inputs.schemas_of_card import SchemasOfCard
from normlab.tasks.text2sql.inputs.serialize import LIMIT, PieceCoder, Serialized, serialize
from normlab.tasks.text2sql.linking.choosing import TableChooser, is_large, linked_within
from normlab.tasks.text2sql.linking.linker import Linked, Linker


class Questions:
    """Encodes questions over the schemas that it knows.

    Args:
        words: the vocabulary's words, without the special ones.
        schemas: db_id -> schema.
        databases: folder of <db_id>/<db_id>.sqlite, None for none.
        linking: none, names or cells.
        coder: of a pretrained encoder, None for none; limit: most pieces that it takes.
        everyday: tables and columns have the names of `data/sql/thesaurus.py` too. Training and the measurement of
            its splits go by the schemas' own names, questions of users by both.
    """

    def __init__(
        self,
        words: Sequence[str],
        schemas: Mapping[str, Schema],
        databases: Path | None,
        linking: str,
        coder: PieceCoder | None = None,
        limit: int = LIMIT,
        *,
        everyday: bool = False,
    ) -> None:
        self.vocabulary = Vocabulary(words)
        self.names = Names(self.vocabulary)
        self.databases = databases
        self.missing: set[str] = set()
        self.left_out: dict[str, tuple[str, ...]] = {}
        self._linking = linking
        self._coder, self._limit = coder, limit
        self._everyday = everyday
        self._schemas: ChainMap[str, Schema] = ChainMap({}, schemas)  # type: ignore[arg-type]  # the first is written
        self._files: dict[str, Path] = {}
        self._closed: set[str] = set()
        self._further: dict[str, FurtherNames] = {}
        self._number: dict[str, int] = {}
        self._codes: list[SchemaCodes] = []
        self._automata: list[Automaton] = []
        self._linkers: dict[str, Linker] = {}
        self._links: dict[tuple[str, str], Linked] = {}  # of the latest questions, which the rules ask for again
        self._choosers: dict[str, TableChooser] = {}
        self._parts: dict[tuple[str, tuple[int, ...]], tuple[int, np.ndarray]] = {}
        self._read: dict[int, tuple[tuple[int, ...], np.ndarray]] = {}  # of a part's number, its tables and columns

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """db_id -> schema."""
        return self._schemas

    def add_database(
        self,
        path: Path,
        tables: Sequence[str] = (),
        *,
        look_inside: bool = True,
        dictionary: Dictionary | None = None,
    ) -> str:
        """Take an SQLite file in as one more database; return its name here, which is its path.

        Keys that it does not declare are inferred, of a large schema among the tables of each question. What of it
        cannot be read is left out, with a warning that names it.

        Args:
            tables: names of the tables to look at, all if there are none.
            look_inside: False infers no keys, which takes values.
            dictionary: what else its tables, columns and values are called.
        Raises: UserError if it is no database, nothing of it can be read, or it has no table of such a name, or none
            of a name of the dictionary.
        """
        name = str(path)
        if name not in self._schemas:
            schema = Schema.from_sqlite(path, name)
            if dictionary is not None:
                dictionary.check(schema)
            if tables:
                schema, _ = part_of(schema, [_table_number(schema, table, path) for table in tables])
            if not look_inside:
                self._closed.add(name)
            infers = look_inside and not is_large(schema)
            if infers and self._everyday:
                schema = typed_by_cells(path, schema)
            self._schemas[name] = infer_keys(path, schema) if infers else replace(schema, inferred_keys=())
            self._files[name] = path
            if dictionary is not None:
                self._further[name] = dictionary.names_of(schema)
            if schema.left_out:
                warnings.warn(f"{path}: left out: {'; '.join(schema.left_out)}", stacklevel=2)
        return name

    def file(self, db_id: str) -> Path | None:
        """Return a database's file, if it is there."""
        if db_id in self._files:
            return self._files[db_id]
        return None if self.databases is None else find_database(self.databases, db_id)

    def opened(self, db_id: str) -> Path | None:
        """Return the file of a database that `add_database` took in and may look inside of; None for any other."""
        return None if db_id in self._closed else self._files.get(db_id)

    def has_cells(self, db_id: str) -> bool:
        """Return whether contents of a database are linked."""
        return self._linker(db_id).has_cells

    def unknown_cells(self, db_id: str) -> list[str]:
        """Return values of its dictionary that a database was not seen to have, as "table.column: value"."""
        schema = self._schemas[db_id]
        cells = self._linker(db_id).unknown_cells
        columns = [schema.columns[cell.column] for cell in cells]
        return [f"{schema.tables[c.table].name}.{c.name}: {cell.text}" for c, cell in zip(columns, cells, strict=True)]

    def link(self, question: str, db_id: str) -> Linked:
        """Return what a question's words name.

        Raises: UserError for an unknown database, or a question without words.
        """
        linked = self._links.get((question, db_id))
        if linked is None:
            linked = self._linker(db_id).link(question)
            if self._linking == "none":
                arrays = {name: np.zeros_like(getattr(linked, name)) for name in _LINK_ARRAYS}
                linked = replace(linked, **arrays)
            if not is_large(self._schemas[db_id]):
                while len(self._links) >= _MOST_LINKS:
                    del self._links[next(iter(self._links))]
                self._links[question, db_id] = linked
        return linked

    def encode(self, question: str, db_id: str, gold: str | None = None) -> tuple[Item, str]:
        """Return a question as an item, and why its gold query cannot be learned, "" if it can or if there is none.

        Of a large schema the item has the tables that the question may be about, unless there is gold.
        """
        linked = self.link(question, db_id)
        if gold is None and is_large(self._schemas[db_id]):
            return self._item_of_part(linked, db_id), ""
        item = self._item(linked, self.database(db_id))
        if gold is None:
            return item, ""
        try:
            return replace(item, gold=gold_of(gold, self._automata[item.db], item.values, linked)), ""
        except (OutsideGrammarError, ParseError) as error:
            return item, str(error)

    def as_read(self, linked: Linked, item: Item) -> Linked:
        """Return a question's links to the tables that its item has: of a large schema these are some."""
        part = self._read.get(item.db)
        return linked if part is None else linked_within(linked, *part)

    def texts(self, items: Sequence[Item], shown: Sequence[np.ndarray] | None = None) -> list[Serialized]:
        """Return questions as word pieces, none if there is no pretrained encoder.

        Args:
            shown: the items to show; the tables among them are written in their order, hidden ones not at all.
        """
        if self._coder is None:
            return []
        texts = []
        for index, item in enumerate(items):
            assert item.linked is not None
            schema = self._automata[item.db].schema
            order = None if shown is None else [int(table) for table in shown[index] if table < len(schema.tables)]
            texts.append(serialize(item.linked, schema, self._coder, limit=self._limit, order=order))
        return texts

    def codes(self, item: Item) -> SchemaCodes:
        """Return an item's schema as arrays."""
        return self._codes[item.db]

    def automaton(self, item: Item) -> Automaton:
        """Return the grammar of an item's schema."""
        return self._automata[item.db]

    def database(self, db_id: str) -> int:
        """Return a database's number.

        Raises: UserError with the nearest name if it is unknown.
        """
        if db_id not in self._number:
            self._number[db_id] = self._add(self._known(db_id))
        return self._number[db_id]

    def _known(self, db_id: str) -> Schema:
        if db_id not in self._schemas:
            raise UserError(f"unknown database '{db_id}': {did_you_mean(db_id, self._schemas)}")
        schema = self._schemas[db_id]
        if not schema.tables:
            raise UserError(f"database '{db_id}' has no tables: nothing can be asked of it")
        return schema

    def _add(self, schema: Schema) -> int:
        self._codes.append(self.names.encode(schema))
        self._automata.append(Automaton(schema))
        return len(self._codes) - 1

    def _linker(self, db_id: str) -> Linker:
        if db_id not in self._linkers:
            schema = self._known(db_id)
            further = self._further.get(db_id)
            if self._everyday:
                further = together(further_names(schema), further)
            self._linkers[db_id] = Linker(schema, self._cells(db_id, schema), further)
        return self._linkers[db_id]

    def _item_of_part(self, linked: Linked, db_id: str) -> Item:
        """The question over the tables of a large schema that it may be about."""
        schema = self._schemas[db_id]
        if db_id not in self._choosers:
            self._choosers[db_id] = TableChooser(schema)
        tables = self._choosers[db_id].choose(linked)
        if (db_id, tables) not in self._parts:
            part, columns = part_of(schema, tables)
            if db_id in self._files and db_id not in self._closed:
                part = infer_keys(self._files[db_id], part)
            number = self._add(part)
            self._parts[db_id, tables] = number, columns
            self._read[number] = tables, columns
        number, columns = self._parts[db_id, tables]
        return self._item(linked_within(linked, tables, columns), number)

    def _cells(self, db_id: str, schema: Schema) -> CellIndex:
        if self._linking != "cells":
            return CellIndex()
        file = self.file(db_id)
        if file is None:
            self.missing.add(db_id)
        try:
            index = index_cells(file, schema)
        except UserError as error:
            self.missing.add(db_id)
            self.left_out[db_id] = (str(error),)
            return CellIndex()
        self.left_out[db_id] = index.left_out
        return index

    def _item(self, linked: Linked, db: int) -> Item:
        item = item_of(linked, db, self._codes[db], self._automata[db].schema, self.vocabulary)
        return item if self._coder is None else replace(item, linked=linked)


def _table_number(schema: Schema, name: str, path: Path) -> int:
    names = [table.name.lower() for table in schema.tables]
    if name.lower() not in names:
        raise UserError(f"{path} has no table '{name}': {did_you_mean(name, [table.name for table in schema.tables])}")
    return names.index(name.lower())


_MOST_LINKS = 1024
_LINK_ARRAYS = ("table_links", "column_links", "cell_links")


def questions_of(card: Mapping[str, Any], databases: Path, linking: str, *, everyday: bool = False) -> Questions:
    """Return what encodes questions for the model of a card; `everyday`: see `Questions`."""
    encoder = card.get("encoder")
    coder = None if encoder is None else WordPieces(encoder)
    limit = LIMIT if encoder is None else int(encoder["limit"])
    return Questions(card["words"], SchemasOfCard(card), databases, linking, coder, limit, everyday=everyday)
