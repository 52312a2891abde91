"""A model fine-tuned on one's own questions: `normlab ask my.sqlite --learn pairs.csv --out MODEL`.

Training is a run like any other, from the weights of a trained model on, with what it needs in `OUT/learned_from`: the
pairs in two parts, a copy of the database, and the model that it starts from. So a run that was killed goes on, by the
same command or by `normlab resume`, whatever happens to these meanwhile. The held-out part is measured with the model
before and after; no SQL of it is in the other part.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from normlab.apps.ask.plain_names import make_names_plain, with_plain_names
from normlab.data.sql.inferred_keys import infer_keys
from normlab.data.sql.pairs import Pair, wrong_queries
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import COLUMNS
from normlab.data.sql.sqlite import open_readonly
from normlab.data.streams import permutation
from normlab.engine.api import Run, load_run, train_folder
from normlab.errors import UserError
from normlab.json_file import read_json
from normlab.plurals import plural
from normlab.runs import RunFolder
from normlab.runs.atomic import atomic_folder, remove_folder, write_json
from normlab.runs.model_file import ModelFile, save_model
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.inputs.data import Text2SqlData

EPOCHS, LEARNING_RATE, BATCH_SIZE = 12, 1e-3, 8
HELD_OUT, VALIDATION = 0.25, 0.15
"""Shares: of the pairs, to measure by; of the rest, to choose the epoch by."""
FEWEST, FEWEST_TO_CHOOSE = 8, 20
"""Pairs that are needed, and how many can choose an epoch: where they are fewer, one is watched and the last counts."""
SCORES = ("test/execution_sound", "test/exact_match")
_SOURCES, _START, _BEFORE, _ABOUT = "learned_from", "start.safetensors", "before.json", "about.json"
_PLACES = "places.json"


@dataclass(frozen=True)
class Learned:
    """What learning did: the run, questions held out, and their scores (names of `SCORES` -> fraction)."""

    folder: RunFolder
    held_out: int
    before: dict[str, float]
    after: dict[str, float]


def learn(
    database: Path,
    pairs: Sequence[Pair],
    out: Path,
    *,
    model: Run | Path | str,
    epochs: int = EPOCHS,
    name: str = "",
    say: Callable[[str], None] = lambda line: None,
    quiet: bool = True,
) -> Learned:
    """Fine-tune a model on pairs over one database, in the run folder `out`, and measure it before and after.

    Args:
        database: an SQLite file; it is copied.
        model: a model of text2sql to start from.
        name: of the database, for messages; its file's if empty.
        say: is given lines for the user.
        quiet: training writes to the run's log only.
    Raises: UserError if there are too few pairs, queries that do not run (`say` is given a line for each), or `out` was
        begun with something else.
    """
    base = model if isinstance(model, Run) else load_run(model)
    if base.task.name != "text2sql":
        raise UserError(f"{base.path} is a run of {base.task.name}: learning needs one of text2sql")
    _check(pairs, database, say)
    sources = out / _SOURCES
    name = name or database.stem
    about = _about(pairs, name, base, epochs)
    if sources.is_dir():
        if read_json(sources / _ABOUT) != about:
            raise UserError(f"{out}: was begun with other pairs, settings or another database: choose another --out")
    elif (out / "config.yaml").exists():
        raise UserError(f"{out}: holds another run: choose another --out")
    else:
        _write_sources(sources, pairs, database, name, base, about)
    config = _config(base, sources, epochs, len(_parts(pairs)[0]))
    try:
        before = _before(base, config, sources, pairs, say)
    except UserError:  # what cannot be learned leaves nothing behind
        if not (out / "config.yaml").exists():
            remove_folder(sources)
            with suppress(OSError):  # it holds other files
                out.rmdir()
        raise
    folder = RunFolder.open(out) if (out / "config.yaml").is_file() else RunFolder.create(out, config, "text2sql")
    result = train_folder(folder, quiet=quiet)
    if result["state"] != "finished":
        raise UserError(f"{out}: learning ended as {result['state']}: start from another model")
    after = {score: result["metrics"][score] for score in SCORES if score in result["metrics"]}
    return Learned(folder, result["sizes"]["test"], before, after)


def _check(pairs: Sequence[Pair], database: Path, say: Callable[[str], None]) -> None:
    wrong = wrong_queries(pairs, database)
    for line in wrong:
        say(line)
    if wrong:
        raise UserError(
            f"{len(wrong)} of {plural(len(pairs), 'pair')} have SQL that does not run, named above: correct them"
        )
    if len(pairs) < FEWEST or len({_key(pair.sql) for pair in pairs}) < 3:
        raise UserError(f"{plural(len(pairs), 'pair')}: give at least {FEWEST}, with three different queries")


def _key(text: str) -> str:
    return " ".join(text.lower().split())


def _parts(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Return pairs to learn from and pairs to measure by: all pairs of one query are on one side."""
    queries = list(dict.fromkeys(_key(pair.sql) for pair in pairs))
    wanted, held_out = max(1, round(HELD_OUT * len(pairs))), set[str]()
    for number in permutation(len(queries), 0, "held-out pairs"):
        if sum(_key(pair.sql) in held_out for pair in pairs) >= wanted or len(held_out) == len(queries) - 2:
            break
        held_out.add(queries[number])
    learned = [pair for pair in pairs if _key(pair.sql) not in held_out]
    return learned, [pair for pair in pairs if _key(pair.sql) in held_out]


