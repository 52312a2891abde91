"""Text files, vocabularies and word vectors, whatever the task.

Read in this order: `lines.py` (the only place that decodes bytes), `csv_rows.py` and `standard_input.py`,
`word_forms.py` (tokens and stems), `vocabulary.py`, `buckets.py` (batches of similar length), and for word vectors
`vector_lines.py`, `glove.py`, `embedding_files.py`.
"""
