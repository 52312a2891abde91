"""`normlab data check`: read a data set, images for prediction, sentences or vectors, and say what is in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from normlab.data.check_text import check_text
from normlab.data.image.course_csv import read_csv_images
from normlab.data.image.images import load_images, open_source
from normlab.data.image.known import PUBLISHED_MD5
from normlab.data.image.manifest import names_images
from normlab.data.image.source import Reading
from normlab.data.sql.check import check_questions


def check(path: str | os.PathLike[str], *, cache_dir: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Read everything at `path` (or of that name), check published sums, and report; JSON-able.

    Folders and files of sentences, and word vectors, are reported by `check_text`; questions to databases by
    `check_questions`.

    Returns: kind, name, image_size, classes, counts by split, per_class counts by split and class, sums (the files
        whose MD5 equals the published one), fingerprint, notes (what was left out or changed).
        For a CSV: kind and rows.
    Raises: UserError for what is wrong; all images that cannot be read at once.
    """
    if (questions := check_questions(Path(path))) is not None:
        return questions
    is_table = names_images(Path(path))
    if not is_table and (text := check_text(Path(path))) is not None:
        return text
    if not is_table and str(path).lower().endswith(".csv") and Path(path).is_file():
        return {"kind": "images without labels (CSV)", "rows": sum(1 for _ in read_csv_images(Path(path)))}
    source = open_source(path, Reading(sums=PUBLISHED_MD5), cache_dir=cache_dir)
    checked = source.verify()
    data = load_images(path, cache_dir=cache_dir)
    counts = {split: np.bincount(labels, minlength=len(data.classes)) for split, labels in data.labels.items()}
    return {
        "kind": source.kind,
        "name": data.name,
        "image_size": list(data.images["train"].shape[2:]),
        "classes": len(data.classes),
        "counts": {split: int(by_class.sum()) for split, by_class in counts.items()},
        "per_class": {
            split: dict(zip(data.classes, by_class.tolist(), strict=True)) for split, by_class in counts.items()
        },
        "sums": f"MD5 as published: {', '.join(checked)}" if checked else "none published for this form",
        "fingerprint": data.fingerprint,
        "notes": list(data.notes),
    }
