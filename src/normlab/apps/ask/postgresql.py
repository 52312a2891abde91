"""A PostgreSQL database by its URL: one read-only transaction that sees one state of all tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from normlab.apps.ask.copying import AS_THEY_ARE, Table, TableError, tables_of
from normlab.data.sql.sqlite_schema import quoted
from normlab.errors import UserError, one_line

SCHEMES = ("postgresql", "postgres")
SECONDS = 60  # for one statement
_SETTINGS = f"-c default_transaction_read_only=on -c statement_timeout={1000 * SECONDS} -c DateStyle=ISO"
# Tables, partitioned tables, views and materialized views; a foreign table would make the server ask another one.
_COLUMNS = """
SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')
ORDER BY c.relname, a.attnum"""
_NAMES = """
(SELECT array_agg(a.attname::text ORDER BY n.place) FROM unnest({keys}) WITH ORDINALITY AS n(number, place)
JOIN pg_attribute a ON a.attrelid = {table} AND a.attnum = n.number)"""
_KEYS = f"""
SELECT c.relname::text, k.contype = 'p', {_NAMES.format(keys="k.conkey", table="k.conrelid")}, r.relname::text,
{_NAMES.format(keys="k.confkey", table="k.confrelid")}
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_class r ON r.oid = k.confrelid
WHERE c.relnamespace = current_schema()::regnamespace AND k.contype IN ('p', 'f')
AND (r.oid IS NULL OR r.relnamespace = c.relnamespace)"""


class PostgreSQL:
    """A source for `copying.copy_database`.

    Args:
        url: postgresql://user:password@host:port/database; libpq's environment (PGPASSWORD, PGHOST ...) counts too.
    Raises: UserError without psycopg, or if there is no connection.
    """

    kind = "PostgreSQL"
    hint = ": choose another schema by ?options=-csearch_path%3DNAME behind the URL"

    def __init__(self, url: str) -> None:
        self.name = shown_url(url)
        try:
            import psycopg
        except ImportError:
            raise UserError(
                f"{self.name}: reading PostgreSQL needs psycopg: pip install 'normlab[databases]'"
            ) from None
        self._psycopg = psycopg
        try:
            asked = psycopg.conninfo.conninfo_to_dict(url)
            options = f"{asked.get('options', '')} {_SETTINGS}".strip()
            self._connection = psycopg.connect(
                url, options=options, connect_timeout=10, client_encoding="utf8", application_name="normlab"
            )
        except psycopg.Error as error:
            raise UserError(
                f"{self.name}: no connection ({_reason(error, url)}): check the URL and the server"
            ) from None
        self._connection.read_only = True
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

    def tables(self) -> list[Table]:
        """Return the tables and views of the first schema of the search path that may be read."""
        return tables_of(self._connection.execute(_COLUMNS).fetchall(), self._connection.execute(_KEYS).fetchall())

    def rows(self, table: Table, most: int) -> Iterator[Sequence[Any]]:
        """Yield rows from a cursor of the server; what is no number is cast to text."""
        wanted = ", ".join(
            quoted(name) if kind in AS_THEY_ARE else f"{quoted(name)}::text" for name, kind in table.columns
        )
        query: Any = f"SELECT {wanted} FROM {quoted(table.name)} LIMIT {most}"
        try:
            with self._connection.transaction(), self._connection.cursor(name="normlab") as cursor:
                cursor.itersize = 5000
                cursor.execute(query)
                yield from cursor
        except self._psycopg.Error as error:
            raise TableError(_reason(error, "")) from None

    def close(self) -> None:
        """End the transaction and the connection."""
        self._connection.close()


def shown_url(url: str) -> str:
    """Return a URL without its password and options."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    port = f":{parts.netloc.rpartition(':')[2]}" if parts.netloc.rpartition("@")[2].count(":") == 1 else ""
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}"


def _reason(error: Exception, url: str) -> str:
    text = " ".join(str(error).split("CONTEXT:")[0].split()) or type(error).__name__
    for secret in {urlsplit(url).password or "", unquote(urlsplit(url).password or "")} - {""}:
        text = text.replace(secret, "***")
    return one_line(text)
