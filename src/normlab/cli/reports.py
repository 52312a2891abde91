"""Verbs that read what others trained: report, recommend."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from normlab.cli.foreign import add_reading, asked_for, say_how_read
from normlab.cli.parser import add_verb
from normlab.runs.atomic import write_text


def readable(study: Any) -> Any:
    """Return a study without its damaged runs, after printing which file of each is damaged."""
    readable = study.readable()
    warn_of_left_out([readable])
    return readable


def warn_of_left_out(studies: Sequence[Any]) -> None:
    """Print the damaged files; their runs are left out of all tables and figures."""
    for study in studies:
        for line in study.left_out:
            print(f"normlab: left out: {line}", file=sys.stderr)


def _add_report(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "report", "write one HTML file about runs and studies", _report)
    parser.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="run and study folders, archives; results of other programs: CSV, TensorBoard, mlruns, Lightning",
    )
    parser.add_argument("--out", type=Path, help="the file; default report.html in the first folder")
    parser.add_argument("--format", choices=["html", "md", "tex"], default="html", help="the page, or its table alone")
    add_reading(parser)


def _report(options: argparse.Namespace) -> int:
    from normlab.runs.memory import no_collections

    with no_collections():
        return _write_report(options)


def _write_report(options: argparse.Namespace) -> int:
    from normlab.report import table_latex, table_markdown, write_report
    from normlab.studies.sources import collect_studies

    studies = collect_studies(options.folders, asked_for(options))
    warn_of_left_out(studies)
    say_how_read(studies)
    if options.format == "html":
        first = options.folders[0]
        beside = first.with_suffix(".html") if first.is_file() else first / "report.html"
        print(write_report(studies, options.out or beside))
        return 0
    table = {"md": table_markdown, "tex": table_latex}[options.format]
    mark = {"md": "## {}\n\n", "tex": "% {}\n"}[options.format]
    titles = [mark.format(study.title) if len(studies) > 1 else "" for study in studies]
    text = "\n".join(title + table(study) for title, study in zip(titles, studies, strict=True))
    if options.out is None:
        print(text, end="")
    else:
        write_text(options.out, text)
    return 0


def _add_recommend(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "recommend", "say which normalization to use, why, and how sure that is", _recommend)
    parser.add_argument("studies", type=Path, nargs="*", metavar="STUDY", help="study folders, as evidence of your own")
    parser.add_argument("--batch-size", type=int, default=128, help="examples per step on one device [128]")
    parser.add_argument("--data", help="name or path of your data: studies of other data do not count")
    parser.add_argument("--task", default="image", help="image, ner or text2sql [image]")
    parser.add_argument("--memory", type=float, metavar="GIB", help="memory of the device")
    parser.add_argument("--device", help="cpu, cuda, ...")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def _recommend(options: argparse.Namespace) -> int:
    from normlab.studies import Study
    from normlab.studies.recommend import recommend

    answer = recommend(
        batch_size=options.batch_size,
        task=options.task,
        memory_gib=options.memory,
        device=options.device,
        data=options.data,
        evidence=[readable(Study.open(folder)) for folder in options.studies],
    )
    if options.json:
        print(json.dumps(asdict(answer)))
        return 0
    print(answer.scheme)
    for title, sentences in (("because", answer.reasons), ("but", answer.limits)):
        print(f"{title}:" if sentences else "", *(f"  - {sentence}" for sentence in sentences), sep="\n")
    return 0


VERBS = (_add_report, _add_recommend)
