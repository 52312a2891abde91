"""Moved to `normlab.data.sql.schema`; this name stays for programs written before `data` had folders."""

from normlab.data.sql.schema import Schema, read_tables

__all__ = ["Schema", "read_tables"]
