"""A DuckDB file, opened read-only, without extensions, other files or the network."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from normlab.apps.ask.copying import AS_THEY_ARE, Table, TableError, tables_of
from normlab.data.sql.sqlite_schema import quoted
from normlab.errors import UserError, one_line

SECONDS = 120.0  # for all that is read
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",  # it would lie beside the file
    "lock_configuration": "true",
}
_COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_catalog = current_database() AND table_schema = current_schema() ORDER BY table_name, ordinal_position"""
_KEYS = """
SELECT table_name, constraint_type = 'PRIMARY KEY', constraint_column_names, referenced_table, referenced_column_names
FROM duckdb_constraints() WHERE schema_name = current_schema() AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY')"""


class DuckDBFile:
    """A source for `copying.copy_database`.

    Raises: UserError without duckdb, or if the file cannot be opened.
    """

    kind, hint = "DuckDB", ""

    def __init__(self, path: Path) -> None:
        try:
            import duckdb
        except ImportError:
            raise UserError(f"{path}: reading DuckDB needs duckdb: pip install 'normlab[databases]'") from None
        self.name, self._error = str(path), duckdb.Error
        try:
            self._connection = duckdb.connect(str(path), read_only=True, config=_CONFIG)
        except duckdb.Error as error:
            raise UserError(
                f"{path}: DuckDB cannot open it ({_reason(error)}): close what writes to it, or copy it"
            ) from None
        self._timer = threading.Timer(SECONDS, self._connection.interrupt)
        self._timer.daemon = True
        self._timer.start()

    def tables(self) -> list[Table]:
        """Return the tables and views of the file's main schema."""
        return tables_of(self._connection.execute(_COLUMNS).fetchall(), self._connection.execute(_KEYS).fetchall())

    def rows(self, table: Table, most: int) -> Iterator[Sequence[Any]]:
        """Yield rows; what is no number is cast to text."""
        wanted = ", ".join(
            quoted(name) if kind in AS_THEY_ARE else f"CAST({quoted(name)} AS VARCHAR)" for name, kind in table.columns
        )
        try:
            result = self._connection.execute(f"SELECT {wanted} FROM {quoted(table.name)} LIMIT {most}")
            while rows := result.fetchmany(5000):
                yield from rows
        except self._error as error:
            raise TableError(_reason(error)) from None

    def close(self) -> None:
        """Close the file."""
        self._timer.cancel()
        self._connection.close()


def _reason(error: Exception) -> str:
    return one_line(str(error).splitlines()[0] if str(error) else type(error).__name__)