def _about(pairs: Sequence[Pair], database: str, base: Run, epochs: int) -> dict[str, Any]:
    """Return what a run is begun with; a database may change while one learns from its copy."""
    texts = json.dumps([(pair.question, pair.sql) for pair in pairs])
    return {
        "pairs": hashlib.sha256(texts.encode()).hexdigest()[:16],
        "database": database,
        "model": hashlib.sha256(base.folder.weights.read_bytes()).hexdigest()[:16],
        "epochs": epochs,
    }


def _write_sources(
    sources: Path, pairs: Sequence[Pair], database: Path, name: str, base: Run, about: dict[str, Any]
) -> None:
    """Write the folder that training reads, whole or not at all, in the layout of Spider."""
    db_id = re.sub(r"\W+", "_", name).strip("_") or "database"
    with atomic_folder(sources) as new:
        copy = new / "database" / db_id / f"{db_id}.sqlite"
        copy.parent.mkdir(parents=True)
        with closing(open_readonly(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        renamed = make_names_plain(copy)
        schema = infer_keys(copy, Schema.from_sqlite(copy, db_id))  # as `ask` reads it
        write_json(new / "tables.json", [schema.entry()])
        for file, part in zip(("train.csv", "val.csv"), _parts(pairs), strict=True):
            _write_csv(new / file, db_id, [replace(pair, sql=with_plain_names(pair.sql, renamed)) for pair in part])
        write_json(new / _PLACES, {_key(pair.question): pair.place for pair in pairs})
        if isinstance(base.folder, ModelFile):
            (new / _START).write_bytes(base.path.read_bytes())
        else:
            save_model(base.folder, new / _START)
        write_json(new / _ABOUT, about)


def _write_csv(path: Path, db_id: str, pairs: Sequence[Pair]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((db_id, pair.sql, " ".join(pair.question.split())) for pair in pairs)


def _config(base: Run, sources: Path, epochs: int, count: int) -> Text2SqlConfig:
    """Return the model's own settings, changed for a few epochs over so many pairs."""
    chooses = round(VALIDATION * count) >= FEWEST_TO_CHOOSE
    changes = {
        "data": str(sources.resolve()),
        "databases": "",
        "view": "course",
        "validation": VALIDATION if chooses else 1 / count,
        "limit_train": None,
        "start": str((sources / _START).resolve()),
        "epochs": epochs,
        "batch_size": BATCH_SIZE,
        "optimizer": "adam",
        "lr": LEARNING_RATE,
        "schedule": "cosine",
        "warmup_epochs": min(1.0, epochs / 2),
        "average": "none",
        "monitor": "val/loss",  # of some dozen questions, it says more than how many are right
        "select": "best" if chooses else "last",
        "patience": None,
        "measure_test": True,
        "precision": "float32",
    }
    return cast(Text2SqlConfig, base.config.with_values("learn", **changes))


def _before(
    base: Run, config: Text2SqlConfig, sources: Path, pairs: Sequence[Pair], say: Callable[[str], None]
) -> dict[str, float]:
    """Return the held-out part's scores with the model as it was; measured once, and kept."""
    kept = sources / _BEFORE
    if kept.is_file():
        return cast(dict[str, float], read_json(kept))
    data = cast(Text2SqlData, base.task.prepare(config))
    sizes, use = data.sizes, "choose the epoch by" if config.select == "best" else "watch"
    say(
        f"{plural(len(pairs), 'pair')}: {sizes['train']} to learn from, {sizes['val']} to {use}, {sizes['test']} "
        "held out to measure by"
    )
    for line in _not_learned(data, read_json(sources / _PLACES)):
        say(line)
    if not len(data.trainable):
        raise UserError("too few of these queries can be learned: give more pairs, with simpler SQL")
    start = load_run(sources / _START)
    with torch.inference_mode():
        measured = base.task.evaluate(start.model, data, "test", config, start.placement, final=True).metrics
    named = {f"test/{name}": value for name, value in measured.items()}
    before = {score: named[score] for score in SCORES if score in named}
    write_json(kept, before)
    return before


def _not_learned(data: Text2SqlData, places: dict[str, str]) -> list[str]:
    """Return a line for each query that runs, but that the decoder cannot write."""
    unwritten = [
        row
        for split, items in data.items.items()
        for row, item in zip(data.rows.splits[split], items, strict=True)
        if item.gold is None
    ]
    named = [(places.get(_key(row.question), row.source), row.query) for row in unwritten]
    return [f"{place}: the model cannot write such SQL, nor learn it: {sql}" for place, sql in named]
