"""Readers and caches of data. Nothing here knows a task or the engine.

`image/`, `tagging/`, `sql/` and `text/` each hold one kind of data. Beside them stand what all kinds share: `split.py`
(training and validation), `batching.py` (order of batches), `streams.py` (random numbers per purpose), and the checks of
`normlab data check` (`check.py`, `check_text.py`).
"""
