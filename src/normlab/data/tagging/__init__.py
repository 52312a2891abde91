"""Sentences with tags, in every file format that is read.

Read in this order: `sentences.py` (a sentence, and the base class of readers), `corpus.py` (the registry of formats),
then one file per format: `conll.py` with `column_layout.py`, `gmb_csv.py`, `jsonl.py`, `plain_text.py`. `scheme.py` has
the rules of BIO, IOB1 and BIOES, `corpus_folder.py` the files of a folder, `predicted_columns.py` writes predictions.
"""
