"""The schemas in a run's card, each read when it is asked for: a model knows 166, and a question is about one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from normlab.data.sql.schema import Schema


class SchemasOfCard(Mapping[str, Schema]):
    """db_id -> schema.

    Args:
        card: with the entries of `tables.json` under "schemas".
    """

    def __init__(self, card: Mapping[str, Any]) -> None:
        self._entries = {entry["db_id"]: entry for entry in card["schemas"]}
        self._read: dict[str, Schema] = {}

    def __getitem__(self, db_id: str) -> Schema:
        """Return a schema. Raises: KeyError; UserError for an entry that is damaged."""
        if db_id not in self._read:
            self._read[db_id] = Schema.from_entry(self._entries[db_id])
        return self._read[db_id]

    def __contains__(self, db_id: object) -> bool:
        """Tell whether there is one of that name, without reading it."""
        return db_id in self._entries

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._entries)
