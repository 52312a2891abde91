"""The schemas of a card are read one by one, each when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from normlab.data.sql.schema import Schema
from normlab.data.sql.toy import write_toy
from normlab.errors import UserError
from normlab.tasks.text2sql.inputs.schemas_of_card import SchemasOfCard


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Schema]:
    return write_toy(tmp_path_factory.mktemp("toy")).schemas


def test_a_schema_is_that_of_its_entry_and_read_once(
    known: Mapping[str, Schema], monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas = SchemasOfCard({"schemas": [schema.entry() for schema in known.values()]})
    read: list[str] = []
    real = Schema.from_entry
    monkeypatch.setattr(Schema, "from_entry", lambda entry: read.append(entry["db_id"]) or real(entry))
    assert list(schemas) == list(known)
    assert len(schemas) == len(known)
    assert not read, "a name was asked for, no schema"
    name = next(iter(known))
    assert schemas[name] == known[name]
    assert schemas[name] is schemas[name]
    assert read == [name]
    assert "no such database" not in schemas


def test_a_damaged_entry_costs_those_who_ask_for_it(known: Mapping[str, Schema]) -> None:
    schemas = SchemasOfCard({"schemas": [*(schema.entry() for schema in known.values()), {"db_id": "damaged"}]})
    assert all(schemas[name].tables for name in known)
    with pytest.raises(UserError, match="damaged"):
        schemas["damaged"]
