"""Rules that correct a query where it contradicts plain words of its question. Read `rules.py` first."""
