"""The verb tune: search for the settings of each scheme of a study, under one budget for all."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from normlab.cli.parser import add_fields, add_verb, field_values
from normlab.cli.reports import warn_of_left_out
from normlab.cli.study_options import add_axis, given_axes, refuse_small, study_config_class, study_values
from normlab.plurals import plural
from normlab.runs import RunState


def _add_tune(verbs: Any, arguments: list[str]) -> None:
    parser = add_verb(verbs, "tune", "search for the best settings of each scheme, judged on validation", _tune)
    parser.add_argument(
        "study", metavar="STUDY", help="a .yaml file with a `search` block, or a shipped one: lr_grid, all_norms_lr"
    )
    parser.add_argument("--plan", action="store_true", help="list the trials, without training")
    parser.add_argument("--scale", default="demo", help="smoke, demo, full, or another scale of the study [demo]")
    parser.add_argument("--seeds", type=int, help="number of seeds of each trial of a grid")
    add_axis(parser)
    parser.add_argument("--out", type=Path, help="the search's folder; default runs/STUDY-SCALE")
    parser.add_argument("--workers", type=int, help="trials trained at once; default one per core")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    if arguments[:1] == ["tune"]:
        add_fields(parser, study_config_class(arguments[1:]), *study_values(arguments[1:]))


def _tune(options: argparse.Namespace) -> int:
    refuse_small(options)
    changes = field_values(options, study_config_class([options.study]))
    if options.plan:
        return _show_plan(options, changes)
    from normlab.studies.search.runner import run_search

    study = run_search(
        options.study,
        out=options.out,
        scale=options.scale,
        seeds=options.seeds,
        axes=given_axes(options),
        workers=options.workers,
        **changes,
    )
    return _show_search(study, as_json=options.json)


def _show_plan(options: argparse.Namespace, changes: dict[str, Any]) -> int:
    """List the trials as `study plan` lists cells; the settings that a space draws are not known yet."""
    from normlab.errors import UserError
    from normlab.studies.plan import make_plan

    axes = given_axes(options)
    plan = make_plan(options.study, scale=options.scale, seeds=options.seeds, axes=axes, **changes)
    if plan.search is None:
        raise UserError(f"{options.study}: has no `search` block: see `normlab study plan {options.study}`")
    if options.json:
        print(json.dumps([{"name": c.name, "values": c.values, "seed": c.seed, "hash": c.hash} for c in plan.cells]))
        return 0
    print(
        f"{plan.file.title} ({plan.scale}): {plural(len(plan.cells), 'cell')}, {plural(plan.search.budget, 'trial')} "
        "of each scheme"
    )
    for cell in plan.cells:
        print(f"  {cell.name}  {cell.hash}")
    return 0


def _show_search(study: Any, *, as_json: bool) -> int:
    """Print the best trial of each scheme and write the report; fail if a trial failed."""
    from normlab.report import write_report
    from normlab.studies.search.text import search_text, search_values

    study = study.readable()
    warn_of_left_out([study])
    report = write_report([study], study.path / "report.html")
    failed = [cell.name for cell in study.cells if cell.state is RunState.FAILED]
    if as_json:
        answer = {"search": str(study.path), "report": str(report), "failed": failed, "best": search_values(study)}
        print(json.dumps(answer))
    else:
        print(search_text(study))
        print(f"report: {report}")
    for name in failed:
        print(f"normlab: {study.path / 'cells' / name}: failed; see its log.txt, then run again", file=sys.stderr)
    return 1 if failed else 0


VERBS = (_add_tune,)
