"""Asking a database in plain words: `normlab.ask(path, model=run).question("...")`.

Read `database.py` first (a question's way to rows), then `refusals.py` (what is no question) and `files.py` (CSV and
Parquet files as a database).
"""

from normlab.apps.ask.answer import Answer, Reading
from normlab.apps.ask.database import Database, ask

__all__ = ["Answer", "Database", "Reading", "ask"]
