"""Databases, their schemas and cells, and questions about them.

Read in this order: `schema.py` (tables and columns as a task sees them; `schema_entry.py` reads them from tables.json,
`sqlite_schema.py` from a database), `sqlite.py` (runs queries read-only; `sandbox.py` and `query_process.py` do that in
a process with limits), `cells.py` (an index of text cells), `spider.py` (files of questions), `views.py` (ways to split
them), `copies/` (mutated copies of a database), `toy.py` (small databases for tests).
"""
