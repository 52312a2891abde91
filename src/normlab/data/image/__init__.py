"""Images for classification and prediction, in every file form that is read.

Read in this order: `find.py` (which form a path has), `source.py` (what every form offers), then one file per form:
`cifar.py`, `folder.py`, `manifest.py` (tables of paths), `arrays.py` (NumPy), `parquet.py` (with `saved_dataset.py`,
Hugging Face's folders), `digits.py`, `course_csv.py`. `pixels.py` decodes single images, `cache.py` keeps decoded ones,
`identify.py` and `known.py` recognise CIFAR, `augment.py` crops and flips batches, `prediction.py` reads unlabelled
images.
"""
