"""Small mutated copies of a database, on which queries that agree on the database by accident differ.

Read in this order: `contents.py` (what of a database is taken), `constants.py` (what queries compare its columns with),
`values.py` and `mutation.py` (the rules by which rows change), `making.py` (copies as files, from the cache).
"""
