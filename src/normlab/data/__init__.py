"""Readers and caches of data. Nothing here knows a task or the engine.

`image/`, `tagging/`, `sql/` and `text/` each hold one kind of data. What all kinds share stands beside them: `split.py`
(training and validation), `batching.py` (order of an epoch), `streams.py` (random numbers per purpose), `check.py` and
`check_text.py` (`normlab data check`).
"""
