"""Files that a fuzzer writes, guided by which lines of normlab they reach: each ends in a result or a declared error.

    pip install atheris==3.0.0
    python tests/reliability/guided_fuzz.py --seconds 60                      a minute for each reader
    python tests/reliability/guided_fuzz.py --only config,conll --seconds 600

The property tests draw files from a description; here libFuzzer (through Atheris) starts from small valid files and
keeps every change that reaches new code. The readers are those of `tests/hostile/hostile_files.py`. A reader that ends
in any other exception, takes ten seconds or two gigabytes is a finding: its input is kept in `--findings`, and the exit
code is 1.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "hostile")]

import hostile_files as files  # noqa: E402

_SECONDS, _MEGABYTES, _LARGEST = 10, 2048, 4096  # of one input
_SCHEMA = {
    "db_id": "d",
    "table_names_original": ["t"],
    "table_names": ["t"],
    "column_names_original": [[-1, "*"], [0, "a"], [0, "b"]],
    "column_names": [[-1, "*"], [0, "a"], [0, "b"]],
    "column_types": ["text", "text", "number"],
    "primary_keys": [1],
    "foreign_keys": [],
}
_STUDY = (
    b"title: t\nquestion: q\ntask: image\nbase: {n: 1}\naxes: {norm: [batch, none]}\n"
    b"by_value: {norm: {none: {lr: 1}}}\n"
)


class Target(NamedTuple):
    """A reader, the name of the file that it is given, and valid files to begin with."""

    reader: Callable[[Path], None]
    name: str
    seeds: tuple[bytes, ...]


def picture() -> bytes:
    """Return a small PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (1, 2, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def database() -> bytes:
    """Return a small SQLite file."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(
            "PRAGMA page_size = 512; CREATE TABLE t (a TEXT, b INT); INSERT INTO t VALUES ('x', 1);"
        )
        return connection.serialize()


def archive() -> bytes:
    """Return a small archive with a study's plan."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("study.json", json.dumps({"name": "s", "cells": []}))
    return buffer.getvalue()


def score_text(path: Path) -> None:
    """Score a fuzzed prediction, and a fuzzed gold query, beside a good one."""
    text = (
        path.read_text(encoding="utf-8", errors="replace").replace("\n", " ").replace("\t", " ").strip() or "SELECT 1"
    )
    (path.parent / "tables.json").write_text(json.dumps([_SCHEMA]))
    (path.parent / "gold.sql").write_text(f"SELECT a FROM t\td\n{text}\td\n", encoding="utf-8")
    (path.parent / "predicted.sql").write_text(f"{text}\nSELECT a FROM t\n", encoding="utf-8")
    files.score_queries(path.parent)


def targets() -> dict[str, Target]:
    """Return the readers by name."""
    words = b"Sentence #,Word,POS,Tag\nSentence: 1,Thousands,NNS,O\n,London,NNP,B-geo\n"
    spans = b'{"text": "Anna in Rome", "entities": [{"start": 8, "end": 12, "label": "geo"}]}\n'
    lists = b'{"tokens": ["Anna", "Rome"], "ner_tags": [0, 1]}\n'
    table = b"name,price,day\npen,1.5,2020-01-02\nink,,2020-02-03\n"
    return {
        "config": Target(files.read_config, "c.yaml", (b"norm: batch\nlr: 0.1\nn: 2\n", b"{n: 1, crop: false}")),
        "study": Target(
            files.read_study_file, "s.yaml", (_STUDY, _STUDY + b"claims: [{says: x, kind: stable, a: {}}]")
        ),
        "conll": Target(
            files.read_sentences,
            "a.conll",
            (b"EU B-ORG\nx O\n\nNew B-LOC\nYork I-LOC\n", b"-DOCSTART- O\n\nEU NNP B I-ORG\n"),
        ),
        "conllu": Target(
            files.read_sentences,
            "a.conllu",
            (
                b"# s\n1\tAnna\t_\tX\t_\t_\t0\troot\t_\tB-per\n1.1\tB\t_\t_\t_\t_\t_\t_\t_\t_\n"
                b"2\tran\t_\tX\t_\t_\t0\tx\t_\tO\n\n",
            ),
        ),
        "gmb": Target(files.read_sentences, "a.csv", (words,)),
        "spans": Target(files.read_sentences, "a.jsonl", (spans, lists)),
        "text": Target(files.read_running_text, "a.txt", (b"Mr. Smith went to Washington. It's 3.5 km!\n\nA@b.org\n",)),
        "schemas": Target(files.read_tables, "tables.json", (json.dumps([_SCHEMA]).encode(),)),
        "vectors": Target(files.read_vectors, "g.txt", (b"the 0.1 0.2\nof -1 3e-2\n",)),
        "results": Target(
            files.read_results, "r.csv", (b"norm,seed,acc\nbatch,0,0.5\nnone,0,0.4\nbatch,1,0.6\nnone,1,0.3\n",)
        ),
        "table": Target(files.take_in_table, "shop.csv", (table, table.replace(b",", b";"))),
        "picture": Target(files.read_picture, "p.png", (picture(),)),
        "database": Target(files.read_database, "d.sqlite", (database(),)),
        "archive": Target(files.unpack_archive, "s.zip", (archive(),)),
        "query": Target(
            score_text,
            "q.txt",
            (b"SELECT a FROM t WHERE b > 1", b"SELECT count(*) FROM t GROUP BY a ORDER BY b LIMIT 1"),
        ),
    }


def fuzz(name: str, seconds: int, findings: Path, seed: int) -> None:
    """Fuzz one reader in this process, which libFuzzer ends."""
    import atheris

    from normlab.data.sql.sqlite import QueryError
    from normlab.errors import UserError

    target = targets()[name]
    with tempfile.TemporaryDirectory(
        prefix="normlab-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as made:
        folder, corpus = Path(made) / "read", Path(made) / "corpus"
        corpus.mkdir()
        for number, content in enumerate(target.seeds):
            (corpus / str(number)).write_bytes(content)

        def read(content: bytes) -> None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / target.name).write_bytes(content)
            with suppress(UserError, QueryError):
                target.reader(folder / target.name)

        with atheris.instrument_imports(include=["normlab"]):  # readers import when they are called
            for content in target.seeds:
                read(content)
        options = [f"-max_total_time={seconds}", f"-timeout={_SECONDS}", f"-rss_limit_mb={_MEGABYTES}", f"-seed={seed}"]
        options += [
            f"-max_len={_LARGEST}",
            f"-artifact_prefix={findings}/{name}-",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        atheris.Setup([sys.argv[0], *options, str(corpus)], read)
        atheris.Fuzz()


def main(arguments: list[str] | None = None) -> int:
    """Fuzz each reader in a process of its own; print how many inputs it read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--only", default=",".join(targets()), help="some readers, with commas")
    parser.add_argument(
        "--findings", type=Path, default=Path("build/fuzz"), help="where inputs are kept that break a reader"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.findings.mkdir(parents=True, exist_ok=True)
    if options.here:
        fuzz(options.only, options.seconds, options.findings.resolve(), options.seed)
        return 0
    total, broken = 0, []
    for name in options.only.split(","):
        command = [sys.executable, __file__, "--here", "--only", name, "--seconds", str(options.seconds)]
        command += ["--findings", str(options.findings), "--seed", str(options.seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        said = done.stdout.decode(errors="replace")
        counted = re.search(r"number_of_executed_units:\s*(\d+)", said)
        count = int(counted[1]) if counted else 0
        total += count
        if done.returncode or not counted:
            broken.append(name)
        print(f"{name:<10} {count:>9,} inputs" + (f"\n{said[-3000:]}" if name in broken else ""), flush=True)
    print(f"{total:,} inputs, findings in {', '.join(broken)}" if broken else f"{total:,} inputs, no finding")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
