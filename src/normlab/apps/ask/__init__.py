"""Asking a database in plain words: `normlab.ask(path, model=run).question("...")`.

Read `database.py` first (a question's way to rows), then `refusals.py` (what is no question) and `files.py` (CSV and
Parquet files as a database).
"""
