"""Much of everything, through the program's own commands: processor seconds and peak memory of each.

    python tests/reliability/load.py                            all of it, at the sizes below
    python tests/reliability/load.py --only text,report --share 0.1
    python tests/reliability/load.py --only text --share 50     up to 5 GB of text

Each row is one command in a process of its own, children included. `text` and `rows` run at two sizes, so that what
grows with the input shows. Exit code 1 if a command fails, takes more memory than its bound, or, for text, more than it
took for a fifth of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "report")]

SENTENCE = "Barack Obama met Angela Merkel in Berlin on Monday, and the talks about trade went on in New York.\n"
STUDY = """
title: Many tiny cells
question: Does a large study stay small in memory?
task: image
base: {data: digits, n: 1, epochs: 1, limit_train: 32, batch_size: 32, threads: 1, distributions: "off"}
axes: {norm: [batch, none], lr: [LRS]}
"""
GROWTH = 50.0  # MiB that a job of constant memory may differ by: the order in which memory was asked for
SHOP = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, town TEXT, age INTEGER);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer, product TEXT, note TEXT, price REAL, day TEXT
);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {customers})
INSERT INTO customer SELECT i, 'Name' || i || ' Family' || (i % 5003), 'Town ' || (i % 997), 18 + i % 70 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {orders})
INSERT INTO orders SELECT i, 1 + i * 7919 % {customers}, 'Product ' || (i % 4999),
    'left at the door of house ' || (i % 1009) || ', order number ' || i, i % 9973 / 100.0,
    date('2020-01-01', '+' || (i % 2000) || ' days') FROM n;
"""


class Measured(NamedTuple):
    """What a command took: its exit code, processor seconds, elapsed seconds, and peak memory of a process in MiB."""

    code: int
    cpu: float
    elapsed: float
    memory: float


class Job(NamedTuple):
    """A command at a size, and the memory in MiB that it may take.

    Attributes:
        constant: it may not take clearly more than the job before it, whose input is smaller.
    """

    name: str
    command: list[str]
    bound: float
    constant: bool = False


def measure(command: list[str], folder: Path) -> Measured:
    """Run a normlab command; its output goes to a file."""
    begun = time.monotonic()
    pid = os.fork()
    if not pid:
        out = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-m", "normlab.cli", *command])
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return Measured(code, usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss / 1024)


def study_jobs(folder: Path, share: float) -> Iterator[Job]:
    """A study of 500 cells of a second."""
    rates = ", ".join(f"{0.001 * (1 + n):.3f}" for n in range(max(1, int(250 * share))))
    (folder / "many.yaml").write_text(STUDY.replace("LRS", rates), encoding="utf-8")
    cells = 2 * max(1, int(250 * share))
    command = ["study", "run", "many.yaml", "--scale", "demo", "--workers", "2", "--out", "many"]
    yield Job(f"study of {cells} cells", command, 2000)


def row_jobs(folder: Path, share: float) -> Iterator[Job]:
    """A table of results with ten million rows, and one of a tenth."""
    for rows in (int(1e6 * share), int(1e7 * share)):
        with (folder / f"{rows}.csv").open("w", encoding="utf-8") as file:
            file.write("norm,seed,step,test/accuracy\n")
            for number in range(rows):
                norm, seed, step = "batch" if number % 2 else "group", number // 2 % 5, number // 10
                file.write(f"{norm},{seed},{step},{0.5 + number * 7919 % 100_003 / 250_000:.6f}\n")
        yield Job(f"table of {rows:,} rows", ["report", f"{rows}.csv", "--out", f"{rows}.html"], 4000)


