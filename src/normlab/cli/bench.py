"""The verb bench: parts of normlab beside what one would take instead, on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from normlab.bench import BENCHES
from normlab.cli.parser import add_verb, at_least
from normlab.errors import UserError


def _add_bench(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "bench", "measure the parts beside what one would take instead, on this machine", _bench)
    parser.add_argument("what", choices=[*BENCHES, "all"])
    parser.add_argument("--json", type=Path, metavar="OUT", help="write machine, limits and rows to this file")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="write the tables to this file")
    parser.add_argument("--quick", action="store_true", help="a part of the rows, smallest sizes: does it run?")
    parser.add_argument("--rounds", type=int, help="how often each pair is timed [7; with --quick 3]")
    parser.add_argument("--threads", type=int, help="of torch [norms, image: all cores; ner, sql: 1]")
    parser.add_argument("--corpus", type=Path, help="ner: folder with train.txt and dev.txt [made-up sentences]")
    parser.add_argument("--glove", type=Path, help="ner: GloVe file [made-up vectors]")
    parser.add_argument("--spider", type=Path, help="sql: folder with tables.json and database/ [made-up databases]")


_READ_BY = {"corpus": ("ner",), "glove": ("ner",), "spider": ("sql",)}


def _bench(options: argparse.Namespace) -> int:
    rounds = options.rounds if options.rounds is not None else 3 if options.quick else 7
    if rounds < 1:
        raise UserError(f"--rounds {rounds}: nothing would be timed: give 1 or more")
    at_least(1, threads=options.threads)
    for name, readers in _READ_BY.items():
        if getattr(options, name) is not None and options.what not in (*readers, "all"):
            raise UserError(f"--{name}: does nothing in bench {options.what}: it is for bench {' and '.join(readers)}")
    for out in (options.json, options.markdown):
        if out is not None and not out.parent.is_dir():
            raise UserError(f"{out}: there is no folder {out.parent}: make it, or choose another place")
    for name in ("corpus", "glove", "spider"):
        path = getattr(options, name)
        if path is not None and not path.exists():
            raise UserError(f"--{name} {path}: no such file or folder")

    from normlab.bench.run import run_benches
    from normlab.bench.tables import line, markdown, slower_than_torch
    from normlab.bench.timing import Settings
    from normlab.runs.atomic import write_text

    settings = Settings(
        rounds=rounds, quick=options.quick, corpus=options.corpus, glove=options.glove, spider=options.spider
    )
    names = list(BENCHES) if options.what == "all" else [options.what]
    record = run_benches(names, settings, threads=options.threads, say=lambda row: print(line(row), flush=True))
    record["command"] = _command(options)
    if options.json is not None:
        write_text(options.json, json.dumps(record, indent=1) + "\n")
    if options.markdown is not None:
        write_text(options.markdown, markdown(record))
    slower = slower_than_torch(record)
    for text in slower:
        print(f"normlab: {text}", file=sys.stderr)
    return 1 if slower and not options.quick else 0


def _command(options: argparse.Namespace) -> str:
    """Return the command as others would give it: of paths the last part."""
    words = ["normlab bench", options.what, *(["--quick"] if options.quick else [])]
    for name in ("rounds", "threads", "corpus", "glove", "spider"):
        value = getattr(options, name)
        if value is not None:
            words.append(f"--{name} {value.name if isinstance(value, Path) else value}")
    return " ".join(words)


VERBS = (_add_bench,)
