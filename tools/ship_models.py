"""`python tools/ship_models.py RUN NAME [RUN NAME ...]`: publish finished runs into the package, under these names.

A model of the same name is replaced. Prints the size of all and fails above 32 MB, which the wheel would carry.

`python tools/ship_models.py --count-case NAME DATA`: count anew, in the training data of a shipped tagger, how words
are written, and keep that in its card; its weights stay the same bytes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from normlab.engine.api import load_run
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.runs.model_file import ModelFile
from normlab.runs.published import CARD, MODEL, publish_model

SHIPPED = Path(__file__).resolve().parent.parent / "src" / "normlab" / "shipped_models"
MOST = 32e6  # bytes
NOTES = {
    "image": (
        "CIFAR-10 (Krizhevsky 2009; its authors state no licence): 32 x 32 photos of ten classes. Other pictures are\n"
        "scaled to 32 x 32, and what shows none of the ten classes gets one of them all the same."
    ),
    "ner": (
        "Groningen Meaning Bank (news of 2000 to 2010; ODbL 1.0) with GloVe 6B vectors (PDDL 1.0). The card holds how\n"
        "often its words are written with a capital: running text in capitals or in small letters is read as the\n"
        "corpus would spell it, with a lower F1 (docs/ner.md). Artworks, events and natural phenomena are mostly\n"
        "missed: they are rare in the corpus."
    ),
    "text2sql": (
        "Spider (CC BY-SA 4.0) with GloVe 6B vectors (PDDL 1.0). Measured on databases that training never shows.\n"
        "Synonyms of column names, dates in words, and sums over groups that the question only implies often go\n"
        "wrong: read the query."
    ),
}


def main(words: list[str]) -> int:
    """Publish each run under its name."""
    if words[:1] == ["--count-case"] and len(words) == 3:
        return _count_case(*words[1:])
    if not words or len(words) % 2:
        print(__doc__, file=sys.stderr)
        return 2
    for run, name in zip(words[::2], words[1::2], strict=True):
        folder = RunFolder.open(run)
        shutil.rmtree(SHIPPED / name, ignore_errors=True)
        publish_model(folder, SHIPPED / name, notes=NOTES[folder.config()["task"]])
        print(name)
    return _too_large()


class _Counted(ModelFile):
    """A shipped model with a table of case in its card."""

    def __init__(self, path: Path, case: dict[str, Any]) -> None:
        super().__init__(path)
        self._case = case

    def card(self) -> dict[str, Any]:
        """Return the model's card with the table."""
        return {**super().card(), "case": self._case}


def _count_case(name: str, data: str) -> int:
    run = load_run(SHIPPED / name)
    prepared = run.task.prepare(run.config.with_values("ship", data=data, embeddings="random", vocabulary="train"))
    if prepared.fingerprint != run.result["data_fingerprint"]:
        raise UserError(f"{data}: these are not the data that {name} was trained on")
    folder = _Counted(SHIPPED / name / MODEL, prepared.card["case"])
    with tempfile.TemporaryDirectory(dir=SHIPPED) as scratch:
        publish_model(folder, Path(scratch) / name, notes=NOTES["ner"])
        for file in (MODEL, CARD):
            (Path(scratch) / name / file).replace(SHIPPED / name / file)
    return _too_large()


def _too_large() -> int:
    size = sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB in all")
    return int(size > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
