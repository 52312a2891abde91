"""Moved to `normlab.data.sql.sqlite`; this name stays for programs written before `data` had folders."""

from normlab.data.sql.sqlite import QueryError, QueryLimit, QueryRefused, QueryResult, QueryTimeout, run_query

__all__ = ["QueryError", "QueryLimit", "QueryRefused", "QueryResult", "QueryTimeout", "run_query"]
