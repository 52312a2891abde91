"""What the rules make of a query over a small database."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable
from pathlib import Path

from normlab.data.sql.cells import index_cells
from normlab.data.sql.inferred_keys import infer_keys
from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.corrections.correcting import Correction, Corrector
from normlab.tasks.text2sql.grammar.linearize import to_actions
from normlab.tasks.text2sql.linking.linker import Linker


def corrections_over(path: Path, script: str, today: datetime.date | None = None) -> Callable[[str, str], Correction]:
    """Make a database at `path` by a script; return what corrects (question, the model's query) over it."""
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    schema = infer_keys(path, Schema.from_sqlite(path))
    linker = Linker(schema, index_cells(path, schema, path.parent / "cache"))
    corrector = Corrector(path, schema)
    return lambda question, sql: corrector.correct(sql, to_actions(sql, schema), linker.link(question), schema, today)
