"""`python tools/ship_models.py RUN NAME [RUN NAME ...]`: publish finished runs into the package, under these names.

A model of the same name is replaced. Prints the size of all and fails above 32 MB, which the wheel would carry.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from normlab.runs import RunFolder
from normlab.runs.published import publish_model

SHIPPED = Path(__file__).resolve().parent.parent / "src" / "normlab" / "shipped_models"
MOST = 32e6  # bytes
NOTES = {
    "image": (
        "CIFAR-10 (Krizhevsky 2009; its authors state no licence): 32 x 32 photos of ten classes. Other pictures are\n"
        "scaled to 32 x 32, and what shows none of the ten classes gets one of them all the same."
    ),
    "ner": (
        "Groningen Meaning Bank (news of 2000 to 2010; ODbL 1.0) with GloVe 6B vectors (PDDL 1.0). Words are looked\n"
        "up in lower case, but their characters are read as written: text in capitals alone is read badly. Artworks,\n"
        "events and natural phenomena are mostly missed: they are rare in the corpus."
    ),
    "text2sql": (
        "Spider (CC BY-SA 4.0) with GloVe 6B vectors (PDDL 1.0). Measured on databases that training never shows.\n"
        "Synonyms of column names, dates in words, and sums over groups that the question only implies often go\n"
        "wrong: read the query."
    ),
}


def main(words: list[str]) -> int:
    """Publish each run under its name."""
    if not words or len(words) % 2:
        print(__doc__, file=sys.stderr)
        return 2
    for run, name in zip(words[::2], words[1::2], strict=True):
        folder = RunFolder.open(run)
        shutil.rmtree(SHIPPED / name, ignore_errors=True)
        publish_model(folder, SHIPPED / name, notes=NOTES[folder.config()["task"]])
        print(name)
    size = sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB in all")
    return int(size > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