def epoch_jobs(folder: Path, share: float) -> Iterator[Job]:
    """A run with half a million epochs in its log: 280 MB. One larger than 512 MB is refused in a line."""
    import synthetic

    epochs = int(5e5 * share)
    study = synthetic.make_study(folder / "epochs", axes={"norm": ["batch"]}, epochs=2)
    log = study.cells[0].folder.path / "metrics.jsonl"
    record = json.loads(log.read_text(encoding="utf-8").splitlines()[0])
    with log.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({**record, "epoch": number}) + "\n" for number in range(1, epochs + 1))
    yield Job(f"run of {epochs:,} epochs", ["report", "epochs", "--out", "epochs.html"], 8000)


def text_jobs(folder: Path, share: float) -> Iterator[Job]:
    """A text to tag: 20 megabytes, and 100."""
    for size in (int(2e7 * share), int(1e8 * share)):
        with (folder / f"{size}.txt").open("w", encoding="utf-8") as file:
            file.writelines(itertools.repeat(SENTENCE, max(1, size // len(SENTENCE))))
        command = ["tag", f"{size}.txt", "--format", "jsonl", "--out", f"{size}.jsonl"]
        yield Job(f"text of {size / 1e6:g} MB", command, 1200, constant=size == int(1e8 * share))


def image_jobs(folder: Path, share: float) -> Iterator[Job]:
    """A folder of 20,000 small images in ten classes."""
    import numpy as np
    from PIL import Image

    count = max(10, int(20_000 * share))
    draw = np.random.default_rng(0)
    for number in range(count):
        path = folder / "images" / f"class {number % 10}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), np.uint8)).save(path, compress_level=1)
    yield Job(f"check of {count:,} images", ["data", "check", "images"], 1500)
    yield Job(f"classes of {count:,} images", ["predict", "cifar10-none", "images", "--out", "classes.csv"], 1500)


def database_jobs(folder: Path, share: float) -> Iterator[Job]:
    """A database of a gigabyte, asked twice: the second time its cells are indexed."""
    customers, orders = max(10, int(1e6 * share)), max(10, int(1e7 * share))
    with closing(sqlite3.connect(folder / "shop.sqlite")) as connection:
        connection.executescript(SHOP.format(customers=customers, orders=orders))
    size = (folder / "shop.sqlite").stat().st_size / 1e9
    for number, question in enumerate(("How many customers are there?", "Which customers live in Town 17?")):
        command = ["ask", "shop.sqlite", question, "--json"]
        yield Job(f"database of {size:.2g} GB{', again' * number}", command, 1500)


def report_jobs(folder: Path, share: float) -> Iterator[Job]:
    """Two hundred runs in one report."""
    import synthetic

    seeds = max(1, int(50 * share))
    synthetic.make_study(folder / "runs", axes={"norm": ["batch", "group", "layer", "none"]}, seeds=seeds, epochs=12)
    yield Job(f"report of {4 * seeds} runs", ["report", "runs", "--out", "runs.html"], 1500)


JOBS: dict[str, Callable[[Path, float], Iterator[Job]]] = {
    "report": report_jobs,
    "text": text_jobs,
    "epochs": epoch_jobs,
    "rows": row_jobs,
    "study": study_jobs,
    "images": image_jobs,
    "database": database_jobs,
}


def main(arguments: list[str] | None = None) -> int:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(JOBS), help="some of them, with commas")
    parser.add_argument("--share", type=float, default=1.0, help="of every size")
    options = parser.parse_args(arguments)
    good = True
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory(prefix="normlab-load-") as folder:
            before = 0.0
            for job in JOBS[name](Path(folder), options.share):
                took = measure(job.command, Path(folder))
                bound = min(job.bound, before + GROWTH) if job.constant else job.bound
                fits = took.code == 0 and took.memory <= bound
                good &= fits
                before = took.memory
                figures = f"{took.cpu:8.1f} s of processor {took.elapsed:8.1f} s {took.memory:7.0f} MiB"
                verdict = "" if fits else f"  FAILED: exit {took.code}, bound {bound:.0f} MiB"
                print(f"{job.name:<26} {figures}{verdict}", flush=True)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
